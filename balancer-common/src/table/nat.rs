//! Entries of translated flows: whom a port belongs to, and what the answers need.
//!
//! An entry has a number: its port's place among all blocks (see [`ports`](super::ports)). The flow that has it holds the
//! number where others hold their client's ack; the ack stands here.

use super::{TableId, backend::NextHop, line::Line};
use crate::env::Env;

/// Entries of a line, v4.
const A_LINE: u32 = 2;

/// No entry.
pub const NONE: u32 = u32::MAX;

/// Lines of this many entries of v4 clients.
#[must_use]
pub const fn lines4(entries: u32) -> u32 {
    entries.div_ceil(A_LINE)
}

/// Lines of this many entries of v6 clients.
#[must_use]
pub const fn lines6(entries: u32) -> u32 {
    entries
}

/// Where an entry stands, and in which order: v4 two of (client address 32 · port 16 · listener 16) · (client's ack 32 ·
/// backend's ack 32) · (begun 32 · port 16 · source address's number 16) · client's hop; v6 one of the same, where the
/// lower half of the first word is empty, and the client's address follows.
#[derive(Debug)]
pub struct Entry<'a, L> {
    line: &'a L,
    at: usize,
}

impl<L> Clone for Entry<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Entry<'_, L> {}

const OWNER: usize = 0;
const ACKS: usize = 1;
const PORT: usize = 2;
const HOP: usize = 3;

impl<L: Line> Entry<'_, L> {
    /// The client's port and the listener's number, as in a flow's key; v4: the client's address below.
    #[inline(always)]
    #[must_use]
    pub fn owner(self) -> u64 {
        self.line.load(self.at + OWNER)
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_owner(self, owner: u64) {
        self.line.store(self.at + OWNER, owner);
    }

    /// The client's ack: what a flow's hint says where nothing is translated.
    #[inline(always)]
    #[must_use]
    pub fn client_ack(self) -> u32 {
        self.line.load_half(2 * (self.at + ACKS))
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_client_ack(self, ack: u32) {
        self.line.store_half(2 * (self.at + ACKS), ack);
    }

    /// The backend's ack: at this number it would take a RST.
    #[inline(always)]
    #[must_use]
    pub fn backend_ack(self) -> u32 {
        self.line.load_half(2 * (self.at + ACKS) + 1)
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_backend_ack(self, ack: u32) {
        self.line.store_half(2 * (self.at + ACKS) + 1, ack);
    }

    /// The port, and the number of the source address.
    #[inline(always)]
    #[must_use]
    pub fn port_and_source(self) -> (u16, u16) {
        let word = self.line.load(self.at + PORT);
        ((word >> 32) as u16, (word >> 48) as u16)
    }

    /// Writes them, and when the connection was begun: microseconds, 0 if that is not asked for.
    #[inline(always)]
    pub fn set_port_and_source(self, port: u16, source: u16, begun: u32) {
        self.line.store(self.at + PORT, begun as u64 | (port as u64) << 32 | (source as u64) << 48);
    }

    /// When the connection was begun, for the first who asks; 0 for all others.
    #[inline(always)]
    #[must_use]
    pub fn take_begun(self) -> u32 {
        let word = self.line.load(self.at + PORT);
        let begun = word as u32;
        let taken = begun != 0 && self.line.compare_exchange(self.at + PORT, word, word >> 32 << 32);
        if taken { begun } else { 0 }
    }

    /// Where the client's packets came from: its answers go there.
    #[inline(always)]
    #[must_use]
    pub fn hop(self) -> NextHop {
        NextHop(self.line.load(self.at + HOP))
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_hop(self, hop: NextHop) {
        self.line.store(self.at + HOP, hop.0);
    }
}

impl<L: Line> Entry<'_, L> {
    /// The address of a v6 client.
    #[inline(always)]
    #[must_use]
    pub fn client6(self) -> [u64; 2] {
        [self.line.load(4), self.line.load(5)]
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_client6(self, client: [u64; 2]) {
        self.line.store(4, client[0]);
        self.line.store(5, client[1]);
    }
}

/// The entry of a v4 client with this number.
#[inline(always)]
pub fn find4<E: Env>(env: &E, number: u32) -> Option<Entry<'_, E::Line>> {
    let line = env.line(TableId::Nat4, number / A_LINE)?;
    // Told apart by a branch, so that the verifier sees two places that lie within the line.
    Some(if number.is_multiple_of(A_LINE) { Entry { line, at: 0 } } else { Entry { line, at: 4 } })
}

/// The entry of a v6 client with this number.
#[inline(always)]
pub fn find6<E: Env>(env: &E, number: u32) -> Option<Entry<'_, E::Line>> {
    Some(Entry { line: env.line(TableId::Nat6, number)?, at: 0 })
}

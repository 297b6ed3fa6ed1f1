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
/// backend's ack 32) · (begun or heard 32 · port 16 · source address's number 16) · client's hop; v6 one of the same, where
/// the lower half of the first word is empty, and the client's address follows.
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

/// Tells a time at which a connection was begun, and which is still asked for, from a tick.
pub const BEGUN: u32 = 1;

/// A tick in which an answer of this protocol from this port was heard, never 0. Of both it has 14 bits: enough to tell
/// what comes from elsewhere by mistake.
#[inline(always)]
const fn heard(now: u16, proto: u8, port: u16) -> u32 {
    let from = (port as u32 ^ (proto as u32) << 8) & 0x3fff;
    (now as u32) << 1 | from << 17 | 1 << 31
}

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

    /// Writes them, and when the connection was begun: microseconds with [`BEGUN`], 0 if that is not asked for.
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
        let taken = begun & BEGUN != 0 && self.line.compare_exchange(self.at + PORT, word, word >> 32 << 32);
        if taken { begun } else { 0 }
    }

    /// Whether an answer of its backend, of this protocol and from this port, was looked at in this tick, and nothing has
    /// happened to the flow since that makes the next one worth a look.
    #[inline(always)]
    #[must_use]
    pub fn heard(self, now: u16, proto: u8, port: u16) -> bool {
        self.line.load_half(2 * (self.at + PORT)) == heard(now, proto, port)
    }

    /// An answer was looked at, in this tick. Not while the answer to the connection's SYN is still awaited.
    #[inline(always)]
    pub fn set_heard(self, now: u16, proto: u8, port: u16) {
        let word = self.line.load(self.at + PORT);
        if word as u32 & BEGUN == 0 {
            // Whoever has changed it meanwhile is right: the next answer is looked at too.
            self.line.compare_exchange(
                self.at + PORT,
                word,
                word >> 32 << 32 | heard(now, proto, port) as u64,
            );
        }
    }

    /// The next answer is to be looked at.
    #[inline(always)]
    pub fn set_unheard(self) {
        let word = self.line.load(self.at + PORT);
        if word as u32 & BEGUN == 0 {
            self.line.compare_exchange(self.at + PORT, word, word >> 32 << 32);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::line::HostLine;

    #[test]
    fn an_answer_is_heard_for_one_tick_and_only_once_the_connection_is_accepted() {
        let line = HostLine::default();
        let entry = Entry { line: &line, at: 4 };
        entry.set_port_and_source(4321, 7, 1000 | BEGUN);
        entry.set_heard(0, 6, 80);
        assert!(!entry.heard(0, 6, 80), "its SYN is not answered");
        assert_eq!((entry.take_begun(), entry.take_begun()), (1001, 0));
        entry.set_heard(u16::MAX, 17, 80);
        assert!(entry.heard(u16::MAX, 17, 80) && !entry.heard(0, 17, 80));
        assert!(!entry.heard(u16::MAX, 6, 80), "it was a datagram");
        assert!(!entry.heard(u16::MAX, 17, 443), "it came from another port");
        assert_eq!(entry.take_begun(), 0, "a tick is no time at which it was begun");
        assert_eq!(entry.port_and_source(), (4321, 7));
        entry.set_unheard();
        assert!(!entry.heard(u16::MAX, 17, 80));
    }
}

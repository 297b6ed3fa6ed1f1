//! The way to a backend, where more than MAC addresses change: what a packet is wrapped in, or translated to.
//!
//! A backend has two, as its clients of one family may reach it otherwise than those of the other.

use super::{TableId, backend::MAX_BACKENDS, backend::NextHop, line::Line, ports::Block};
use crate::env::Env;

/// Lines of the table.
pub const LINES: u32 = 2 * MAX_BACKENDS;

/// An address in memory order: network order, loaded natively; a v4 address is the first word.
pub type Words = [u32; 4];

/// Addresses whose last bits may be anything: the sources of a tunnel's packets, or of translated ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sources {
    /// The first of them.
    pub first: Words,
    /// Bits at their end that may be anything, at most 16.
    pub host_bits: u8,
}

/// The way to one backend for clients of one family, as the agent writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Way {
    /// Whose source addresses are used.
    pub sources: Sources,
    /// The backend's address.
    pub destination: Words,
    /// Whether that is IPv6.
    pub v6: bool,
    /// Translated packets keep their client's address (`source = "keep"`).
    pub keep: bool,
    /// The backend's port, host order; 0: the one that the client asked.
    pub port: u16,
    /// Bytes of the largest IP packet that fits the way; 0: not known.
    pub mtu: u16,
    /// Largest segment size that a SYN, and a SYN+ACK where it comes this way, may announce; 0: any.
    pub mss: u16,
    /// Entries of its translated flows.
    pub block: Block,
    /// Where it begins.
    pub hop: NextHop,
}

/// Word of the [`NextHop`]: 0 while the other words change.
pub const WORD_HOP: usize = 7;

impl Way {
    /// The line: sources 16 · destination 16 · (v6 1, keep 1 … host bits 8 at bit 8, port 16, mtu 16, mss 16) ·
    /// block · 0 · next hop.
    #[must_use]
    pub fn words(&self) -> [u64; 8] {
        let [a, b] = pack(self.sources.first);
        let [c, d] = pack(self.destination);
        let facts = self.v6 as u64
            | (self.keep as u64) << 1
            | (self.sources.host_bits as u64) << 8
            | (self.port as u64) << 16
            | (self.mtu as u64) << 32
            | (self.mss as u64) << 48;
        [a, b, c, d, facts, self.block.bits(), 0, self.hop.0]
    }

    /// From the line.
    #[must_use]
    pub fn from_words(words: &[u64; 8]) -> Self {
        let line = Facts(words[4]);
        Self {
            sources: Sources { first: unpack([words[0], words[1]]), host_bits: line.host_bits() },
            destination: unpack([words[2], words[3]]),
            v6: line.v6(),
            keep: line.keep(),
            port: line.port(),
            mtu: line.mtu(),
            mss: line.mss(),
            block: Block::from_bits(words[5]),
            hop: NextHop(words[WORD_HOP]),
        }
    }
}

const fn pack([a, b, c, d]: Words) -> [u64; 2] {
    [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32]
}

const fn unpack([a, b]: [u64; 2]) -> Words {
    [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32]
}

/// The word of small facts.
#[derive(Clone, Copy, Debug)]
pub struct Facts(u64);

impl Facts {
    /// Whether the backend's address is IPv6.
    #[inline(always)]
    #[must_use]
    pub const fn v6(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether translated packets keep their client's address.
    #[inline(always)]
    #[must_use]
    pub const fn keep(self) -> bool {
        self.0 & 2 != 0
    }

    /// Bits of a source that may be anything.
    #[inline(always)]
    #[must_use]
    pub const fn host_bits(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The backend's port; 0: the one that the client asked.
    #[inline(always)]
    #[must_use]
    pub const fn port(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Bytes of the largest IP packet; 0: not known.
    #[inline(always)]
    #[must_use]
    pub const fn mtu(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Largest segment size; 0: any.
    #[inline(always)]
    #[must_use]
    pub const fn mss(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

/// A way's line, read field by field.
#[derive(Debug)]
pub struct WayLine<'a, L>(&'a L);

impl<L> Clone for WayLine<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for WayLine<'_, L> {}

impl<L: Line> WayLine<'_, L> {
    /// Word `word` (0 to 3) of the first source address.
    #[inline(always)]
    #[must_use]
    pub fn source(self, word: usize) -> u32 {
        self.0.load_half(word)
    }

    /// Word `word` (0 to 3) of the backend's address.
    #[inline(always)]
    #[must_use]
    pub fn destination(self, word: usize) -> u32 {
        self.0.load_half(4 + word)
    }

    /// The small facts.
    #[inline(always)]
    #[must_use]
    pub fn facts(self) -> Facts {
        Facts(self.0.load(4))
    }

    /// Entries of its translated flows.
    #[inline(always)]
    #[must_use]
    pub fn block(self) -> Block {
        Block::from_bits(self.0.load(5))
    }

    /// Where it begins.
    #[inline(always)]
    #[must_use]
    pub fn hop(self) -> NextHop {
        NextHop(self.0.load(WORD_HOP))
    }
}

/// Number of the line of a backend's way for v4 or v6 clients.
#[inline(always)]
#[must_use]
pub const fn line_of(backend: u16, v4: bool) -> u32 {
    2 * backend as u32 + !v4 as u32
}

/// A backend's way for v4 or v6 clients.
#[inline(always)]
pub fn find<E: Env>(env: &E, backend: u16, v4: bool) -> Option<WayLine<'_, E::Line>> {
    env.line(TableId::Ways, line_of(backend, v4)).map(WayLine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{state::Mode, table::line::HostLine};

    #[test]
    fn a_way_comes_back_from_its_line() {
        let way = Way {
            sources: Sources { first: [1, 2, 3, 0xffff_ffff], host_bits: 16 },
            destination: [5, 6, 7, 8],
            v6: true,
            keep: true,
            port: 8443,
            mtu: 1480,
            mss: 1400,
            block: Block { base: 64, first: 1024, words: 496 },
            hop: NextHop::new([2, 0, 0, 0, 0, 9], 3).by(Mode::Nat),
        };
        assert_eq!(Way::from_words(&way.words()), way);
        let line = HostLine::default();
        line.restore(&way.words());
        let read = WayLine(&line);
        let addresses: [Words; 2] =
            [core::array::from_fn(|i| read.source(i)), core::array::from_fn(|i| read.destination(i))];
        assert_eq!(addresses, [way.sources.first, way.destination]);
        assert_eq!((read.block(), read.hop(), read.facts().mss()), (way.block, way.hop, way.mss));
        assert!(read.facts().v6() && read.facts().keep());
    }
}

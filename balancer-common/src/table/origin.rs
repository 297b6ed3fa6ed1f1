//! Origins: addresses and ports of backends whose answers are translated back, found in the listeners' index.

use super::{
    line::Line,
    listener::{ListenerKey, Root},
    ports::Block,
    way::{Sources, Words},
};
use crate::{env::Env, table::listener};

/// Bit of a [`ListenerKey`]'s protocol that makes it an origin.
pub const ORIGIN: u8 = 0x80;
/// Listeners of one origin whose clients' addresses are kept.
pub const KEPT: usize = 4;

/// An origin, as the agent writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginEntry {
    /// Address, port (0: any) and protocol of the backend; made by [`key`].
    pub key: ListenerKey,
    /// To which addresses it answers, unless the client's own are kept.
    pub sources: Sources,
    /// Entries of the flows that are translated to it.
    pub block: Block,
    /// Numbers of the listeners whose clients' addresses are kept, 0 = none.
    pub kept: [u16; KEPT],
    /// Largest segment size that its SYN+ACK may announce; 0: any.
    pub mss: u16,
}

/// The key of an origin.
#[inline(always)]
#[must_use]
pub const fn key(address: [u64; 2], port: u16, proto: u8) -> ListenerKey {
    ListenerKey { address, port, proto: proto | ORIGIN }
}

impl OriginEntry {
    /// The line, `number` being its own: address 16 · (port 16, protocol 8, host bits 8, number 16, 0) · block · sources
    /// 16 · kept 4 × 16 · mss 16.
    #[must_use]
    pub fn words(&self, number: u16) -> [u64; 8] {
        let [a, b, c, d] = self.sources.first;
        let names = u64::from(self.key.port)
            | u64::from(self.key.proto) << 16
            | u64::from(self.sources.host_bits) << 24
            | u64::from(number) << 32;
        let kept = self.kept.iter().rev().fold(0, |word, number| word << 16 | u64::from(*number));
        [
            self.key.address[0],
            self.key.address[1],
            names,
            self.block.bits(),
            u64::from(a) | u64::from(b) << 32,
            u64::from(c) | u64::from(d) << 32,
            kept,
            u64::from(self.mss),
        ]
    }
}

/// An origin's line, read field by field.
#[derive(Debug)]
pub struct Origin<'a, L>(&'a L);

impl<L> Clone for Origin<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Origin<'_, L> {}

impl<L: Line> Origin<'_, L> {
    /// Whether it is every port of the backend's address.
    #[inline(always)]
    #[must_use]
    pub fn open(self) -> bool {
        self.0.load(2) as u16 == 0
    }

    /// Bits of a source address that may be anything.
    #[inline(always)]
    #[must_use]
    pub fn host_bits(self) -> u8 {
        (self.0.load(2) >> 24) as u8
    }

    /// Entries of the flows that are translated to it.
    #[inline(always)]
    #[must_use]
    pub fn block(self) -> Block {
        Block::from_bits(self.0.load(3))
    }

    /// Word `word` (0 to 3) of the first source address.
    #[inline(always)]
    #[must_use]
    pub fn source(self, word: usize) -> u32 {
        self.0.load_half(8 + word)
    }

    /// The listeners whose clients' addresses are kept, 16 bits each.
    #[inline(always)]
    #[must_use]
    pub fn kept(self) -> u64 {
        self.0.load(6)
    }

    /// Largest segment size that its SYN+ACK may announce; 0: any.
    #[inline(always)]
    #[must_use]
    pub fn mss(self) -> u16 {
        self.0.load(7) as u16
    }

    /// The entry of a packet to this address (its last word, and whether the others are equal) and port.
    #[inline(always)]
    #[must_use]
    pub fn entry(self, address: Words, v4: bool, port: u16) -> Option<u32> {
        let last = if v4 { 0 } else { 3 };
        let mask = (1u32 << (self.host_bits() & 31)) - 1;
        let (own, first) = (u32::from_be(address[last]), u32::from_be(self.source(last)));
        let others = v4
            || address[0] == self.source(0) && address[1] == self.source(1) && address[2] == self.source(2);
        if own & !mask != first & !mask || !others {
            return None;
        }
        self.block().entry(own & mask, port)
    }
}

/// The origin of a packet from this address and port, in the half that `root` names.
#[inline(always)]
pub fn find<'a, E: Env>(env: &'a E, root: Root, key: &ListenerKey) -> Option<Origin<'a, E::Line>> {
    listener::find_for_packet(env, root, key).map(|(_, line)| Origin(line.0))
}

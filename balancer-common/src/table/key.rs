//! Keys of flows and pins, and how a line of 64 bytes holds their slots.

use super::{line::Line, words::FlowWord, words::PinWord, words::SlotWord};
use crate::hash::HashKey;

/// How a line holds its slots.
pub trait Slots {
    /// What is looked for.
    type Key: Copy + PartialEq + core::fmt::Debug;
    /// The slot's word.
    type Word: SlotWord;
    /// Slots in a line.
    const COUNT: usize;

    /// Where in the line (0 to 7) the word of a slot stands.
    fn word(slot: usize) -> usize;
    /// Whether the slot, whose word is `word`, has this key.
    fn matches<L: Line>(line: &L, slot: usize, word: Self::Word, key: &Self::Key) -> bool;
    /// The key of the slot, whose word is `word`.
    fn key<L: Line>(line: &L, slot: usize, word: Self::Word) -> Self::Key;
    /// Writes the key of a claimed slot.
    fn write_key<L: Line>(line: &L, slot: usize, key: &Self::Key);
    /// Hash of a key.
    fn hash(key: &Self::Key, hash: &HashKey) -> u64;
    /// Writes the hint beside a slot (a flow's client ack); nothing where the layout has none.
    fn write_hint<L: Line>(line: &L, slot: usize, hint: u32);
    /// The hint beside a slot, 0 where the layout has none.
    fn hint<L: Line>(line: &L, slot: usize) -> u32;
}

/// Key of a v4 flow: source address (network order, loaded natively), source port and listener packed as they
/// stand in the line, and the destination port if the listener is a wildcard.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey4 {
    packed: u64,
    dport: u16,
}

impl FlowKey4 {
    /// From its parts.
    #[inline(always)]
    #[must_use]
    pub const fn new(source: u32, sport: u16, listener: u16, dport: u16) -> Self {
        Self { packed: source as u64 | (sport as u64) << 32 | (listener as u64) << 48, dport }
    }

    /// Source address, network order loaded natively.
    #[must_use]
    pub const fn source(&self) -> u32 {
        self.packed as u32
    }

    /// Source port.
    #[must_use]
    pub const fn sport(&self) -> u16 {
        (self.packed >> 32) as u16
    }

    /// Number of its listener.
    #[must_use]
    pub const fn listener(&self) -> u16 {
        (self.packed >> 48) as u16
    }
}

/// Slots of a v4 flow line: three keys, three words, three acks, 4 spare bytes.
#[derive(Clone, Copy, Debug)]
pub struct FlowSlots4;

impl Slots for FlowSlots4 {
    type Key = FlowKey4;
    type Word = FlowWord;
    const COUNT: usize = 3;

    #[inline(always)]
    fn word(slot: usize) -> usize {
        3 + slot
    }

    #[inline(always)]
    fn matches<L: Line>(line: &L, slot: usize, word: FlowWord, key: &FlowKey4) -> bool {
        line.load(slot) == key.packed && word.dport() == key.dport
    }

    fn key<L: Line>(line: &L, slot: usize, word: FlowWord) -> FlowKey4 {
        FlowKey4 { packed: line.load(slot), dport: word.dport() }
    }

    #[inline(always)]
    fn write_key<L: Line>(line: &L, slot: usize, key: &FlowKey4) {
        line.store(slot, key.packed);
    }

    #[inline(always)]
    fn hash(key: &FlowKey4, hash: &HashKey) -> u64 {
        hash.start()
            .piece::<0>(key.packed as u32)
            .piece::<1>((key.packed >> 32) as u32)
            .piece::<2>(key.dport as u32)
            .finish()
    }

    #[inline(always)]
    fn write_hint<L: Line>(line: &L, slot: usize, hint: u32) {
        line.store_half(12 + slot, hint);
    }

    #[inline(always)]
    fn hint<L: Line>(line: &L, slot: usize) -> u32 {
        line.load_half(12 + slot)
    }
}

/// Key of a v6 flow; the address as two words, network order loaded natively.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey6 {
    source: [u64; 2],
    tail: u32,
    dport: u16,
}

impl FlowKey6 {
    /// From its parts.
    #[inline(always)]
    #[must_use]
    pub const fn new(source: [u64; 2], sport: u16, listener: u16, dport: u16) -> Self {
        Self { source, tail: sport as u32 | (listener as u32) << 16, dport }
    }

    /// Source address, network order loaded natively.
    #[must_use]
    pub const fn source(&self) -> [u64; 2] {
        self.source
    }

    /// Source port.
    #[must_use]
    pub const fn sport(&self) -> u16 {
        self.tail as u16
    }

    /// Number of its listener.
    #[must_use]
    pub const fn listener(&self) -> u16 {
        (self.tail >> 16) as u16
    }
}

/// Slots of a v6 flow line: two of address 16, word 8, source port and listener 4, ack 4.
#[derive(Clone, Copy, Debug)]
pub struct FlowSlots6;

impl Slots for FlowSlots6 {
    type Key = FlowKey6;
    type Word = FlowWord;
    const COUNT: usize = 2;

    #[inline(always)]
    fn word(slot: usize) -> usize {
        slot * 4 + 2
    }

    #[inline(always)]
    fn matches<L: Line>(line: &L, slot: usize, word: FlowWord, key: &FlowKey6) -> bool {
        line.load(slot * 4 + 1) == key.source[1]
            && line.load(slot * 4) == key.source[0]
            && line.load_half(slot * 8 + 6) == key.tail
            && word.dport() == key.dport
    }

    fn key<L: Line>(line: &L, slot: usize, word: FlowWord) -> FlowKey6 {
        FlowKey6 {
            source: [line.load(slot * 4), line.load(slot * 4 + 1)],
            tail: line.load_half(slot * 8 + 6),
            dport: word.dport(),
        }
    }

    #[inline(always)]
    fn write_key<L: Line>(line: &L, slot: usize, key: &FlowKey6) {
        line.store(slot * 4, key.source[0]);
        line.store(slot * 4 + 1, key.source[1]);
        line.store_half(slot * 8 + 6, key.tail);
    }

    #[inline(always)]
    fn hash(key: &FlowKey6, hash: &HashKey) -> u64 {
        hash.start()
            .piece::<0>(key.source[0] as u32)
            .piece::<1>((key.source[0] >> 32) as u32)
            .piece::<2>(key.source[1] as u32)
            .piece::<3>((key.source[1] >> 32) as u32)
            .piece::<4>(key.tail)
            .piece::<5>(key.dport as u32)
            .finish()
    }

    #[inline(always)]
    fn write_hint<L: Line>(line: &L, slot: usize, hint: u32) {
        line.store_half(slot * 8 + 7, hint);
    }

    #[inline(always)]
    fn hint<L: Line>(line: &L, slot: usize) -> u32 {
        line.load_half(slot * 8 + 7)
    }
}

/// Key of a v4 pin: client prefix (network order loaded natively) and service, packed as in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinKey4(u64);

impl PinKey4 {
    /// From its parts.
    #[inline(always)]
    #[must_use]
    pub const fn new(client: u32, service: u16) -> Self {
        Self(client as u64 | (service as u64) << 32)
    }

    /// Client prefix, network order loaded natively.
    #[must_use]
    pub const fn client(&self) -> u32 {
        self.0 as u32
    }

    /// Number of its service.
    #[must_use]
    pub const fn service(&self) -> u16 {
        (self.0 >> 32) as u16
    }
}

/// Slots of a v4 pin line: four of key 8, word 8.
#[derive(Clone, Copy, Debug)]
pub struct PinSlots4;

impl Slots for PinSlots4 {
    type Key = PinKey4;
    type Word = PinWord;
    const COUNT: usize = 4;

    #[inline(always)]
    fn word(slot: usize) -> usize {
        slot * 2 + 1
    }

    #[inline(always)]
    fn matches<L: Line>(line: &L, slot: usize, _word: PinWord, key: &PinKey4) -> bool {
        line.load(slot * 2) == key.0
    }

    fn key<L: Line>(line: &L, slot: usize, _word: PinWord) -> PinKey4 {
        PinKey4(line.load(slot * 2))
    }

    #[inline(always)]
    fn write_key<L: Line>(line: &L, slot: usize, key: &PinKey4) {
        line.store(slot * 2, key.0);
    }

    #[inline(always)]
    fn hash(key: &PinKey4, hash: &HashKey) -> u64 {
        hash.start().piece::<0>(key.0 as u32).piece::<1>((key.0 >> 32) as u32).finish()
    }

    #[inline(always)]
    fn write_hint<L: Line>(_line: &L, _slot: usize, _hint: u32) {}

    #[inline(always)]
    fn hint<L: Line>(_line: &L, _slot: usize) -> u32 {
        0
    }
}

/// Key of a v6 pin: client prefix as two words (network order loaded natively), and service.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinKey6 {
    client: [u64; 2],
    service: u64,
}

impl PinKey6 {
    /// From its parts.
    #[inline(always)]
    #[must_use]
    pub const fn new(client: [u64; 2], service: u16) -> Self {
        Self { client, service: service as u64 }
    }

    /// Client prefix, network order loaded natively.
    #[must_use]
    pub const fn client(&self) -> [u64; 2] {
        self.client
    }

    /// Number of its service.
    #[must_use]
    pub const fn service(&self) -> u16 {
        self.service as u16
    }
}

/// Slots of a v6 pin line: two of prefix 16, word 8, service 8.
#[derive(Clone, Copy, Debug)]
pub struct PinSlots6;

impl Slots for PinSlots6 {
    type Key = PinKey6;
    type Word = PinWord;
    const COUNT: usize = 2;

    #[inline(always)]
    fn word(slot: usize) -> usize {
        slot * 4 + 2
    }

    #[inline(always)]
    fn matches<L: Line>(line: &L, slot: usize, _word: PinWord, key: &PinKey6) -> bool {
        line.load(slot * 4) == key.client[0]
            && line.load(slot * 4 + 1) == key.client[1]
            && line.load(slot * 4 + 3) == key.service
    }

    fn key<L: Line>(line: &L, slot: usize, _word: PinWord) -> PinKey6 {
        PinKey6 { client: [line.load(slot * 4), line.load(slot * 4 + 1)], service: line.load(slot * 4 + 3) }
    }

    #[inline(always)]
    fn write_key<L: Line>(line: &L, slot: usize, key: &PinKey6) {
        line.store(slot * 4, key.client[0]);
        line.store(slot * 4 + 1, key.client[1]);
        line.store(slot * 4 + 3, key.service);
    }

    #[inline(always)]
    fn hash(key: &PinKey6, hash: &HashKey) -> u64 {
        hash.start()
            .piece::<0>(key.client[0] as u32)
            .piece::<1>((key.client[0] >> 32) as u32)
            .piece::<2>(key.client[1] as u32)
            .piece::<3>((key.client[1] >> 32) as u32)
            .piece::<4>(key.service as u32)
            .finish()
    }

    #[inline(always)]
    fn write_hint<L: Line>(_line: &L, _slot: usize, _hint: u32) {}

    #[inline(always)]
    fn hint<L: Line>(_line: &L, _slot: usize) -> u32 {
        0
    }
}

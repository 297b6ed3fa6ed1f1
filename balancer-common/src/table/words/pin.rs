//! The word of a pin, or of a tentative one.

use super::{Phase, SlotWord};
use crate::settings::{Now, PIN_CLOCK_MASK};

/// A pin's word: backend 16 · live flows 12 (saturating) · phase 2 · flags 2 · version 8 · last-seen 24,
/// from the lowest bit up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PinWord(pub u64);

const PIN_CLAIMED: u8 = 1;
const PIN_PUBLISHED: u8 = 2;

impl PinWord {
    /// Live flows that a pin can count; further ones do not hold it.
    pub const MAX_LIVE: u16 = 0xfff;
    const OVERFLOWED: u8 = 1;
    const DOUBTED: u8 = 2;
    const BUCKET: u8 = Self::OVERFLOWED | Self::DOUBTED;
    /// Pin ticks that a last-seen may be ahead of the clock: about a minute.
    const AHEAD: u32 = 256;

    field!(/// Number of its backend.
        backend, with_backend: u16, 0, 16);
    field!(/// Live flows of its client that count in it.
        live, with_live: u16, 16, 12);
    field!(/// Free 0, claimed 1, published 2.
        phase_bits, with_phase_bits: u8, 28, 2);
    field!(/// The two or four flags.
        flags, with_flags: u8, 30, 2);
    field!(/// Version: raised by each claim of the slot.
        claims, with_claims: u8, 32, 8);
    field!(/// Pin tick of the last packet of its last flow.
        seen, with_seen: u32, 40, 24);

    /// A published pin.
    #[inline(always)]
    #[must_use]
    pub const fn published(backend: u16, live: u16, seen: u32) -> Self {
        Self(0).with_backend(backend).with_live(live).with_seen(seen).with_phase_bits(PIN_PUBLISHED)
    }

    /// Pin ticks since it was last seen; 0 if that is a little ahead of the clock, see [`FlowWord::idle`](super::FlowWord::idle).
    #[inline(always)]
    #[must_use]
    pub const fn idle(self, now: u32) -> u32 {
        let idle = now.wrapping_sub(self.seen()) & PIN_CLOCK_MASK;
        if idle > PIN_CLOCK_MASK - Self::AHEAD { 0 } else { idle }
    }

    /// Whether it has run out: no flow holds it, and the timeout (in pin ticks) has passed.
    #[inline(always)]
    #[must_use]
    pub const fn expired(self, now: u32, timeout: u32) -> bool {
        self.live() == 0 && self.idle(now) > timeout
    }
}

impl SlotWord for PinWord {
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    fn bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    fn phase(self) -> Phase {
        match self.phase_bits() {
            0 => Phase::Free,
            PIN_PUBLISHED => Phase::Published,
            _ => Phase::Claimed,
        }
    }

    #[inline(always)]
    fn free_bit(self) -> u32 {
        (self.phase_bits() as u32).wrapping_sub(1) >> 31
    }

    #[inline(always)]
    fn claim(self, tag: u16) -> Self {
        Self(0)
            .with_phase_bits(PIN_CLAIMED)
            .with_backend(tag)
            .with_claims(self.claims().wrapping_add(1))
            .with_flags(self.flags() & Self::BUCKET)
    }

    #[inline(always)]
    fn tag(self) -> u16 {
        self.backend()
    }

    #[inline(always)]
    fn doom(self) -> Self {
        self.with_seen(1)
    }

    #[inline(always)]
    fn doomed(self) -> bool {
        self.seen() != 0
    }

    #[inline(always)]
    fn release(self) -> Self {
        Self(0).in_slot_of(self)
    }

    #[inline(always)]
    fn in_slot_of(self, slot: Self) -> Self {
        let flags = self.flags() & !Self::BUCKET | slot.flags() & Self::BUCKET;
        self.with_claims(slot.claims()).with_flags(flags)
    }

    #[inline(always)]
    fn overflowed(self) -> bool {
        self.flags() & Self::OVERFLOWED != 0
    }

    #[inline(always)]
    fn doubted(self) -> bool {
        self.flags() & Self::DOUBTED != 0
    }

    #[inline(always)]
    fn with_bucket_flags(self, overflowed: bool, doubted: bool) -> Self {
        let own = self.flags() & !Self::BUCKET;
        let overflowed = if overflowed { Self::OVERFLOWED } else { 0 };
        let doubted = if doubted { Self::DOUBTED } else { 0 };
        self.with_flags(own | overflowed | doubted)
    }

    #[inline(always)]
    fn version(self) -> u8 {
        self.claims()
    }

    #[inline(always)]
    fn age(self, now: Now) -> u32 {
        self.idle(now.pin)
    }
}

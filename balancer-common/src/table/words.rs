//! The one word by which a slot of a bucket changes: 64 bits, always exchanged whole.

use crate::settings::{Now, PIN_CLOCK_MASK};

/// Where a slot is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing stands here.
    Free,
    /// Somebody is writing the key.
    Claimed,
    /// Readers may follow it.
    Published,
}

/// What every slot's word can say.
pub trait SlotWord: Copy {
    /// From the 64 bits.
    fn from_bits(bits: u64) -> Self;
    /// The 64 bits.
    fn bits(self) -> u64;
    /// Where the slot is in its life.
    fn phase(self) -> Phase;
    /// The word that claims this slot: the next version, the bucket's flag kept.
    fn claim(self) -> Self;
    /// The word that frees this slot: version and bucket's flag kept.
    fn release(self) -> Self;
    /// This word with the version and the bucket's flag of the slot that it will stand in.
    fn in_slot_of(self, slot: Self) -> Self;
    /// Whether a key of this bucket stands in the overflow (told by the bucket's first slot).
    fn overflowed(self) -> bool;
    /// With the bucket's overflow flag.
    fn with_overflowed(self, overflowed: bool) -> Self;
    /// Raised by each claim of the slot.
    fn version(self) -> u8;
    /// Ticks since it was last seen, for the choice of the oldest.
    fn age(self, now: Now) -> u32;
}

macro_rules! field {
    ($(#[$meta:meta])* $get:ident, $with:ident: $ty:ty, $shift:literal, $bits:literal) => {
        $(#[$meta])*
        #[inline(always)]
        #[must_use]
        pub const fn $get(self) -> $ty {
            (self.0 >> $shift & ((1 << $bits) - 1)) as $ty
        }

        #[doc = concat!("With another `", stringify!($get), "`.")]
        #[inline(always)]
        #[must_use]
        pub const fn $with(self, value: $ty) -> Self {
            let mask = ((1u64 << $bits) - 1) << $shift;
            Self(self.0 & !mask | (value as u64) << $shift & mask)
        }
    };
}

/// A flow's word: backend 16 · state 4 · flags 4 · version 8 · destination port 16 · last-seen 16, from the
/// lowest bit up. The destination port is 0 unless the listener's port is a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FlowWord(pub u64);

/// States of a flow, in the table of flows or the embryonic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowState;

impl FlowState {
    /// Nothing.
    pub const FREE: u8 = 0;
    /// Being written.
    pub const CLAIMED: u8 = 1;
    /// Embryonic: a SYN was seen.
    pub const SYN: u8 = 2;
    /// Embryonic: one segment of an unknown connection was seen.
    pub const UNKNOWN: u8 = 3;
    /// Embryonic: one datagram was seen.
    pub const UDP_ONE: u8 = 4;
    /// Embryonic: two datagrams were seen.
    pub const UDP_TWO: u8 = 5;
    /// A TCP flow that was only just promoted; keeps the `syn` timeout.
    pub const FRESH: u8 = 6;
    /// A TCP flow.
    pub const ESTABLISHED: u8 = 7;
    /// A TCP flow after a FIN or RST of the client.
    pub const CLOSING: u8 = 8;
    /// A UDP flow.
    pub const UDP: u8 = 9;

    /// Its word in CLI and JSON.
    #[must_use]
    pub const fn word(state: u8) -> &'static str {
        match state {
            Self::SYN => "syn",
            Self::UNKNOWN => "unknown",
            Self::UDP_ONE | Self::UDP_TWO => "udp-new",
            Self::FRESH => "fresh",
            Self::ESTABLISHED => "established",
            Self::CLOSING => "closing",
            Self::UDP => "udp",
            _ => "free",
        }
    }
}

/// The bucket's overflow flag, in its first slot.
const OVERFLOWED: u8 = 1;
/// The flow is counted in its client's pin.
const COUNTED: u8 = 2;

impl FlowWord {
    field!(/// Number of its backend.
        backend, with_backend: u16, 0, 16);
    field!(/// Its state, see [`FlowState`].
        state, with_state: u8, 16, 4);
    field!(/// The two or four flags.
        flags, with_flags: u8, 20, 4);
    field!(/// Version: raised by each claim of the slot.
        claims, with_claims: u8, 24, 8);
    field!(/// Destination port, 0 unless the listener's port is a wildcard.
        dport, with_dport: u16, 32, 16);
    field!(/// Flow tick of its last packet.
        seen, with_seen: u16, 48, 16);

    /// Whether the flow counts as live: not closing, not embryonic.
    #[inline(always)]
    #[must_use]
    pub const fn live(self) -> bool {
        matches!(self.state(), FlowState::FRESH | FlowState::ESTABLISHED | FlowState::UDP)
    }

    /// Whether the flow is counted in its client's pin.
    #[inline(always)]
    #[must_use]
    pub const fn counted(self) -> bool {
        self.flags() & COUNTED != 0
    }

    /// Counted in its client's pin, or not.
    #[inline(always)]
    #[must_use]
    pub const fn with_counted(self, counted: bool) -> Self {
        self.with_flags(if counted { self.flags() | COUNTED } else { self.flags() & !COUNTED })
    }

    /// Flow ticks since its last packet.
    #[inline(always)]
    #[must_use]
    pub const fn idle(self, now: u16) -> u16 {
        now.wrapping_sub(self.seen())
    }
}

impl SlotWord for FlowWord {
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
        match self.state() {
            FlowState::FREE => Phase::Free,
            FlowState::CLAIMED => Phase::Claimed,
            _ => Phase::Published,
        }
    }

    #[inline(always)]
    fn claim(self) -> Self {
        Self(0)
            .with_state(FlowState::CLAIMED)
            .with_claims(self.claims().wrapping_add(1))
            .with_overflowed(self.overflowed())
    }

    #[inline(always)]
    fn release(self) -> Self {
        Self(0).in_slot_of(self)
    }

    #[inline(always)]
    fn in_slot_of(self, slot: Self) -> Self {
        self.with_claims(slot.claims()).with_overflowed(slot.overflowed())
    }

    #[inline(always)]
    fn overflowed(self) -> bool {
        self.flags() & OVERFLOWED != 0
    }

    #[inline(always)]
    fn with_overflowed(self, overflowed: bool) -> Self {
        self.with_flags(if overflowed { self.flags() | OVERFLOWED } else { self.flags() & !OVERFLOWED })
    }

    #[inline(always)]
    fn version(self) -> u8 {
        self.claims()
    }

    #[inline(always)]
    fn age(self, now: Now) -> u32 {
        self.idle(now.flow) as u32
    }
}

/// A pin's word: backend 16 · live flows 12 (saturating) · phase 2 · flags 2 · version 8 · last-seen 24,
/// from the lowest bit up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PinWord(pub u64);

const PIN_CLAIMED: u8 = 1;
const PIN_PUBLISHED: u8 = 2;

impl PinWord {
    /// Live flows that a pin can count; further ones do not hold it.
    pub const MAX_LIVE: u16 = 0xfff;

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

    /// Pin ticks since it was last seen.
    #[inline(always)]
    #[must_use]
    pub const fn idle(self, now: u32) -> u32 {
        now.wrapping_sub(self.seen()) & PIN_CLOCK_MASK
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
    fn claim(self) -> Self {
        Self(0)
            .with_phase_bits(PIN_CLAIMED)
            .with_claims(self.claims().wrapping_add(1))
            .with_overflowed(self.overflowed())
    }

    #[inline(always)]
    fn release(self) -> Self {
        Self(0).in_slot_of(self)
    }

    #[inline(always)]
    fn in_slot_of(self, slot: Self) -> Self {
        self.with_claims(slot.claims()).with_overflowed(slot.overflowed())
    }

    #[inline(always)]
    fn overflowed(self) -> bool {
        self.flags() & OVERFLOWED != 0
    }

    #[inline(always)]
    fn with_overflowed(self, overflowed: bool) -> Self {
        self.with_flags(if overflowed { self.flags() | OVERFLOWED } else { self.flags() & !OVERFLOWED })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_flow_do_not_overlap() {
        let word = FlowWord(0)
            .with_backend(0xabcd)
            .with_state(FlowState::ESTABLISHED)
            .with_counted(true)
            .with_claims(0x5a)
            .with_dport(0x1234)
            .with_seen(0xfedc);
        assert_eq!((word.backend(), word.state(), word.version()), (0xabcd, FlowState::ESTABLISHED, 0x5a));
        assert_eq!((word.dport(), word.seen(), word.counted()), (0x1234, 0xfedc, true));
        assert!(!word.overflowed() && word.with_overflowed(true).overflowed());
    }

    #[test]
    fn a_claim_raises_the_version_and_keeps_the_bucket_flag() {
        let old = FlowWord(0).with_claims(255).with_overflowed(true).with_backend(9);
        let claimed = old.claim();
        assert_eq!((claimed.version(), claimed.overflowed(), claimed.phase()), (0, true, Phase::Claimed));
        let freed = claimed.release();
        assert_eq!((freed.version(), freed.overflowed(), freed.phase()), (0, true, Phase::Free));
    }

    #[test]
    fn a_pin_with_a_live_flow_never_expires() {
        let pin = PinWord::published(3, 1, 0);
        assert!(!pin.expired(1_000_000, 10));
        assert!(pin.with_live(0).expired(11, 10));
        assert!(!pin.with_live(0).expired(10, 10));
    }

    #[test]
    fn clocks_wrap() {
        assert_eq!(FlowWord(0).with_seen(0xffff).idle(1), 2);
        assert_eq!(PinWord::published(1, 0, PIN_CLOCK_MASK).idle(1), 2);
    }
}

//! The word of a flow, in the table of flows or the embryonic one.

use super::{Phase, SlotWord};
use crate::settings::Now;

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
    /// A TCP flow that the balancer has reset: whatever its client sends is answered by another RST.
    pub const RESET: u8 = 10;

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
            Self::RESET => "reset",
            _ => "free",
        }
    }
}

/// Flags of the bucket, in its first slot, and of the slot itself.
impl FlowWord {
    const OVERFLOWED: u8 = 1;
    const COUNTED: u8 = 2;
    const DOUBTED: u8 = 4;
    const BUCKET: u8 = Self::OVERFLOWED | Self::DOUBTED;
    /// Flow ticks that a last-seen may be ahead of the clock: about a minute.
    const AHEAD: u16 = 16;
}

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
        self.flags() & Self::COUNTED != 0
    }

    /// Counted in its client's pin, or not.
    #[inline(always)]
    #[must_use]
    pub const fn with_counted(self, counted: bool) -> Self {
        let others = self.flags() & !Self::COUNTED;
        self.with_flags(if counted { others | Self::COUNTED } else { others })
    }

    /// Flow ticks since its last packet. A last-seen that is a little ahead of the clock counts as now: the agent reads
    /// the time on its own, and one CPU a moment after another.
    #[inline(always)]
    #[must_use]
    pub const fn idle(self, now: u16) -> u16 {
        let idle = now.wrapping_sub(self.seen());
        if idle > u16::MAX - Self::AHEAD { 0 } else { idle }
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
    fn free_bit(self) -> u32 {
        (self.state() as u32).wrapping_sub(1) >> 31
    }

    #[inline(always)]
    fn claim(self, tag: u16) -> Self {
        Self(0)
            .with_state(FlowState::CLAIMED)
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
        self.idle(now.flow) as u32
    }
}

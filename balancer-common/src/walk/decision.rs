//! What the walk comes to.

use crate::reason::Reason;

/// Where a packet goes, and why: backend 16 · reason 8 · answered 1, in one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Decision(u32);

impl Decision {
    /// To this backend.
    #[inline(always)]
    #[must_use]
    pub const fn forward(backend: u16, reason: Reason) -> Self {
        Self(backend as u32 | (reason as u32) << 16)
    }

    /// Nowhere.
    #[inline(always)]
    #[must_use]
    pub const fn drop(reason: Reason) -> Self {
        Self((reason as u32) << 16)
    }

    /// Answered in the place of a backend.
    #[inline(always)]
    #[must_use]
    pub const fn answer(reason: Reason) -> Self {
        Self((reason as u32) << 16 | Self::ANSWERED)
    }

    const ANSWERED: u32 = 1 << 24;

    /// The same for a settled flow that is translated: its client's ack is yet to be noted, in its entry.
    #[inline(always)]
    #[must_use]
    pub const fn noting_ack(self) -> Self {
        Self(self.0 | Self::NOTES_ACK)
    }

    const NOTES_ACK: u32 = 1 << 25;

    /// Whether the client's ack is yet to be noted.
    #[inline(always)]
    #[must_use]
    pub const fn notes_ack(self) -> bool {
        self.0 & Self::NOTES_ACK != 0
    }

    /// Passed untouched: not ours.
    pub const PASS: Self = Self(0xfffe << 16);
    /// As if no flow knew the packet.
    pub const UNKNOWN: Self = Self(0xffff << 16);

    /// To be promoted first. Like the next, the walk does it itself rather than the step that finds out: the stacks
    /// of a chain of calls may have 512 bytes together.
    pub const PROMOTE: Self = Self(0xfffd << 16);
    /// To be placed first.
    pub const PLACE: Self = Self(0xfffb << 16);
    /// To be failed first: a segment of a flow that is reset, or is to be.
    pub const FAIL: Self = Self(0xfffa << 16);
    /// To be rerouted first.
    pub const REROUTE: Self = Self(0xfffc << 16);

    /// An ICMP error about a packet that was translated, for a backend.
    pub const ERROR_FORTH: Self = Self(0xfff9 << 16);
    /// The same for a client.
    pub const ERROR_BACK: Self = Self(0xfff8 << 16);
    /// An echo request that is answered here, or by nobody.
    pub const ECHO: Self = Self(0xfff7 << 16);

    /// From the 32 bits.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The 32 bits.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Number of the backend; 0 = dropped.
    #[inline(always)]
    #[must_use]
    pub const fn backend(self) -> u16 {
        self.0 as u16
    }

    /// Counter index of the reason.
    #[inline(always)]
    #[must_use]
    pub const fn reason_index(self) -> u32 {
        self.0 >> 16 & 0xff
    }

    /// Whether it is answered in the place of a backend.
    #[inline(always)]
    #[must_use]
    pub const fn answered(self) -> bool {
        self.0 >> 24 == Self::ANSWERED >> 24
    }

    /// Why.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        Reason::from_index(self.reason_index())
    }
}

/// What the driver is to do with the frame. One register that always has a value: where the compiler may leave one
/// without, as in the number that only one variant of an enum has, the verifier refuses what it makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(u32);

impl Verdict {
    /// To the host's own stack, untouched.
    pub const PASS: Self = Self(0);
    /// Nowhere.
    pub const DROP: Self = Self(u32::MAX);
    /// Out of the interface that it came in by.
    pub const TX: Self = Self(u32::MAX - 1);

    /// Out of the interface with this index, which is between 1 and `i32::MAX`.
    #[inline(always)]
    #[must_use]
    pub const fn redirect(index: u32) -> Self {
        Self(index)
    }

    /// Nowhere yet: an IP packet may have at most so many bytes (below 65,536) on its way.
    #[inline(always)]
    #[must_use]
    pub const fn too_big(mtu: u32) -> Self {
        Self(Self::TOO_BIG << 16 | mtu & 0xffff)
    }

    const TOO_BIG: u32 = 0x8000;

    /// How many bytes a packet may have that was too big; 0: it was not.
    #[inline(always)]
    #[must_use]
    pub const fn mtu(self) -> u32 {
        if self.0 >> 16 == Self::TOO_BIG { self.0 & 0xffff } else { 0 }
    }

    /// From the 32 bits.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The 32 bits.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Index of the other interface that it goes out of, where it is no other verdict.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Whether it goes out of another interface.
    #[must_use]
    pub const fn redirects(self) -> bool {
        !matches!(self, Self::PASS | Self::DROP | Self::TX)
    }
}

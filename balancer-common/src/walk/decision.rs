//! What the walk comes to.

use crate::reason::Reason;

/// Where a packet goes, and why: backend 16 · reason 8, in one register.
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
        self.0 >> 16
    }

    /// Why.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        Reason::from_index(self.reason_index())
    }
}

/// What the driver is to do with the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the host's own stack, untouched.
    Pass,
    /// Nowhere.
    Drop,
    /// Out of the interface that it came in by.
    Tx,
    /// Out of the interface with this index.
    Redirect(u32),
}

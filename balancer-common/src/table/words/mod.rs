//! The one word by which a slot of a bucket changes: 64 bits, always exchanged whole.

use crate::settings::Now;

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
    /// 1 where the slot is free, else 0: told without a branch, as the verifier follows each.
    fn free_bit(self) -> u32;
    /// The word that claims this slot: the next version, the bucket's flags kept, and 16 bits that say for which key.
    fn claim(self, tag: u16) -> Self;
    /// What a claim says of its key.
    fn tag(self) -> u16;
    /// A claim that another CPU's claim for the same key outranks: it is not to be published.
    fn doom(self) -> Self;
    /// Whether a claim is outranked.
    fn doomed(self) -> bool;
    /// The word that frees this slot: version and bucket's flags kept.
    fn release(self) -> Self;
    /// This word with the version and the bucket's flags of the slot that it will stand in.
    fn in_slot_of(self, slot: Self) -> Self;
    /// Whether a key of this bucket stands in the overflow (told by the bucket's first slot).
    fn overflowed(self) -> bool;
    /// Whether the sweeper doubts it: no key has been put into the overflow since it began to look.
    fn doubted(self) -> bool;
    /// With other flags of the bucket.
    fn with_bucket_flags(self, overflowed: bool, doubted: bool) -> Self;
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

mod flow;
mod pin;

pub use flow::{FlowState, FlowWord};
pub use pin::PinWord;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PIN_CLOCK_MASK;

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
        assert!(!word.overflowed() && word.with_bucket_flags(true, false).overflowed());
    }

    #[test]
    fn a_claim_raises_the_version_and_keeps_the_bucket_flags() {
        let flow = FlowWord(0).with_claims(255).with_backend(9).with_counted(true);
        claim_and_release(flow.with_bucket_flags(true, true));
        claim_and_release(PinWord::published(9, 3, 5).with_claims(255).with_bucket_flags(true, true));
    }

    fn claim_and_release<W: SlotWord>(old: W) {
        let claimed = old.claim(0xabcd);
        assert_eq!((claimed.version(), claimed.phase(), claimed.tag()), (0, Phase::Claimed, 0xabcd));
        assert!(claimed.overflowed() && claimed.doubted() && !claimed.doomed());
        let doomed = claimed.doom();
        assert!(doomed.doomed() && doomed.phase() == Phase::Claimed && doomed.tag() == 0xabcd);
        for freed in [claimed.release(), doomed.release()] {
            assert_eq!((freed.version(), freed.phase()), (0, Phase::Free));
            assert!(freed.overflowed() && freed.doubted());
        }
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

    #[test]
    fn a_last_seen_that_is_a_moment_ahead_of_the_clock_is_now() {
        assert_eq!((FlowWord(0).with_seen(5).idle(4), FlowWord(0).with_seen(0).idle(0xffff)), (0, 0));
        assert_eq!(
            (PinWord::published(1, 0, 5).idle(4), PinWord::published(1, 0, 0).idle(PIN_CLOCK_MASK)),
            (0, 0)
        );
        assert_eq!(FlowWord(0).with_seen(0).idle(40_000), 40_000);
    }
}

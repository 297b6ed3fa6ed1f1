//! The flag of a bucket that says that one of its keys stands in the overflow.
//!
//! It is never off while such a key is published: an insert sets it between claim and publication, and removes the
//! sweeper's doubt. The sweeper doubts first, then looks through the whole overflow, and clears what is in doubt still.

use super::{key::Slots, line::Line, words::SlotWord};

/// Sets the bucket's overflow flag, beyond doubt; whether it stands so.
#[inline(always)]
pub(super) fn set_overflowed<S: Slots, L: Line>(line: &L) -> bool {
    for _ in 0..4 {
        let word = S::Word::from_bits(line.load(S::word(0)));
        if word.overflowed() && !word.doubted() {
            return true;
        }
        let new = word.with_bucket_flags(true, false);
        if line.compare_exchange(S::word(0), word.bits(), new.bits()) {
            return true;
        }
    }
    false
}

/// Doubts the bucket's overflow flag, before the sweeper looks who stands in the overflow; whether it has one.
///
/// A key that is put there afterwards removes the doubt, and so does not lose the flag to [`clear_doubted`].
pub fn doubt_overflowed<S: Slots, L: Line>(line: &L) -> bool {
    let word = S::Word::from_bits(line.load(S::word(0)));
    if word.overflowed() && !word.doubted() {
        line.compare_exchange(S::word(0), word.bits(), word.with_bucket_flags(true, true).bits());
    }
    word.overflowed()
}

/// Clears the bucket's overflow flag if it is still in doubt: nobody who stood in the overflow since then needs it.
pub fn clear_doubted<S: Slots, L: Line>(line: &L) {
    let word = S::Word::from_bits(line.load(S::word(0)));
    if word.overflowed() && word.doubted() {
        line.compare_exchange(S::word(0), word.bits(), word.with_bucket_flags(false, false).bits());
    }
}

//! Atomic operations on map memory: `core::sync::atomic` has no 64-bit compare-and-swap for this target, the
//! intrinsics below become `cmpxchg_64` and `lock add`.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

/// Writes `new` where `old` stands; whether it did.
///
/// # Safety
/// `word` points to aligned memory that lives as long as the program.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(word: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller's promise.
    let (found, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(word, old, new)
    };
    found == old
}

/// Adds, wrapping.
///
/// # Safety
/// As [`compare_exchange`].
#[inline(always)]
pub(crate) unsafe fn add(word: *mut u64, delta: u64) {
    // SAFETY: the caller's promise.
    let _: u64 = unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(word, delta) };
}

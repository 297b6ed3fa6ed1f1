//! Sixty-four bytes of memory that the kernel's CPUs and the agent share.

/// A line: eight aligned 64-bit words, each of them read and written whole.
///
/// Plain loads and stores are relaxed; [`Line::compare_exchange`] orders everything before
/// and after it, as the BPF atomics do (Linux 5.12).
pub trait Line {
    /// Reads word `word` (0 to 7).
    fn load(&self, word: usize) -> u64;
    /// Writes word `word`.
    fn store(&self, word: usize, value: u64);
    /// Reads the 32 bits number `half` (0 to 15, in memory order).
    fn load_half(&self, half: usize) -> u32;
    /// Writes the 32 bits number `half`.
    fn store_half(&self, half: usize, value: u32);
    /// Reads the 16 bits number `quarter` (0 to 31, in memory order).
    fn load_quarter(&self, quarter: usize) -> u16;
    /// Writes `new` where `old` stands; whether it did.
    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> bool;
    /// Adds to a word, wrapping.
    fn add(&self, word: usize, delta: u64);
}

#[cfg(not(target_arch = "bpf"))]
mod host {
    use super::Line;
    use core::sync::atomic::{AtomicU64, Ordering};

    /// A line on the host, and in the agent's mapping of a table.
    #[repr(C, align(64))]
    #[derive(Debug, Default)]
    pub struct HostLine([AtomicU64; 8]);

    impl HostLine {
        /// The words as they stand, each read on its own.
        #[must_use]
        pub fn snapshot(&self) -> [u64; 8] {
            core::array::from_fn(|word| self.load(word))
        }

        /// Writes all words, each on its own.
        pub fn restore(&self, words: &[u64; 8]) {
            for (word, value) in words.iter().enumerate() {
                self.store(word, *value);
            }
        }
    }

    impl Line for HostLine {
        fn load(&self, word: usize) -> u64 {
            self.0[word].load(Ordering::Acquire)
        }

        fn store(&self, word: usize, value: u64) {
            self.0[word].store(value, Ordering::Release);
        }

        fn load_half(&self, half: usize) -> u32 {
            (self.load(half / 2) >> (half % 2 * 32)) as u32
        }

        fn store_half(&self, half: usize, value: u32) {
            let shift = half % 2 * 32;
            let mask = 0xffff_ffff << shift;
            let _ = self.0[half / 2].fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                Some(word & !mask | u64::from(value) << shift)
            });
        }

        fn load_quarter(&self, quarter: usize) -> u16 {
            (self.load(quarter / 4) >> (quarter % 4 * 16)) as u16
        }

        fn compare_exchange(&self, word: usize, old: u64, new: u64) -> bool {
            self.0[word].compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        }

        fn add(&self, word: usize, delta: u64) {
            self.0[word].fetch_add(delta, Ordering::SeqCst);
        }
    }
}

#[cfg(not(target_arch = "bpf"))]
pub use host::HostLine;

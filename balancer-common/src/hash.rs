//! The keyed hash of the packet path.
//!
//! Multilinear hashing over 32-bit pieces (Lemire and Kaser, "Strongly universal string hashing is fast",
//! 2014): without the key nobody can say which inputs meet. A finaliser with secret odd factors then spreads
//! the runs of neighbouring inputs (consecutive ports, consecutive addresses) that a linear hash keeps together.

use bytemuck::{Pod, Zeroable};
use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// An expanded hash key: nine words, made from a 16-byte seed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct HashKey {
    words: [u64; 9],
}

impl HashKey {
    /// Expands a seed with SipHash-2-4 as the pseudo-random function.
    #[must_use]
    pub fn from_seed(seed: &[u8; 16]) -> Self {
        let mut words = [0; 9];
        for (i, word) in words.iter_mut().enumerate() {
            // Odd factors are invertible: no input word loses a bit.
            *word = sip(seed, &[i as u8]) | 1;
        }
        Self { words }
    }

    /// Starts a hash.
    #[inline(always)]
    #[must_use]
    pub fn start(&self) -> Hash<'_> {
        Hash { key: self, sum: self.words[0] }
    }
}

/// A hash under way: one [`Hash::piece`] each, each with the number of its place.
#[derive(Clone, Copy, Debug)]
pub struct Hash<'a> {
    key: &'a HashKey,
    sum: u64,
}

impl Hash<'_> {
    /// Adds the 32-bit piece of place `PLACE` (0 to 5).
    #[inline(always)]
    #[must_use]
    pub fn piece<const PLACE: usize>(self, piece: u32) -> Self {
        const { assert!(PLACE < 6) };
        // LLVM 22.1.2 for x86-64 takes the upper half of a register for zero that holds two 16-bit numbers of a line, one
        // of which came through a branch: the proofs, optimised, then looked for flows where none had put them. Here the
        // 32 bits are read anew. The kernel's build was not seen to do so: both walk the same packets alike.
        #[cfg(not(target_arch = "bpf"))]
        let piece = core::hint::black_box(piece);
        let product = self.key.words[1 + PLACE].wrapping_mul(piece as u64);
        Self { sum: self.sum.wrapping_add(product), ..self }
    }

    /// A short hash for keys that no stranger chooses, one for each `seed`: multiply-shift (Dietzfelbinger et al., "A
    /// reliable randomized algorithm for the closest-pair problem", 1997). The seed must be a factor: one that is
    /// added moves all keys alike, and never parts two that lie close.
    #[inline(always)]
    #[must_use]
    pub const fn finish_short(self, seed: u32) -> u32 {
        let factor = (seed as u64) << 1 | 1;
        (self.sum.wrapping_mul(factor) >> 32) as u32
    }

    /// The 64-bit hash.
    #[inline(always)]
    #[must_use]
    pub fn finish(self) -> u64 {
        let mut h = self.sum;
        h ^= h >> 32;
        h = h.wrapping_mul(self.key.words[7]);
        h ^= h >> 29;
        h = h.wrapping_mul(self.key.words[8]);
        h ^ (h >> 32)
    }
}

/// Maps 32 hash bits to `0..n` without a division (Lemire, "Fast random integer generation in an interval").
#[inline(always)]
#[must_use]
pub const fn reduce(hash: u32, n: u32) -> u32 {
    ((hash as u64 * n as u64) >> 32) as u32
}

/// SipHash-2-4 of a byte string: for names, off the packet path.
#[must_use]
pub fn sip(seed: &[u8; 16], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(seed);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn worst_bucket(seed: u8, inputs: impl Iterator<Item = u32>) -> u32 {
        let key = HashKey::from_seed(&[seed; 16]);
        let mut buckets: Vec<u32> = vec![0; 1024];
        for input in inputs {
            buckets[reduce(key.start().piece::<0>(input).finish() as u32, 1024) as usize] += 1;
        }
        buckets.into_iter().max().unwrap_or(0)
    }

    #[test]
    fn consecutive_inputs_spread_like_random_ones() {
        for seed in 0..50 {
            // 65,536 over 1,024 buckets: mean 64, standard deviation 8.
            assert!(worst_bucket(seed, 0..65_536) < 64 + 7 * 8);
            assert!(worst_bucket(seed, (0..65_536).map(|i| i << 16)) < 64 + 7 * 8);
        }
    }

    #[test]
    fn another_key_gives_another_order() {
        let place = |seed: u8, i: u32| HashKey::from_seed(&[seed; 16]).start().piece::<0>(i).finish() >> 54;
        let same = (0..10_000).filter(|i| place(1, *i) == place(2, *i)).count();
        // 1 in 1,024 by chance.
        assert!(same < 40, "{same} of 10,000 inputs land in the same bucket under two keys");
    }

    #[test]
    fn reduce_stays_below_n() {
        assert_eq!(reduce(u32::MAX, 65_537), 65_536);
        assert_eq!(reduce(0, 65_537), 0);
        assert_eq!(reduce(u32::MAX, 0), 0);
    }
}

//! Incremental update of the Internet checksum (RFC 1624, equation 3).

/// A checksum under change.
///
/// `ChecksumUpdate::new(old).remove_u32(a).add_u32(b).finish()` is the checksum of the same data with `a`
/// replaced by `b`. Values are in the order in which they stand in the packet (network order, loaded natively).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ChecksumUpdate(u64);

impl ChecksumUpdate {
    /// Starts from the checksum field as it stands in the packet.
    #[inline(always)]
    pub const fn new(checksum: u16) -> Self {
        Self(!checksum as u64)
    }

    /// No change yet, of whatever is to be changed.
    #[inline(always)]
    pub const fn none() -> Self {
        Self(0)
    }

    /// The sum as it is, not folded.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From a sum that is not folded.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// This change and another one.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Takes 16 bits out of the sum.
    #[inline(always)]
    pub const fn remove_u16(self, value: u16) -> Self {
        Self(self.0 + !value as u64)
    }

    /// Puts 16 bits into the sum.
    #[inline(always)]
    pub const fn add_u16(self, value: u16) -> Self {
        Self(self.0 + value as u64)
    }

    /// Takes 32 bits out of the sum.
    #[inline(always)]
    pub const fn remove_u32(self, value: u32) -> Self {
        Self(self.0 + !value as u64)
    }

    /// Puts 32 bits into the sum.
    #[inline(always)]
    pub const fn add_u32(self, value: u32) -> Self {
        Self(self.0 + value as u64)
    }

    /// The new checksum field.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self) -> u16 {
        // 2^16 counts as one, and so does 2^32: whole words are added, and folded in the end. A number and its halves
        // exchanged make each half the sum of both, and the lower one's carry reaches the upper one.
        let sum = (self.0.wrapping_add(self.0.rotate_left(32)) >> 32) as u32;
        let sum = sum.wrapping_add(sum.rotate_left(16)) >> 16;
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full(words: &[u16]) -> u16 {
        let sum: u32 = words.iter().map(|word| u32::from(*word)).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        !(((sum & 0xffff) + (sum >> 16)) as u16)
    }

    /// Folded half by half, as it is written in RFC 1071.
    fn folded(mut sum: u64) -> u16 {
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn sums_with_every_carry_are_folded() {
        for sum in
            [0, 1, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, 0xffff_0000_ffff, u64::MAX - 1, u64::MAX]
        {
            assert_eq!(ChecksumUpdate::from_bits(sum).finish(), folded(sum), "{sum:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_sum_is_folded(sum: u64) {
            prop_assert_eq!(ChecksumUpdate::from_bits(sum).finish(), folded(sum));
        }

        #[test]
        fn update_equals_the_full_sum(mut words: [u16; 10], a: u16, b: u32, i in 0usize..8) {
            // One fixed non-zero word: an all-zero sum has two representations.
            words[9] = 1;
            let before = full(&words);
            let (old16, old32) = (words[8], u32::from(words[i]) | u32::from(words[(i + 1) % 8]) << 16);
            words[8] = a;
            words[i] = b as u16;
            words[(i + 1) % 8] = (b >> 16) as u16;
            let update = ChecksumUpdate::new(before).remove_u16(old16).add_u16(a).remove_u32(old32).add_u32(b);
            prop_assert_eq!(update.finish(), full(&words));
        }
    }
}

//! Primes, for the sizes of Maglev tables.

/// Whether `n` is prime, by trial division: sizes are at most 2^20, so that is at most 512 divisions.
pub(super) fn is_prime(n: u32) -> bool {
    n == 2
        || (n > 2 && n % 2 == 1 && (3..).step_by(2).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d)))
}

/// The least prime that is not below `n`.
pub(super) fn next_prime(n: u32) -> u32 {
    (n..).find(|n| is_prime(*n)).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_told_from_the_rest() {
        let primes: Vec<u32> = (0..30).filter(|n| is_prime(*n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65_537) && !is_prime(65_536) && !is_prime(1_009 * 1_009));
        assert_eq!(next_prime(65_522), 65_537);
    }
}

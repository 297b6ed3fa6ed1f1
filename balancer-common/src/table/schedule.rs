//! When each flow of a backend is reset: a pure function of the flow, so that packets and the agent agree without a
//! word between them.

use crate::hash::reduce;

/// An odd factor without a pattern: the hash's own bits already say in which bucket the flow stands.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// The turns of a backend's flows: start 40 · window 24 from the lowest bit up, both in jiffies. Written whole.
///
/// Every flow has a turn of its own within the window that begins at the start, by the hash of its key: `n` flows over a
/// window of `n / rate` are in any second about `rate`, as a Poisson process is (at most `rate + 5·√rate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Schedule(pub u64);

impl Schedule {
    const START: u64 = (1 << 40) - 1;
    /// The longest window, in jiffies: 4.6 h at 1,000 Hz.
    pub const WINDOW_MAX: u32 = (1 << 24) - 1;

    /// Turns from `start` (jiffies since boot) on for `window` jiffies, at most [`Self::WINDOW_MAX`].
    #[must_use]
    pub const fn new(start: u64, window: u32) -> Self {
        let window = if window > Self::WINDOW_MAX { Self::WINDOW_MAX } else { window };
        Self(start & Self::START | (window as u64) << 40)
    }

    /// Turns for `flows` flows at `rate` of them a second.
    #[must_use]
    pub const fn paced(start: u64, flows: u64, rate: u32, hz: u32) -> Self {
        let window = match rate {
            0 => u64::MAX,
            rate => flows.saturating_mul(hz as u64) / rate as u64,
        };
        Self::new(start, if window > Self::WINDOW_MAX as u64 { Self::WINDOW_MAX } else { window as u32 })
    }

    /// Length of the window in jiffies.
    #[inline(always)]
    #[must_use]
    pub const fn window(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// Jiffies until the turn of the flow whose key has this hash; 0 once it has come.
    #[inline(always)]
    #[must_use]
    pub const fn wait(self, hash: u64, jiffies: u64) -> u32 {
        let turn = reduce((hash.wrapping_mul(MIX) >> 32) as u32, self.window());
        let passed = jiffies.wrapping_sub(self.0) & Self::START;
        // A start that is a moment ahead of this clock has not passed.
        let passed = if passed > Self::START / 2 { 0 } else { passed };
        if passed >= turn as u64 { 0 } else { turn - passed as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const HZ: u32 = 250;

    /// Jiffies after the start at which each of `flows` flows has its turn, in order.
    fn turns(flows: u64, rate: u32) -> Vec<u32> {
        let schedule = Schedule::paced(7_000_000_000, flows, rate, HZ);
        let hash = |flow: u64| crate::hash::sip(&[1; 16], &flow.to_le_bytes());
        let mut turns: Vec<_> = (0..flows).map(|flow| schedule.wait(hash(flow), 7_000_000_000)).collect();
        turns.sort_unstable();
        turns
    }

    #[test]
    fn no_sliding_second_has_more_than_the_rate_allows_and_the_whole_takes_as_long_as_it_must() {
        for (flows, rate) in [(2_000, 200), (10_000, 2_000), (100_000, 2_000)] {
            let turns = turns(flows, rate);
            let most = f64::from(rate) + 5.0 * f64::from(rate).sqrt();
            for (first, turn) in turns.iter().enumerate() {
                let within = turns[first..].iter().take_while(|it| **it - turn < HZ).count();
                assert!(within as f64 <= most, "{within} of {flows} within a second at {rate}/s");
            }
            let whole = f64::from(*turns.last().unwrap()) / f64::from(HZ);
            let wanted = flows as f64 / f64::from(rate);
            assert!((whole - wanted).abs() <= wanted * 0.1, "{whole} s for {wanted} s");
        }
    }

    #[test]
    fn a_turn_comes_once_and_stays() {
        let schedule = Schedule::new((1 << 40) - 10, 1_000);
        let wait = schedule.wait(0x1234_5678_9abc_def0, (1 << 40) - 10);
        assert!((1..1_000).contains(&wait));
        let at = |jiffies| schedule.wait(0x1234_5678_9abc_def0, jiffies);
        // Over the wrap of the start's 40 bits.
        assert_eq!(at((1 << 40) - 10 + u64::from(wait) - 1), 1);
        assert_eq!(at((1 << 40) - 10 + u64::from(wait)), 0);
        assert_eq!(at((1 << 40) + 1_000_000), 0);
        // A clock that is a moment behind.
        assert_eq!(at((1 << 40) - 12), wait);
    }

    #[test]
    fn without_a_window_every_turn_has_come() {
        assert_eq!(Schedule::new(500, 0).wait(u64::MAX, 500), 0);
        assert_eq!(Schedule::paced(0, u64::MAX, 1, 1_000).window(), Schedule::WINDOW_MAX);
    }
}

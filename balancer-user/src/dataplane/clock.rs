//! How long a tick of the tables lasts, and what time it is in the kernel.

use balancer_common::settings::{self, PIN_CLOCK_MASK};
use std::time::{Duration, Instant};

/// The tables' clock: jiffies, read once from the kernel and counted on from there.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Jiffies a second.
    pub hz: u32,
    /// Flow ticks are jiffies shifted right by this.
    pub flow_shift: u32,
    /// Pin ticks are jiffies shifted right by this.
    pub pin_shift: u32,
    jiffies: u64,
    at: Instant,
}

impl Clock {
    /// A clock that stood at `jiffies` at the instant `at`.
    #[must_use]
    pub fn new(hz: u32, jiffies: u64, at: Instant) -> Self {
        Self {
            hz,
            flow_shift: settings::flow_tick_shift(hz),
            pin_shift: settings::pin_tick_shift(hz),
            jiffies,
            at,
        }
    }

    /// Jiffies now, to within one.
    #[must_use]
    pub fn jiffies(&self) -> u64 {
        self.jiffies + (self.at.elapsed().as_nanos() * u128::from(self.hz) / 1_000_000_000) as u64
    }

    /// A timeout in flow ticks, rounded up; at most half the clock's range.
    #[must_use]
    pub fn flow_ticks(&self, duration: Duration) -> u16 {
        let ticks = settings::ticks(duration.as_millis() as u64, self.hz, self.flow_shift);
        ticks.min(u64::from(u16::MAX / 2)) as u16
    }

    /// A timeout in pin ticks, rounded up; at most half the clock's range.
    #[must_use]
    pub fn pin_ticks(&self, duration: Duration) -> u32 {
        let ticks = settings::ticks(duration.as_millis() as u64, self.hz, self.pin_shift);
        ticks.min(u64::from(PIN_CLOCK_MASK / 2)) as u32
    }

    /// Flow ticks in seconds.
    #[must_use]
    pub fn flow_seconds(&self, ticks: u16) -> f64 {
        f64::from(ticks) * f64::from(1 << self.flow_shift) / f64::from(self.hz)
    }

    /// Pin ticks in seconds.
    #[must_use]
    pub fn pin_seconds(&self, ticks: u32) -> f64 {
        f64::from(ticks) * f64::from(1 << self.pin_shift) / f64::from(self.hz)
    }
}

/// The configured tick rate that a measured one must be (kernel/Kconfig.hz).
#[must_use]
pub(super) fn nearest_hz(measured: f64) -> u32 {
    let distance = |hz: &u32| (f64::from(*hz) / measured - 1.0).abs();
    [100, 250, 300, 1000].into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(250)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_rate_snaps_to_a_configured_one() {
        assert_eq!(nearest_hz(248.1), 250);
        assert_eq!(nearest_hz(1004.0), 1000);
        assert_eq!(nearest_hz(98.0), 100);
    }

    #[test]
    fn timeouts_are_cut_at_half_the_range() {
        let clock = Clock::new(250, 0, Instant::now());
        assert_eq!(clock.flow_ticks(Duration::from_secs(60)), 15);
        assert_eq!(clock.flow_ticks(Duration::from_secs(400_000)), u16::MAX / 2);
        assert!((clock.pin_seconds(clock.pin_ticks(Duration::from_secs(5))) - 5.0).abs() < 0.3);
    }
}

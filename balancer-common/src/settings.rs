//! What is fixed when the program is loaded: keys, table sizes and the length of a tick.

use crate::hash::HashKey;
use bytemuck::{Pod, Zeroable};

/// The program's constants, written into its read-only data before load.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Settings {
    /// Key of the flow and pin tables: random per set of maps, kept beside them.
    pub index_key: HashKey,
    /// Key of Maglev: from `hash_seed`, the same on every host that shares a service address.
    pub maglev_key: HashKey,
    /// Lines of the flow tables.
    pub flows4: Sizes,
    /// Lines of the v6 flow tables.
    pub flows6: Sizes,
    /// Lines of the pin tables.
    pub pins4: Sizes,
    /// Lines of the v6 pin tables.
    pub pins6: Sizes,
    /// A flow's clock counts jiffies shifted right by this many bits.
    pub flow_tick_shift: u32,
    /// A pin's clock counts jiffies shifted right by this many bits.
    pub pin_tick_shift: u32,
    /// Fresh flows of a family at most; beyond that they stay embryonic.
    pub fresh_limit: u32,
    /// UDP flows of a family at most; beyond that they stay embryonic.
    pub udp_limit: u32,
    /// A port that a translated flow had rests for a turn at least: jiffies shifted right by this many bits.
    pub port_rest_shift: u32,
    /// Keeps the size a multiple of eight.
    pub reserved: u32,
}

/// Lines of one table: `main` buckets, then `overflow` ones in the same array, and `small` ones in the
/// embryonic (flows) or tentative (pins) table.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Sizes {
    /// Buckets that a key has two of.
    pub main: u32,
    /// Buckets that a key has one of, behind the main ones.
    pub overflow: u32,
    /// Buckets of the small table beside this one.
    pub small: u32,
    /// Keeps the size a multiple of eight.
    pub reserved: u32,
}

/// The two clocks of the tables, from one reading of jiffies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Flow ticks, 16 bits that wrap.
    pub flow: u16,
    /// Pin ticks, 24 bits that wrap.
    pub pin: u32,
}

impl Settings {
    /// The clocks at this count of jiffies.
    #[inline(always)]
    #[must_use]
    pub const fn now(&self, jiffies: u64) -> Now {
        Now {
            flow: (jiffies >> self.flow_tick_shift) as u16,
            pin: (jiffies >> self.pin_tick_shift) as u32 & PIN_CLOCK_MASK,
        }
    }
}

/// A pin's clock has 24 bits.
pub const PIN_CLOCK_MASK: u32 = 0x00ff_ffff;

/// Shift for a clock whose tick is the smallest power of two of jiffies that lasts at least `seconds_x4` / 4 s.
#[must_use]
pub const fn tick_shift(hz: u32, seconds_x4: u32) -> u32 {
    let mut shift = 0;
    while (1u64 << shift) * 4 < hz as u64 * seconds_x4 as u64 {
        shift += 1;
    }
    shift
}

/// Shift of the flow clock: ticks of at least 4 s, so 16 bits wrap after 72 h.
#[must_use]
pub const fn flow_tick_shift(hz: u32) -> u32 {
    tick_shift(hz, 16)
}

/// Shift of the pin clock: ticks of at least 0.25 s, so 24 bits wrap after 48 days.
#[must_use]
pub const fn pin_tick_shift(hz: u32) -> u32 {
    tick_shift(hz, 1)
}

/// Shift of the clock of resting ports: turns of at least 65 s, longer than a `TIME_WAIT` (60 s in Linux).
#[must_use]
pub const fn port_rest_shift(hz: u32) -> u32 {
    tick_shift(hz, 4 * 65)
}

/// Ticks that are surely over after `seconds`: rounded up, plus the part of a tick that a last-seen lost.
#[must_use]
pub const fn ticks(milliseconds: u64, hz: u32, shift: u32) -> u64 {
    let jiffies = (milliseconds * hz as u64).div_ceil(1000);
    jiffies.div_ceil(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_the_smallest_power_of_two_that_is_long_enough() {
        assert_eq!((flow_tick_shift(1000), flow_tick_shift(250), flow_tick_shift(100)), (12, 10, 9));
        assert_eq!((pin_tick_shift(1000), pin_tick_shift(250), pin_tick_shift(100)), (8, 6, 5));
    }

    #[test]
    fn a_timeout_is_rounded_up_to_whole_ticks() {
        assert_eq!(ticks(60_000, 250, 10), 15);
        assert_eq!(ticks(1, 250, 10), 1);
        assert_eq!(ticks(36 * 3_600_000, 1000, 12), 31_641);
    }
}

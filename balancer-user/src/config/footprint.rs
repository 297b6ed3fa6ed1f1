//! The memory that a configuration costs.

use super::model::{Limits, Service};

/// A line of every table.
const LINE: u64 = 64;
/// Tables of a service's Maglev pool: current, previous and the one that is being built.
const POOL: u64 = 3;

/// Bytes of the tables in the kernel, which are allocated at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Flow tables, v4 and v6, with their overflow and embryonic parts.
    pub flows: u64,
    /// Pin tables, v4 and v6, with their overflow and tentative parts.
    pub pins: u64,
    /// Maglev tables of all services.
    pub maglev: u64,
}

impl Footprint {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.flows + self.pins + self.maglev
    }
}

/// What a table of `entries` costs when a line of `slots` is filled to `load` percent, with an overflow of one eighth
/// and a table of beginnings of one sixteenth.
fn table(entries: u32, slots: u64, load: u64) -> u64 {
    let lines = (u64::from(entries) * 100).div_ceil(slots * load);
    LINE * (lines + lines.div_ceil(8) + lines.div_ceil(16))
}

/// The memory that these limits and services cost.
#[must_use]
pub fn footprint(limits: &Limits, services: &[Service]) -> Footprint {
    let slots: u64 = services.iter().map(|service| u64::from(service.maglev_size)).sum();
    Footprint {
        flows: table(limits.flows, 3, 60) + table(limits.flows, 2, 55),
        pins: table(limits.pins, 4, 60) + table(limits.pins, 2, 55),
        maglev: POOL * size_of::<u16>() as u64 * slots,
    }
}

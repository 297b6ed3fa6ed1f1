//! How large a flood is, and all that it meets: whole with `BALANCER_LONG=1`, otherwise a slice of it.

use balancer_common::{
    layout::Dimensions,
    table::{bucket::Table, key::Slots as _},
    walk::family::{Family, V4, V6},
};

/// A flood has so many times as many keys as the largest of the tables has slots.
const TIMES: u64 = 10;

/// Numbers of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// `limits.flows`, and `limits.pins`.
    pub(crate) limit: u32,
    /// Sessions that are there before the flood: every other one idle.
    pub(crate) sessions: u32,
    /// Clients that were there before, and have a pin.
    pub(crate) absent: u32,
    /// Connections that are begun during the flood.
    pub(crate) connects: u32,
    /// Whether this is the whole.
    pub(crate) long: bool,
}

impl Scale {
    /// The one that the environment asks for.
    pub(crate) fn chosen() -> Self {
        if lab::long() {
            Self { limit: 65_536, sessions: 10_000, absent: 10_000, connects: 1000, long: true }
        } else {
            Self { limit: 4096, sessions: 800, absent: 800, connects: 200, long: false }
        }
    }

    /// Keys of each family in a flood.
    pub(crate) fn keys(&self) -> u64 {
        let tables = [
            self.slots::<<V4 as Family>::Flows>(),
            self.slots::<<V4 as Family>::Embryonic>(),
            self.slots::<<V4 as Family>::Pins>(),
            self.slots::<<V4 as Family>::Tentative>(),
            self.slots::<<V6 as Family>::Flows>(),
            self.slots::<<V6 as Family>::Embryonic>(),
            self.slots::<<V6 as Family>::Pins>(),
            self.slots::<<V6 as Family>::Tentative>(),
        ];
        TIMES * tables.into_iter().max().unwrap_or_default()
    }

    /// Slots of a table.
    pub(crate) fn slots<T: Table>(&self) -> u64 {
        let dimensions =
            Dimensions { flows: self.limit, pins: self.limit, maglev_lines: 0, nat4: 0, nat6: 0 };
        u64::from(dimensions.lines(T::ID)) * T::Slots::COUNT as u64
    }
}

//! The version of the tables' layout, their sizes and what they cost.

use crate::{
    settings::Sizes,
    table::{
        NUMBERS_PER_LINE, TableId, backend::MAX_BACKENDS, interface, listener::INDEX_PLACES,
        listener::MAX_LISTENERS, nat, ports, service::MAX_SERVICES, service::maglev_lines, way,
    },
};

/// Raised by every change of a line's layout, and of the line that a key stands in: bpffs objects of another version
/// are never adopted.
pub const LAYOUT_VERSION: u32 = 6;

/// Bytes of a line.
pub const LINE: u64 = 64;

/// Maglev tables of a service: the current one, the previous one, and one being built.
pub const MAGLEV_TABLES: u32 = 3;

/// Slots of the largest Maglev table for which room is kept for services to come.
pub const MAGLEV_SPARE: u32 = 65_537;
/// Services to come for which room is kept in the pool of Maglev tables.
pub const SPARE_SERVICES: u32 = 8;

/// Lines of a table with `entries` live entries in steady churn: `slots` a line, main buckets filled to `percent` %, and
/// one bucket of overflow for each `beyond` of them. `docs/tables.md` says how these were found.
const fn sizes(entries: u32, slots: u32, percent: u32, beyond: u32) -> Sizes {
    let main = (entries as u64 * 100).div_ceil(slots as u64 * percent as u64) as u32;
    let main = if main < 64 { 64 } else { main };
    Sizes { main, overflow: main.div_ceil(beyond), small: main.div_ceil(16), reserved: 0 }
}

/// Lines of the v4 flow tables: three slots a line, filled to 60 %.
#[must_use]
pub const fn flows4(flows: u32) -> Sizes {
    sizes(flows, 3, 60, 8)
}

/// Lines of the v6 flow tables: two slots a line, filled to 63 %.
#[must_use]
pub const fn flows6(flows: u32) -> Sizes {
    sizes(flows, 2, 63, 3)
}

/// Lines of the v4 pin tables: four slots a line, filled to 60 %.
#[must_use]
pub const fn pins4(pins: u32) -> Sizes {
    sizes(pins, 4, 60, 8)
}

/// Lines of the v6 pin tables: two slots a line, filled to 63 %.
#[must_use]
pub const fn pins6(pins: u32) -> Sizes {
    sizes(pins, 2, 63, 3)
}

/// What decides the sizes of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Live flows of each family.
    pub flows: u32,
    /// Pins of each family.
    pub pins: u32,
    /// Lines of the pool of Maglev tables, see [`maglev_pool`].
    pub maglev_lines: u32,
    /// Entries of translated flows of v4 clients: those of all blocks together.
    pub nat4: u32,
    /// Entries of translated flows of v6 clients.
    pub nat6: u32,
}

impl Dimensions {
    /// Lines of a table.
    #[must_use]
    pub const fn lines(&self, table: TableId) -> u32 {
        match table {
            TableId::Flows4 => big(flows4(self.flows)),
            TableId::Flows6 => big(flows6(self.flows)),
            TableId::Pins4 => big(pins4(self.pins)),
            TableId::Pins6 => big(pins6(self.pins)),
            TableId::Embryonic4 => flows4(self.flows).small,
            TableId::Embryonic6 => flows6(self.flows).small,
            TableId::Tentative4 => pins4(self.pins).small,
            TableId::Tentative6 => pins6(self.pins).small,
            TableId::Root | TableId::Gauges => 1,
            TableId::Index => 2 * (INDEX_PLACES / NUMBERS_PER_LINE),
            TableId::Listeners => 2 * MAX_LISTENERS,
            TableId::Services => MAX_SERVICES,
            TableId::Maglev => self.maglev_lines,
            TableId::Backends | TableId::Ledger => MAX_BACKENDS,
            TableId::Interfaces => interface::LINES,
            TableId::Ways => way::LINES,
            TableId::Ports4 => some(ports::lines(self.nat4)),
            TableId::Ports6 => some(ports::lines(self.nat6)),
            TableId::Nat4 => some(nat::lines4(self.nat4)),
            TableId::Nat6 => some(nat::lines6(self.nat6)),
        }
    }

    /// Bytes of a table.
    #[must_use]
    pub const fn bytes(&self, table: TableId) -> u64 {
        self.lines(table) as u64 * LINE
    }
}

/// A map has one line at least.
const fn some(lines: u32) -> u32 {
    if lines == 0 { 1 } else { lines }
}

const fn big(sizes: Sizes) -> u32 {
    sizes.main + sizes.overflow
}

/// Lines of the pool that holds three tables for each of these Maglev sizes and for [`SPARE_SERVICES`] more;
/// line 0 stays empty, as the number 0 names no table.
#[must_use]
pub fn maglev_pool(sizes: impl Iterator<Item = u32>) -> u32 {
    let used: u32 = sizes.map(maglev_lines).sum();
    1 + MAGLEV_TABLES * (used + SPARE_SERVICES * maglev_lines(MAGLEV_SPARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_flows_cost_what_the_docs_say() {
        let million = Dimensions { flows: 1 << 20, pins: 1 << 20, maglev_lines: 1, nat4: 0, nat6: 0 };
        let per_flow = |tables: [TableId; 2]| {
            tables.iter().map(|table| million.bytes(*table)).sum::<u64>() as f64 / f64::from(1 << 20)
        };
        assert!(per_flow([TableId::Flows4, TableId::Embryonic4]) <= 48.0);
        assert!(per_flow([TableId::Flows6, TableId::Embryonic6]) <= 72.0);
    }
}

//! The memory that a configuration costs.

use balancer_common::{layout::LINE, probe, table::TableId};

use super::{model::Config, nat::dimensions};

/// Bytes of the tables in the kernel, which are allocated at once. The counters, a line for each CPU and backend, come
/// on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Flow tables, v4 and v6, with their overflow and embryonic parts.
    pub flows: u64,
    /// Pin tables, v4 and v6, with their overflow and tentative parts.
    pub pins: u64,
    /// The pool of Maglev tables of all services and some to come.
    pub maglev: u64,
    /// Ports and entries of translated flows, v4 and v6.
    pub nat: u64,
    /// Services, listeners, backends and what leads to them, and health checks under way: always the same.
    pub fixed: u64,
}

impl Footprint {
    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let Self { flows, pins, maglev, nat, fixed } = *self;
        flows + pins + maglev + nat + fixed
    }
}

/// The memory that a configuration costs.
#[must_use]
pub fn footprint(config: &Config) -> Footprint {
    let dimensions = dimensions(config);
    let mut footprint = Footprint { fixed: u64::from(probe::TABLE) * LINE, ..Footprint::default() };
    for table in TableId::ALL {
        *share(&mut footprint, *table) += dimensions.bytes(*table);
    }
    footprint
}

fn share(footprint: &mut Footprint, table: TableId) -> &mut u64 {
    match table {
        TableId::Flows4 | TableId::Flows6 | TableId::Embryonic4 | TableId::Embryonic6 => &mut footprint.flows,
        TableId::Pins4 | TableId::Pins6 | TableId::Tentative4 | TableId::Tentative6 => &mut footprint.pins,
        TableId::Maglev => &mut footprint.maglev,
        TableId::Ports4 | TableId::Ports6 | TableId::Nat4 | TableId::Nat6 => &mut footprint.nat,
        TableId::Root
        | TableId::Index
        | TableId::Listeners
        | TableId::Services
        | TableId::Backends
        | TableId::Interfaces
        | TableId::Gauges
        | TableId::Ways
        | TableId::Ledger => &mut footprint.fixed,
    }
}

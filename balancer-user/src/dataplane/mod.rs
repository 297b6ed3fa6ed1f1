//! The tables and the program, as the agent uses them.
//!
//! [`Dataplane`] is the one owner. Its tables are the kernel's maps, mapped into the agent, or heap memory in
//! tests; everything above the maps is the same code. Every write is atomic for the packets that read meanwhile.

mod bpffs;
mod clock;
mod counts;
mod decap;
mod error;
mod explain;
mod kernel;
mod links;
mod listeners;
mod maglev;
mod probes;
mod query;
mod release;
mod resets;
mod steer;
mod sweep;
mod tables;
#[cfg(test)]
mod testing;
mod translation;

pub use clock::Clock;
pub use counts::{BackendCounts, Signals};
pub use decap::{Decap, DecapTables, TunnelRules, decap_mode};
pub use error::DataplaneError;
pub use explain::{By, Explanation};
pub use kernel::{Attached, OpenOptions, detach, xdp_object};
pub use probes::{Probes, Steered, Wire};
pub use query::{FlowFilter, FlowRow, PinFilter, PinRow};
pub use release::Released;
pub use resets::{Doomed, Ends, FlowId, Server, Turn};
pub use sweep::{Named, Sweep};
pub use translation::PortUse;

use crate::sys::Region;
use balancer_common::{
    env::{Env, Gauge},
    layout::Dimensions,
    packet::SlicePacket,
    reason::Reason,
    settings::Settings,
    table::{
        TableId,
        backend::{self, BackendState, NextHop},
        interface, ledger,
        line::Line,
        listener::{self, ListenerKey},
        ports::{self, Use},
        schedule::Schedule,
        service,
        way::{self, Way},
    },
    walk::{self, decision::Verdict},
};
use counts::{NoPackets, PacketCounters};
use kernel::Kernel;
use std::time::Instant;
use tables::Tables;

/// Bytes that a frame may grow by, as a driver has at least (`XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;

/// The tables, and the program on its interfaces.
pub struct Dataplane {
    tables: Tables,
    counters: Box<dyn PacketCounters>,
    kernel: Option<Kernel>,
    adopted: Adopted,
    probes: Probes,
}

/// What was found in the tables when they were opened.
#[derive(Clone, Debug, Default)]
pub struct Adopted {
    /// The maps were only just made.
    pub fresh: bool,
    /// Every backend number whose line is not empty.
    pub backends: Vec<AdoptedBackend>,
    /// Number and identity of every service.
    pub services: Vec<(u16, u64)>,
    /// Number, key and service number of every listener.
    pub listeners: Vec<(u16, ListenerKey, u16)>,
    /// The seed that the Maglev tables were made with, before this start.
    pub hash_seed: Option<[u8; 16]>,
}

/// A backend's line as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdoptedBackend {
    /// Its number.
    pub number: u16,
    /// Hash of its name.
    pub identity: u64,
    /// Its state.
    pub state: BackendState,
    /// When its flows are reset, if they are.
    pub schedule: Schedule,
    /// How many live flows it may have before it takes no new client; 0: any number.
    pub max_flows: u32,
    /// Its next hop.
    pub next_hop: NextHop,
    /// Its ways for v4 and v6 clients.
    pub ways: [Way; 2],
}

/// The shared gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Fresh TCP flows, v4 and v6.
    pub fresh: [u64; 2],
    /// UDP flows, v4 and v6.
    pub udp: [u64; 2],
    /// Connections that could not be tracked, v4 and v6.
    pub untracked: [u64; 2],
    /// Pins that found no room.
    pub pins_lost: u64,
}

impl Dataplane {
    /// In heap memory, without a packet path.
    #[must_use]
    pub fn in_memory(dimensions: Dimensions, hash_seed: [u8; 16]) -> Self {
        let regions = TableId::ALL.iter().map(|table| Region::heap(dimensions.lines(*table))).collect();
        let clock = Clock::new(250, 1 << 32, Instant::now());
        Self::over(regions, dimensions, hash_seed, clock, Box::new(NoPackets))
    }

    fn over(
        regions: Vec<Region>,
        dimensions: Dimensions,
        hash_seed: [u8; 16],
        clock: Clock,
        counters: Box<dyn PacketCounters>,
    ) -> Self {
        let (tables, fresh) = Tables::new(regions, dimensions, hash_seed, clock);
        let adopted = Adopted { fresh, ..adopt(&tables) };
        let dataplane = Self { tables, counters, kernel: None, adopted, probes: Probes::in_memory() };
        dataplane.publish_root();
        dataplane
    }

    /// What was found when the tables were opened.
    #[must_use]
    pub fn adopted(&self) -> &Adopted {
        &self.adopted
    }

    /// Sizes of the tables as they are.
    #[must_use]
    pub fn dimensions(&self) -> Dimensions {
        self.tables.dimensions
    }

    /// The seed of the Maglev tables.
    #[must_use]
    pub fn hash_seed(&self) -> [u8; 16] {
        self.tables.hash_seed()
    }

    /// The tables' clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.tables.clock
    }

    fn backend_line(&self, number: u16) -> &impl Line {
        &self.tables.lines(TableId::Backends)[usize::from(number)]
    }

    /// Writes a backend's state.
    ///
    /// # Panics
    /// If the number is not below `MAX_BACKENDS`; so for all numbers of backends here.
    pub fn set_backend(&mut self, number: u16, identity: u64, state: BackendState) {
        let line = self.backend_line(number);
        line.store(backend::WORD_IDENTITY, identity);
        line.store(backend::WORD_STATE, state.bits());
    }

    /// Writes when the flows of a backend have their turn to be reset; before the state that resets them.
    pub fn set_schedule(&mut self, number: u16, schedule: Schedule) {
        self.backend_line(number).store(backend::WORD_SCHEDULE, schedule.0);
    }

    /// Writes how many live flows a backend may have before it takes no new client; 0: any number.
    pub fn set_max_flows(&mut self, number: u16, limit: u32) {
        let line = &self.tables.lines(TableId::Ledger)[usize::from(number)];
        line.store(ledger::WORD_LIMIT, u64::from(limit));
    }

    /// Writes a backend's next hop.
    pub fn set_next_hop(&mut self, number: u16, hop: NextHop) {
        self.backend_line(number).store(backend::WORD_NEXT_HOP, hop.0);
    }

    /// Writes the way to a backend for v4 or v6 clients. Packets find no next hop while anything else of it changes.
    ///
    /// # Errors
    /// If the kernel cannot say when the last packet has read the old one.
    pub fn set_way(&mut self, number: u16, v4: bool, way: &Way) -> Result<(), DataplaneError> {
        let line = &self.tables.lines(TableId::Ways)[way::line_of(number, v4) as usize];
        let words = way.words();
        if (0..way::WORD_HOP).any(|word| line.load(word) != words[word]) {
            line.store(way::WORD_HOP, 0);
            crate::sys::wait_for_readers().map_err(DataplaneError::Membarrier)?;
            (0..way::WORD_HOP).for_each(|word| line.store(word, words[word]));
        }
        line.store(way::WORD_HOP, words[way::WORD_HOP]);
        Ok(())
    }

    /// Empties a backend's line and counters: nothing names the number any more.
    pub fn clear_backend(&mut self, number: u16) {
        self.counters.clear(number);
        let line = self.backend_line(number);
        for word in 0..8 {
            line.store(word, 0);
        }
        let ledger = &self.tables.lines(TableId::Ledger)[usize::from(number)];
        for word in 0..8 {
            ledger.store(word, 0);
        }
        for v4 in [true, false] {
            self.tables.lines(TableId::Ways)[way::line_of(number, v4) as usize].restore(&[0; 8]);
        }
    }

    /// Writes a service's identity and the timeout of its pins, in pin ticks.
    ///
    /// # Panics
    /// If the number is not below `MAX_SERVICES`; so for all numbers of services here.
    pub fn set_service(&mut self, number: u16, identity: u64, affinity_timeout: u32) {
        let line = &self.tables.lines(TableId::Services)[usize::from(number)];
        line.store(service::WORD_IDENTITY, identity);
        line.store(service::WORD_AFFINITY, u64::from(affinity_timeout));
    }

    /// Empties a service's line and gives its Maglev tables back: nothing names the number any more.
    pub fn clear_service(&mut self, number: u16) {
        let line = &self.tables.lines(TableId::Services)[usize::from(number)];
        for word in 0..8 {
            line.store(word, 0);
        }
    }

    /// Line of an interface in the table of interfaces.
    #[must_use]
    pub fn interface_line(&self, index: u32) -> Option<u16> {
        interface::find(&self.tables, index).map(|found| found.line)
    }

    /// Writes the interfaces: index and MAC address each.
    ///
    /// # Errors
    /// If there are too many whose indices are equal modulo the size of the table.
    pub fn set_interfaces(&mut self, interfaces: &[(u32, [u8; 6])]) -> Result<(), DataplaneError> {
        let lines = self.tables.lines(TableId::Interfaces);
        for line in lines {
            let index = line.load(interface::WORD_INDEX) as u32;
            if index != 0 && !interfaces.iter().any(|(wanted, _)| *wanted == index) {
                line.store(interface::WORD_INDEX, 0);
            }
        }
        for (index, mac) in interfaces {
            let free = (0..interface::PROBES)
                .map(|probe| &lines[((index + probe) % interface::LINES) as usize])
                .find(|line| {
                    let there = line.load(interface::WORD_INDEX) as u32;
                    there == 0 || there == *index
                })
                .ok_or(DataplaneError::TooManyInterfaces { index: *index })?;
            free.store(interface::WORD_MAC, NextHop::new(*mac, 0).mac());
            free.store(interface::WORD_INDEX, u64::from(*index));
        }
        Ok(())
    }

    /// A backend's counters.
    #[must_use]
    pub fn counts(&self, number: u16) -> BackendCounts {
        let mut counts = BackendCounts::default();
        for words in self.counters.backend(number) {
            counts.add(&words);
        }
        counts.add_agents(&self.tables.lines(TableId::Ledger)[usize::from(number)]);
        counts
    }

    /// Packets by reason.
    #[must_use]
    pub fn reasons(&self) -> Vec<(Reason, u64)> {
        let count = |reason| match reason {
            Reason::Flow => self.counters.reason(reason) + self.settled(),
            _ => self.counters.reason(reason),
        };
        Reason::ALL.iter().map(|reason| (*reason, count(*reason))).collect()
    }

    /// Packets of the reason `flow` to the backends that there are.
    fn settled(&self) -> u64 {
        let backends = self.tables.lines(TableId::Backends).iter().zip(0..);
        let numbers = backends.filter(|(line, _)| line.load(backend::WORD_STATE) != 0);
        numbers.map(|(_, number)| self.counts(number).settled).sum()
    }

    /// The shared gauges.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let value = |gauge: Gauge| u64::from(self.tables.gauge_value(gauge));
        Gauges {
            fresh: [value(Gauge::Fresh4), value(Gauge::Fresh6)],
            udp: [value(Gauge::Udp4), value(Gauge::Udp6)],
            untracked: [value(Gauge::Untracked4), value(Gauge::Untracked6)],
            pins_lost: value(Gauge::PinsLost),
        }
    }

    /// What is seen of a backend whose answers come this way.
    #[must_use]
    pub fn signals(&self, number: u16) -> Signals {
        self.counters.signals(number).iter().fold(Signals::default(), Signals::and)
    }

    /// The use of word `number` of a table of ports.
    #[must_use]
    pub fn ports(&self, table: TableId, number: u32) -> Use {
        ports::uses(&self.tables, table, number)
    }

    /// What the program was loaded with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.tables.settings
    }

    /// Sends a frame that came in by the interface with index `ingress` through the host's build of the packet's walk,
    /// over the same tables. The agent's own counters count what it changes; packets and reasons are not counted.
    pub fn walk(&self, frame: &mut Vec<u8>, ingress: u32) -> Verdict {
        frame.splice(..0, [0; HEADROOM]);
        let mut packet = SlicePacket::with_headroom(frame, HEADROOM, ingress);
        let verdict = walk::walk(&self.tables, &mut packet);
        *frame = packet.frame().to_vec();
        verdict
    }

    /// The program on each interface.
    #[must_use]
    pub fn attached(&self) -> &[Attached] {
        self.kernel.as_ref().map_or(&[], Kernel::attached)
    }
}

fn adopt(tables: &Tables) -> Adopted {
    let backends = tables.lines(TableId::Backends).iter().zip(0..).filter_map(|(line, number)| {
        let state = BackendState::from_bits(line.load(backend::WORD_STATE))?;
        Some(AdoptedBackend {
            number,
            identity: line.load(backend::WORD_IDENTITY),
            state,
            schedule: Schedule(line.load(backend::WORD_SCHEDULE)),
            max_flows: tables.lines(TableId::Ledger)[usize::from(number)].load(ledger::WORD_LIMIT) as u32,
            next_hop: NextHop(line.load(backend::WORD_NEXT_HOP)),
            ways: [true, false].map(|v4| way(tables, number, v4)),
        })
    });
    let services = tables.lines(TableId::Services).iter().zip(0..).filter_map(|(line, number)| {
        let identity = line.load(service::WORD_IDENTITY);
        (identity != 0).then_some((number, identity))
    });
    Adopted {
        fresh: false,
        backends: backends.collect(),
        services: services.collect(),
        listeners: listeners::current(tables),
        hash_seed: None,
    }
}

fn way(tables: &Tables, number: u16, v4: bool) -> Way {
    let line = &tables.lines(TableId::Ways)[way::line_of(number, v4) as usize];
    Way::from_words(&std::array::from_fn(|word| line.load(word)))
}

/// The current listener with this number.
fn listener(
    tables: &Tables,
    number: u16,
) -> Option<listener::Listener<'_, balancer_common::table::line::HostLine>> {
    listener::by_number(tables, number)
}

//! A world on the host: one service over tables of any size, a clock that the test moves, and CPUs with counters of
//! their own.

mod cpu;
mod modes;

pub(crate) use cpu::{Counts, Cpu};

use balancer_common::{
    hash::HashKey,
    maglev::{self, Entrant, Walk},
    parse::transport::{Segment, TcpFlags},
    serve::Serving,
    settings::{Settings, Sizes},
    state::{AffinityBy, OnExpire, OnNone, Proto},
    table::{
        NUMBERS_PER_LINE, TableId,
        backend::{self, NextHop},
        interface,
        line::{HostLine, Line},
        listener::{Echo, ListenerEntry, ListenerKey, TimeoutTicks, wide4},
        nat, ports,
        service::{self, MaglevRoot, maglev_lines},
    },
    walk::family::{Family, V4, V6},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Backend numbers that the counters have room for, 0 included.
pub(crate) const BACKENDS: usize = 8;
/// Number of the one service.
pub(crate) const SERVICE: u16 = 1;
/// Port of the listeners that have one.
pub(crate) const PORT: u16 = 443;
/// Port of the v4 listener whose affinity is by connection.
pub(crate) const PORT_BY_CONNECTION: u16 = 444;
/// Address on which every TCP port is listened on.
pub(crate) const VIP_ANY: u32 = u32::from_ne_bytes([203, 0, 113, 11]);
/// Index, and line, of the interface that frames come in by.
pub(crate) const INGRESS: u32 = 1;
/// Its MAC address.
pub(crate) const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Pin ticks that an idle pin lives; a pin tick is a jiffy.
pub(crate) const AFFINITY: u32 = 200;
/// Jiffies of a flow tick.
pub(crate) const FLOW_TICK: u64 = 1 << FLOW_TICK_SHIFT;
/// Timeouts in flow ticks.
pub(crate) const TIMEOUTS: TimeoutTicks = TimeoutTicks { syn: 4, established: 12, closing: 2, udp: 6 };

const FLOW_TICK_SHIFT: u32 = 4;
const PORT_REST_SHIFT: u32 = 9;
const MAGLEV: u32 = 251;
const ALL: u8 = Serving::FLOWS | Serving::PINNED | Serving::NEW;

/// A line of a test's tables.
pub(crate) trait TestLine: Line + Sized {
    /// A line that CPUs contend for.
    fn shared() -> Self;
    /// A line that only the agent writes.
    fn fixed() -> Self;
}

impl TestLine for HostLine {
    fn shared() -> Self {
        Self::default()
    }

    fn fixed() -> Self {
        Self::default()
    }
}

/// How large a world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Lines of the tables of both families.
    pub(crate) flows: Sizes,
    /// Lines of the pin tables of both families.
    pub(crate) pins: Sizes,
    /// Backends, numbered from 1.
    pub(crate) backends: u16,
    /// Fresh flows, and UDP flows, of a family at most.
    pub(crate) bound: u32,
    /// Entries of translated flows, v4 and v6 each.
    pub(crate) entries: u32,
}

impl Shape {
    /// A world of two buckets and one of overflow in each table.
    pub(crate) const TINY: Self =
        Self { flows: sizes(2, 1, 1), pins: sizes(2, 1, 1), backends: 2, bound: 1000, entries: 0 };
}

/// Sizes of a table.
pub(crate) const fn sizes(main: u32, overflow: u32, small: u32) -> Sizes {
    Sizes { main, overflow, small, reserved: 0 }
}

/// The tables that every CPU sees.
#[derive(Debug)]
pub(crate) struct World<L> {
    settings: Settings,
    tables: Vec<Vec<L>>,
    jiffies: AtomicU64,
}

impl<L: TestLine> World<L> {
    /// One service on several listeners, with backends that take everything.
    pub(crate) fn new(shape: Shape) -> Self {
        Self::with(shape, true, true)
    }

    /// As [`World::new`], with tables of one family only.
    pub(crate) fn of<F: Family>(shape: Shape) -> Self {
        Self::with(shape, F::IS_V4, !F::IS_V4)
    }

    fn with(shape: Shape, v4: bool, v6: bool) -> Self {
        let settings = Settings {
            index_key: HashKey::from_seed(&[1; 16]),
            maglev_key: HashKey::from_seed(&[9; 16]),
            flows4: shape.flows,
            flows6: shape.flows,
            pins4: shape.pins,
            pins6: shape.pins,
            flow_tick_shift: FLOW_TICK_SHIFT,
            pin_tick_shift: 0,
            fresh_limit: shape.bound,
            udp_limit: shape.bound,
            port_rest_shift: PORT_REST_SHIFT,
            reserved: 0,
        };
        let tables = TableId::ALL.iter().map(|table| table_lines(*table, &shape, v4, v6)).collect();
        let mut world = Self { settings, tables, jiffies: AtomicU64::new(1000 * FLOW_TICK) };
        world.fill(shape.backends);
        world
    }

    fn fill(&mut self, backends: u16) {
        let ingress = self.at(TableId::Interfaces, INGRESS as usize);
        ingress.store(interface::WORD_INDEX, u64::from(INGRESS));
        ingress.store(interface::WORD_MAC, NextHop::new(OWN, 0).mac());
        for number in 1..=backends {
            self.serve(number, ALL);
            self.reach(number, self.hop(number));
        }
        let service = self.at(TableId::Services, usize::from(SERVICE));
        service.store(service::WORD_AFFINITY, u64::from(AFFINITY));
        service.store(service::WORD_ROOT, MaglevRoot { current: 1, previous: 0 }.bits());
        self.choose_among(&(1..=backends).collect::<Vec<_>>());
        self.listen(false, &[]);
    }

    /// Lets new clients have these backends alone.
    pub(crate) fn choose_among(&self, numbers: &[u16]) {
        for (slot, number) in maglev_table(numbers).into_iter().enumerate() {
            let line = self.at(TableId::Maglev, 1 + slot / NUMBERS_PER_LINE as usize);
            store_number(line, slot as u32, number);
        }
    }

    fn at(&self, table: TableId, index: usize) -> &L {
        &self.tables[table as usize][index]
    }

    /// Says what a backend may do.
    pub(crate) fn serve(&self, number: u16, serving: u8) {
        self.at(TableId::Backends, usize::from(number)).store(backend::WORD_STATE, u64::from(serving));
    }
}

impl<L> World<L> {
    /// All lines of a table.
    pub(crate) fn lines(&self, table: TableId) -> &[L] {
        &self.tables[table as usize]
    }

    /// What was fixed at load.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, jiffies: u64) {
        self.jiffies.fetch_add(jiffies, Ordering::SeqCst);
    }
}

fn table_lines<L: TestLine>(table: TableId, shape: &Shape, v4: bool, v6: bool) -> Vec<L> {
    let big = |sizes: Sizes| sizes.main + sizes.overflow;
    let shared =
        |family: bool, count: u32| (0..if family { count } else { 0 }).map(|_| L::shared()).collect();
    let fixed = |count: u32| (0..count).map(|_| L::fixed()).collect();
    match table {
        TableId::Flows4 => shared(v4, big(shape.flows)),
        TableId::Flows6 => shared(v6, big(shape.flows)),
        TableId::Embryonic4 => shared(v4, shape.flows.small),
        TableId::Embryonic6 => shared(v6, shape.flows.small),
        TableId::Pins4 => shared(v4, big(shape.pins)),
        TableId::Pins6 => shared(v6, big(shape.pins)),
        TableId::Tentative4 => shared(v4, shape.pins.small),
        TableId::Tentative6 => shared(v6, shape.pins.small),
        TableId::Gauges => shared(true, 1),
        TableId::Maglev => fixed(1 + maglev_lines(MAGLEV)),
        TableId::Listeners => fixed(modes::LISTENERS),
        TableId::Ways => fixed(2 * BACKENDS as u32),
        TableId::Ports4 | TableId::Ports6 => shared(true, ports::lines(shape.entries)),
        TableId::Nat4 => shared(true, nat::lines4(shape.entries)),
        TableId::Nat6 => shared(true, nat::lines6(shape.entries)),
        _ => fixed(BACKENDS as u32),
    }
}

fn maglev_table(numbers: &[u16]) -> Vec<u16> {
    let names: Vec<String> = numbers.iter().map(|number| format!("backend-{number}")).collect();
    let entrants: Vec<Entrant<'_>> = names
        .iter()
        .zip(numbers)
        .map(|(name, number)| Entrant { name, number: *number, weight: 1 })
        .collect();
    let mut slots = vec![0; MAGLEV as usize];
    maglev::fill(&mut slots, &mut vec![Walk::default(); entrants.len()], &entrants, &[3; 16]);
    slots
}

fn store_number<L: Line>(line: &L, place: u32, number: u16) {
    let place = (place % NUMBERS_PER_LINE) as usize;
    let shift = place % 4 * 16;
    let word = line.load(place / 4) & !(0xffff << shift) | u64::from(number) << shift;
    line.store(place / 4, word);
}

fn listeners() -> [ListenerEntry; 9] {
    let (v4, any) = (wide4(V4::VIP), wide4(VIP_ANY));
    let (tcp, udp) = (Proto::Tcp as u8, Proto::Udp as u8);
    let keys = [
        (v4, PORT, tcp),
        (v4, PORT, udp),
        (V6::VIP, PORT, tcp),
        (V6::VIP, PORT, udp),
        (any, 0, tcp),
        (v4, PORT_BY_CONNECTION, tcp),
        // The bare addresses, so that what cannot be read is known to be for a service.
        (v4, 0, 0),
        (V6::VIP, 0, 0),
        (any, 0, 0),
    ];
    let mut numbers = 1..;
    keys.map(|(address, port, proto)| ListenerEntry {
        key: ListenerKey { address, port, proto },
        listener: numbers.next().unwrap_or_default(),
        service: if proto == 0 { 0 } else { SERVICE },
        by: if port == PORT_BY_CONNECTION { AffinityBy::Connection } else { AffinityBy::Client },
        salt: 1,
        maglev_size: MAGLEV,
        affinity_timeout: AFFINITY,
        v4_prefix: 32,
        v6_prefix: 64,
        timeouts: TIMEOUTS,
        on_none: OnNone::Reset,
        on_expire: OnExpire::Forget,
        nat: false,
        echo: Echo::Pass,
    })
}

/// A family's addresses in these worlds.
pub(crate) trait Addresses: Family<Address: Send + 'static> {
    /// The service address.
    const VIP: Self::Address;
    /// Number of the TCP listener; the UDP one follows.
    const LISTENER: u16;
    /// Address of client `number`.
    fn client(number: u32) -> Self::Address;

    /// A TCP segment of client `number` without payload.
    fn tcp(number: u32, sport: u16, flags: u8, seq: u32) -> Segment<Self::Address> {
        Segment {
            source: Self::client(number),
            destination: Self::VIP,
            sport,
            dport: PORT,
            proto: Proto::Tcp as u8,
            flags: TcpFlags(flags),
            ip: 0,
            seq,
            ack: seq.wrapping_add(7),
            span: u32::from(flags & (TcpFlags::SYN | TcpFlags::FIN) != 0),
            at: 0,
        }
    }

    /// A datagram of client `number`.
    fn udp(number: u32, sport: u16) -> Segment<Self::Address> {
        Segment { proto: Proto::Udp as u8, ..Self::tcp(number, sport, 0, 0) }
    }
}

impl Addresses for V4 {
    const VIP: u32 = u32::from_ne_bytes([203, 0, 113, 10]);
    const LISTENER: u16 = 1;

    fn client(number: u32) -> u32 {
        (0x0a00_0000 | number).to_be()
    }
}

impl Addresses for V6 {
    const VIP: [u64; 2] = [u64::from_ne_bytes([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]), 0x10];
    const LISTENER: u16 = 3;

    /// In a /64 of its own: that is what a client is.
    fn client(number: u32) -> [u64; 2] {
        [(0x2001_0db8_0000_0000 | u64::from(number)).to_be(), 1]
    }
}

//! Translated flows: whom a port belongs to, and how many ports are left.

use std::net::{IpAddr, SocketAddr};

use balancer_common::{
    state::Mode,
    table::{
        TableId,
        bucket::KeyOf,
        nat::{self, Entry},
        ports::{Block, PORTS_A_WORD},
    },
};

use super::{Dataplane, listener, query::HostFamily, resets::Server, tables::Tables, way};

/// How the ports of a block are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortUse {
    /// Flows have them.
    pub taken: u64,
    /// Flows had them, and the backend may remember that.
    pub resting: u64,
    /// Nobody has them.
    pub free: u64,
}

impl PortUse {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.taken + self.resting + self.free
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            taken: self.taken + other.taken,
            resting: self.resting + other.resting,
            free: self.free + other.free,
        }
    }
}

impl Dataplane {
    /// How the ports of a block of v4 or v6 clients are used, whose sources have so many bits that are free.
    #[must_use]
    pub fn port_use(&self, v4: bool, block: Block, host_bits: u8) -> PortUse {
        let table = if v4 { TableId::Ports4 } else { TableId::Ports6 };
        let words = u32::from(block.words) << host_bits;
        let first = block.base / PORTS_A_WORD;
        let mut sum = PortUse::default();
        for word in first..first + words {
            let found = self.ports(table, word);
            sum.taken += u64::from(found.taken.count_ones());
            sum.resting += u64::from(found.resting.count_ones());
        }
        sum.free = u64::from(words * PORTS_A_WORD) - sum.taken - sum.resting;
        sum
    }
}

/// The address and port that the packets of `client`'s flow of a listener come from at its backend, if they are
/// translated; `hint` is what stands beside its slot.
pub(super) fn source(
    tables: &Tables,
    client: SocketAddr,
    of: u16,
    backend: u16,
    hint: u32,
) -> Option<SocketAddr> {
    listener(tables, of).filter(|it| it.nat())?;
    let v4 = client.is_ipv4();
    let (owner, (port, number)) = match v4 {
        true => nat::find4(tables, hint).map(facts),
        false => nat::find6(tables, hint).map(facts),
    }?;
    // An entry that has changed hands since the slot was read.
    if owner >> 32 != u64::from(client.port()) | u64::from(of) << 16 {
        return None;
    }
    let way = way(tables, backend, v4);
    if way.hop.mode() != Mode::Nat as u8 {
        return None;
    }
    if way.keep {
        return Some(client);
    }
    let first = way.sources.first;
    let address = match v4 {
        true => IpAddr::from((u32::from_be(first[0]) | u32::from(number)).to_be_bytes()),
        false => {
            let first = u128::from_be_bytes(bytemuck::cast(first));
            IpAddr::from((first | u128::from(number)).to_be_bytes())
        }
    };
    Some(SocketAddr::new(address, port))
}

/// The backend's side of a translated flow that was accepted; `asked` is the port that its client asked.
pub(super) fn server<F: HostFamily>(
    tables: &Tables,
    client: SocketAddr,
    key: &KeyOf<F::Flows>,
    backend: u16,
    hint: u32,
    asked: u16,
) -> Option<Server> {
    let own = source(tables, client, F::listener_of(key), backend, hint)?;
    let ack = F::entry(tables, hint)?.backend_ack();
    let way = way(tables, backend, F::IS_V4);
    let address = F::address(F::of_words(way.destination));
    let port = if way.port == 0 { asked } else { way.port };
    (ack != 0).then_some(Server { own, backend: SocketAddr::new(address, port), ack })
}

fn facts<L: balancer_common::table::line::Line>(entry: Entry<'_, L>) -> (u64, (u16, u16)) {
    (entry.owner(), entry.port_and_source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Service,
        control::{
            entries::{listener_entry, words_of},
            testing,
        },
    };
    use balancer_common::{
        layout::Dimensions,
        table::{
            backend::NextHop,
            ports,
            way::{Sources, Way},
        },
    };

    #[test]
    fn ports_are_counted_over_all_sources_of_a_block() {
        let dimensions = Dimensions { flows: 64, pins: 64, maglev_lines: 1, nat4: 1024, nat6: 0 };
        let tables = Dataplane::in_memory(dimensions, [0; 16]);
        let block = Block { base: 128, first: 1024, words: 2 };
        let count = || tables.port_use(true, block, 1);
        assert_eq!(count(), PortUse { taken: 0, resting: 0, free: 256 });
        let take_in = |word, from| ports::take_in(&tables.tables, TableId::Ports4, word, from);
        let entries: Vec<_> = (0..3).map(|n| ports::take(block, 2, n << 40, take_in).unwrap()).collect();
        assert_eq!(count(), PortUse { taken: 3, resting: 0, free: 253 });
        ports::give_back(&tables.tables, TableId::Ports4, entries[0]);
        assert_eq!(count(), PortUse { taken: 2, resting: 1, free: 253 });
        let other = Block { base: 0, ..block };
        assert_eq!(tables.port_use(true, other, 0).free, 128, "another's ports are not counted");
    }

    const BACKEND: u16 = 7;
    const LISTENER: u16 = 5;

    /// Tables with a listener of translated clients and a backend whose packets come from one of 16 addresses.
    fn world(keep: bool) -> Dataplane {
        let dimensions = Dimensions { flows: 64, pins: 64, maglev_lines: 1, nat4: 1024, nat6: 64 };
        let mut tables = Dataplane::in_memory(dimensions, [0; 16]);
        let service = Service { mode: Mode::Nat, ..testing::service("ws", Vec::new()) };
        let listener = listener_entry(&service, &service.listen[0], (LISTENER, 1), &[0; 16], tables.clock());
        tables.set_listeners(&[listener], &[]).unwrap();
        for (v4, first) in [(true, "192.0.2.64"), (false, "2001:db8::40")] {
            let sources = Sources { first: words_of(first.parse().unwrap()), host_bits: 4 };
            let hop = NextHop::new([2, 0, 0, 0, 0, 1], 1).by(Mode::Nat);
            tables.set_way(BACKEND, v4, &Way { sources, keep, hop, ..Way::default() }).unwrap();
        }
        tables
    }

    /// What the flow of `client` is said to come from, if its entry 3 says port 2000 of source 9, and is of `sport`.
    fn told(tables: &Dataplane, client: &str, sport: u16) -> Option<String> {
        let owner = (u64::from(sport) | u64::from(LISTENER) << 16) << 32;
        let client: SocketAddr = client.parse().unwrap();
        let write = |entry: Entry<'_, _>| {
            entry.set_owner(owner | 0xffff);
            entry.set_port_and_source(2000, 9, 0);
        };
        match client.is_ipv4() {
            true => nat::find4(&tables.tables, 3).map(write),
            false => nat::find6(&tables.tables, 3).map(write),
        }
        .unwrap();
        source(&tables.tables, client, LISTENER, BACKEND, 3).map(|it| it.to_string())
    }

    #[test]
    fn a_translated_flow_comes_from_a_port_of_one_of_the_sources() {
        let pool = world(false);
        assert_eq!(told(&pool, "198.51.100.1:40000", 40_000).as_deref(), Some("192.0.2.73:2000"));
        assert_eq!(told(&pool, "[2001:db8:9::1]:40000", 40_000).as_deref(), Some("[2001:db8::49]:2000"));
        assert_eq!(told(&pool, "198.51.100.1:40000", 40_001), None, "the entry is another's by now");
        let keep = world(true);
        assert_eq!(told(&keep, "198.51.100.1:40000", 40_000).as_deref(), Some("198.51.100.1:40000"));
    }
}

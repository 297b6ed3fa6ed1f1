//! How many entries translated flows take: one a port of each source address to each backend.

use std::{collections::BTreeMap, net::IpAddr};

use balancer_common::{
    layout::{Dimensions, maglev_pool},
    table::ports::{Block, PORTS_A_WORD},
};
use ipnet::IpNet;

use super::{
    model::{Agent, Backend, Config, Limits, Mode, Service, Source},
    sources::host_bits,
};

/// Blocks of backends to come for which room is kept, in a family that has any.
pub const SPARE_BLOCKS: u32 = 8;
/// Entries of a family at most: with 64 bytes each they take 16 GiB.
pub(super) const MAX_ENTRIES: u64 = 1 << 28;

/// What the blocks of one family are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// The configured source addresses, if there are.
    pub sources: Option<IpNet>,
    /// The first port.
    pub first: u16,
    /// Ports of each source address, in words of 64.
    pub words: u16,
    /// Words of the one block of the flows that keep their client's address.
    pub keep_words: u16,
}

/// The source addresses of this family, if there are.
#[must_use]
pub fn sources_of(sources: &[IpNet], v4: bool) -> Option<IpNet> {
    sources.iter().find(|net| matches!(net, IpNet::V4(_)) == v4).copied()
}

impl PoolShape {
    /// The shape for v4 or v6 clients.
    #[must_use]
    pub fn of(agent: &Agent, limits: &Limits, v4: bool) -> Self {
        let sources = sources_of(&agent.sources, v4);
        Self {
            sources,
            first: limits.nat_ports.first,
            words: limits.nat_ports.words(),
            keep_words: u16::try_from(limits.flows.div_ceil(PORTS_A_WORD)).unwrap_or(u16::MAX),
        }
    }

    /// Bits of a source address that are free.
    #[must_use]
    pub fn host_bits(&self) -> u8 {
        self.sources.as_ref().map_or(0, host_bits)
    }

    /// Entries of one backend's block.
    #[must_use]
    pub fn entries(&self) -> u64 {
        (u64::from(self.words) * u64::from(PORTS_A_WORD)) << self.host_bits()
    }

    /// Entries of the block of the flows that keep their client's address.
    #[must_use]
    pub fn keep_entries(&self) -> u64 {
        u64::from(self.keep_words) * u64::from(PORTS_A_WORD)
    }

    /// The block of a backend whose first entry is `base`.
    #[must_use]
    pub const fn block(&self, base: u32) -> Block {
        Block { base, first: self.first, words: self.words }
    }

    /// The block of the flows that keep their client's address, whose first entry is `base`.
    #[must_use]
    pub const fn keep_block(&self, base: u32) -> Block {
        Block { base, first: 0, words: self.keep_words }
    }
}

/// Whether packets of these clients of a service are translated.
pub(super) fn translates(service: &Service, v4: bool) -> bool {
    service.mode == Mode::Nat && service.listen.iter().any(|listen| listen.address.is_ipv4() == v4)
}

/// Entries that all blocks of a family take, room for some to come included.
#[must_use]
pub(super) fn entries(shape: &PoolShape, services: &[Service], v4: bool) -> u64 {
    let of = |source| services.iter().filter(move |it| translates(it, v4) && it.source == source);
    let backends = || of(Source::Pool).flat_map(|service| &service.backends);
    let pool = match of(Source::Pool).next() {
        Some(_) => (blocks(backends(), v4) + u64::from(SPARE_BLOCKS)) * shape.entries(),
        None => 0,
    };
    pool + of(Source::Keep).next().map_or(0, |_| shape.keep_entries())
}

/// Blocks that backends want: one an address and port, but one an address whose port some of them leave open.
fn blocks<'a>(backends: impl Iterator<Item = &'a Backend>, v4: bool) -> u64 {
    let mut ports: BTreeMap<IpAddr, Vec<u16>> = BTreeMap::new();
    for endpoint in backends.flat_map(|it| &it.addresses).filter(|it| it.address.is_ipv4() == v4) {
        let known = ports.entry(endpoint.address).or_default();
        if !known.contains(&endpoint.port_or_zero()) {
            known.push(endpoint.port_or_zero());
        }
    }
    ports.values().map(|ports| if ports.contains(&0) { 1 } else { ports.len() as u64 }).sum()
}

/// The sizes of the tables that a configuration asks for.
#[must_use]
pub fn dimensions(config: &Config) -> Dimensions {
    let Config { agent, limits, services } = config;
    let nat = |v4| {
        let entries = entries(&PoolShape::of(agent, limits, v4), services, v4);
        u32::try_from(entries).unwrap_or(u32::MAX)
    };
    Dimensions {
        flows: limits.flows,
        pins: limits.pins,
        maglev_lines: maglev_pool(services.iter().map(|service| service.maglev_size)),
        nat4: nat(true),
        nat6: nat(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing;

    fn nat(backends: &[&[&str]], source: Source) -> Service {
        let backends = backends.iter().zip(1..).map(|(addresses, n)| Backend {
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            ..testing::backend(&format!("b-{n}"), n)
        });
        Service { mode: Mode::Nat, source, ..testing::service("ws", backends.collect()) }
    }

    fn four(services: Vec<Service>, sources: &[&str]) -> (u32, u32) {
        let mut config = testing::config(services);
        config.agent.sources = sources.iter().map(|text| text.parse().unwrap()).collect();
        let Dimensions { nat4, nat6, .. } = dimensions(&config);
        (nat4, nat6)
    }

    #[test]
    fn a_block_is_a_port_of_each_source_to_each_address_and_port() {
        let block = 31_744;
        assert_eq!(four(vec![testing::service("ws", vec![testing::backend("b", 1)])], &[]), (0, 0));
        let two = nat(&[&["10.0.0.1:81"], &["10.0.0.1:82"]], Source::Pool);
        assert_eq!(four(vec![two.clone()], &[]), ((2 + 8) * block, 0));
        assert_eq!(four(vec![two.clone()], &["192.0.2.64/30", "2001:db8::/124"]), ((2 + 8) * 4 * block, 0));
        let open = nat(&[&["10.0.0.1"]], Source::Pool);
        assert_eq!(four(vec![two, open], &[]), ((1 + 8) * block, 0), "whoever leaves the port open shares");
    }

    #[test]
    fn flows_that_keep_their_address_share_one_block() {
        let keep = nat(&[&["10.0.0.1"], &["10.0.0.2"]], Source::Keep);
        // 1,000 flows, in words of 64.
        assert_eq!(four(vec![keep.clone(), keep], &["192.0.2.64/28"]), (1_024, 0));
    }
}

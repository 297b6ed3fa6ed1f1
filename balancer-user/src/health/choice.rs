//! Which way the check of a backend takes, of those that there are.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use crate::{
    config::{
        model::{Endpoint, HealthKind, Listen, Mode, Proto, Service, Via},
        sources_of,
    },
    dataplane::Probes,
    health::way::Tunnel,
};

/// The ways that a check can take from this host.
#[derive(Clone, Debug)]
pub struct Ways {
    /// Where checks by the datapath stand.
    pub probes: Probes,
    /// Whether the kernel has the programs of such checks.
    pub datapath: bool,
    /// Addresses that are known to be reached by an interface that does not have them.
    pub elsewhere: BTreeSet<IpAddr>,
    /// Where tunnels come from.
    pub sources: Vec<IpNet>,
}

impl Ways {
    /// The tunnel in which a service of this mode sends clients of the family of its address.
    pub(super) fn tunnel(&self, mode: Mode, service: IpAddr) -> Option<Tunnel> {
        let sources = sources_of(&self.sources, service.is_ipv4());
        (mode == Mode::Ipip).then_some(Tunnel { sources })
    }
}

#[cfg(test)]
impl Ways {
    /// Every way; no program reads the table.
    pub(crate) fn in_memory() -> Self {
        let (elsewhere, sources) = (BTreeSet::new(), Vec::new());
        Self { probes: Probes::in_memory(), datapath: true, elsewhere, sources }
    }
}

/// The address of a backend that is asked, of those that it has, and the service address that takes its place on the
/// wire if the check goes by the datapath. `None`: it cannot be asked.
pub(super) fn choose(
    service: &Service,
    addresses: &[Endpoint],
    ways: &Ways,
) -> Option<(Endpoint, Option<IpAddr>)> {
    let health = &service.health;
    let by_datapath = match health.via {
        Via::Direct => None,
        _ if service.mode == Mode::Nat => None,
        Via::Auto if !ways.datapath => None,
        Via::Auto => {
            let near = addresses.iter().filter(|it| !ways.elsewhere.contains(&it.address));
            paired(near, || sure(service))
        }
        Via::Datapath => {
            let asked = |listen: &&Listen| health.port.is_some() || listen.port.is_some();
            Some(paired(addresses.iter(), || listeners(service).filter(asked))?)
        }
    };
    let (address, by) = by_datapath.unzip();
    Some((address.or_else(|| addresses.first().copied())?, by))
}

/// Whether checks of a service go by the datapath where the kernel has it.
#[must_use]
pub fn may_go_by_datapath(service: &Service) -> bool {
    match service.health.via {
        _ if service.mode == Mode::Nat => false,
        Via::Direct => false,
        Via::Auto => sure(service).next().is_some(),
        Via::Datapath => true,
    }
}

/// The listeners where what answers clients answers a check too: those of TCP on the port that is asked. One of every
/// port is none of these: a port that only checks are for may be served on the backend's own address alone.
fn sure(service: &Service) -> impl Iterator<Item = &Listen> {
    let asked = (service.health.kind != HealthKind::None).then_some(service.health.port);
    service.listen.iter().filter(move |listen| {
        let is_asked = asked.is_some_and(|port| port.is_none() || port == listen.port);
        listen.proto == Proto::Tcp && listen.port.is_some() && is_asked
    })
}

/// The first address that a listener has the family of, and the first such listener's.
fn paired<'a, L: Iterator<Item = &'a Listen>>(
    mut addresses: impl Iterator<Item = &'a Endpoint>,
    listeners: impl Fn() -> L,
) -> Option<(Endpoint, IpAddr)> {
    addresses.find_map(|address| {
        let listen = listeners().find(|listen| same_family(listen.address, address.address))?;
        Some((*address, listen.address))
    })
}

/// Those of TCP come first.
pub(super) fn listeners(service: &Service) -> impl Iterator<Item = &Listen> {
    let of = |tcp: bool| service.listen.iter().filter(move |listen| (listen.proto == Proto::Tcp) == tcp);
    of(true).chain(of(false))
}

pub(super) fn same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;

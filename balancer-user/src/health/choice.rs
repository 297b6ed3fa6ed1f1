//! Which way the check of a backend takes, of those that there are.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use crate::{
    config::{
        Config,
        model::{Endpoint, HealthKind, Listen, Mode, Proto, Service, Source, Via},
        sources_of,
    },
    dataplane::Probes,
    health::way::{Guise, Origin},
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
    /// What checks can have of clients' packets.
    pub guises: Guises,
}

/// What checks can have of clients' packets, by the file alone.
#[derive(Clone, Debug, Default)]
pub struct Guises {
    /// Where packets to backends come from.
    sources: Vec<IpNet>,
    /// Where clients ask by TCP; port `None`: at every one.
    heard: BTreeSet<(IpAddr, Option<u16>)>,
}

impl Guises {
    /// Of this file.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let listens = config.services.iter().flat_map(|service| &service.listen);
        let tcp = listens.filter(|listen| listen.proto == Proto::Tcp);
        Self {
            sources: config.agent.sources.clone(),
            heard: tcp.map(|listen| (listen.address, listen.port)).collect(),
        }
    }

    /// What the check of a service has of those packets that come by this listener. `None`: an answer to the service address
    /// would be taken for a client's packet.
    fn guise(&self, service: &Service, listen: &Listen) -> Option<Guise> {
        let address = listen.address;
        let origin = || Origin { sources: sources_of(&self.sources, address.is_ipv4()) };
        match (service.mode, service.source) {
            (Mode::L2dsr, _) => Some(Guise::Service { address, tunnel: None }),
            (Mode::Ipip, _) => Some(Guise::Service { address, tunnel: Some(origin()) }),
            (Mode::Nat, Source::Pool) => Some(Guise::Translated(origin())),
            (Mode::Nat, Source::Keep) => {
                let there = self.heard.iter().filter(|(it, _)| *it == address);
                let heard = there.map(|(_, port)| *port).collect::<Option<_>>()?;
                Some(Guise::Kept { address, heard })
            }
        }
    }
}

impl Guise {
    /// Whether such a check tells more than a direct one, and nothing wrong: who is asked as by a client may answer clients by
    /// another way than the service address.
    fn tells(&self) -> bool {
        match self {
            Self::Service { .. } => true,
            Self::Translated(origin) => origin.sources.is_some(),
            Self::Kept { .. } => false,
        }
    }
}

#[cfg(test)]
impl Ways {
    /// Every way; no program reads the table.
    pub(crate) fn in_memory() -> Self {
        let (elsewhere, guises) = (BTreeSet::new(), Guises::default());
        Self { probes: Probes::in_memory(), datapath: true, elsewhere, guises }
    }
}

/// The address of a backend that is asked, of those that it has, and what the check has of clients' packets if it goes by the
/// datapath. `None`: it cannot be asked.
pub(super) fn choose(
    service: &Service,
    addresses: &[Endpoint],
    ways: &Ways,
) -> Option<(Endpoint, Option<Guise>)> {
    let guise = |listen: &Listen| ways.guises.guise(service, listen);
    let directly = || Some((*addresses.first()?, None));
    match service.health.via {
        Via::Direct => directly(),
        Via::Auto if !ways.datapath => directly(),
        Via::Auto => {
            let near = addresses.iter().filter(|it| !ways.elsewhere.contains(&it.address));
            let told = |listen: &Listen| guise(listen).filter(Guise::tells);
            paired(near, |address| sure(service, address.port), told).or_else(directly)
        }
        Via::Datapath => {
            let has_port = |address: Endpoint| address.port.or(service.health.port).is_some();
            let asked = move |address| {
                listeners(service).filter(move |listen| has_port(address) || listen.port.is_some())
            };
            paired(addresses.iter(), asked, guise)
        }
    }
}

/// Whether checks of a service go by the datapath where the kernel has it.
#[must_use]
pub fn may_go_by_datapath(service: &Service, guises: &Guises) -> bool {
    let tells = |listen| guises.guise(service, listen).is_some_and(|guise| guise.tells());
    match service.health.via {
        Via::Direct => false,
        Via::Auto => {
            let addresses = || service.backends.iter().flat_map(|backend| &backend.addresses);
            let ports = addresses().map(|address| address.port).chain([None]);
            ports.into_iter().any(|port| sure(service, port).any(tells))
        }
        Via::Datapath => true,
    }
}

/// The listeners where what answers clients answers a check too: those of TCP on the port that is asked, of a backend that
/// has this one. One of every port is none of these: a port that only checks are for may be served on the backend's own
/// address alone.
fn sure(service: &Service, port: Option<u16>) -> impl Iterator<Item = &Listen> {
    let asked = (service.health.kind != HealthKind::None).then_some(service.health.port);
    service.listen.iter().filter(move |listen| {
        let clients = port.or(listen.port);
        let is_asked = asked.is_some_and(|asked| asked.is_none() || asked == clients);
        listen.proto == Proto::Tcp && listen.port.is_some() && is_asked
    })
}

/// The first address that a listener has the family of, and what the check has of packets that come by the first such one.
fn paired<'a, L: Iterator<Item = &'a Listen>>(
    mut addresses: impl Iterator<Item = &'a Endpoint>,
    listeners: impl Fn(Endpoint) -> L,
    guise: impl Fn(&Listen) -> Option<Guise>,
) -> Option<(Endpoint, Option<Guise>)> {
    addresses.find_map(|address| {
        let listen = listeners(*address).find(|listen| same_family(listen.address, address.address))?;
        Some((*address, Some(guise(listen)?)))
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

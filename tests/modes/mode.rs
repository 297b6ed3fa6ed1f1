//! The modes: what each wants of configuration, network and backends.

use lab::{
    fixture::file::{Backend, File, Service},
    paths::Place,
    shape::{Answers, Backends, Shape},
    topology::Host,
};
use std::net::IpAddr;

/// Port of the service.
pub(crate) const PORT: u16 = 7777;
/// Port of a backend that is translated to another one.
const OTHER_PORT: u16 = 8081;
/// Addresses of the balancer's own, which the router sends to it.
const SOURCES: &str = "sources = [\"10.79.0.16/28\", \"fd79::10/124\"]";
/// Names of the services, by their protocol.
pub(crate) const SERVICES: [&str; 2] = ["tcp", "udp"];
/// Backends from the start; one more is added.
pub(crate) const FIRST: u8 = 3;

/// A mode, with where its source addresses come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    L2dsr,
    Ipip,
    Nat,
    NatKeep,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::L2dsr => "l2dsr",
            Self::Ipip => "ipip",
            Self::Nat => "nat",
            Self::NatKeep => "nat, keep",
        }
    }

    const fn keys(self) -> &'static str {
        match self {
            Self::L2dsr => "mode = \"l2dsr\"",
            Self::Ipip => "mode = \"ipip\"",
            Self::Nat => "mode = \"nat\"",
            Self::NatKeep => "mode = \"nat\"\nsource = \"keep\"",
        }
    }

    /// The same, and segments of 1300 bytes at most.
    pub(crate) const fn clamped(self) -> &'static str {
        match self {
            Self::L2dsr => "mode = \"l2dsr\"\nmss_clamp = 1300",
            Self::Ipip => "mode = \"ipip\"\nmss_clamp = 1300",
            Self::Nat => "mode = \"nat\"\nmss_clamp = 1300",
            Self::NatKeep => "mode = \"nat\"\nsource = \"keep\"\nmss_clamp = 1300",
        }
    }

    const fn has_sources(self) -> bool {
        matches!(self, Self::Ipip | Self::Nat)
    }

    const fn translates(self) -> bool {
        matches!(self, Self::Nat | Self::NatKeep)
    }

    /// The network that it wants, with its backends there.
    pub(crate) fn shape(self, backends: Backends) -> Shape {
        let answers = if self == Self::NatKeep { Answers::ThroughBalancer } else { Answers::Direct };
        Shape { answers, service_on_lo: !self.translates(), ..Shape::of(backends) }
    }

    /// Where a backend's server listens, if that is its own address and no service's.
    pub(crate) fn own_port(self, backends: Backends) -> u16 {
        if self.translates() && backends == Backends::Routed { OTHER_PORT } else { PORT }
    }

    /// Whether a backend's server listens on the service address.
    pub(crate) const fn serves_the_service_address(self) -> bool {
        !self.translates()
    }

    /// Whether a backend may see a client at this address.
    pub(crate) fn may_see(self, client: IpAddr, at: IpAddr) -> bool {
        (client == at) == (self != Self::Nat)
    }

    /// The backend as it is configured.
    pub(crate) fn backend(self, host: Host, backends: Backends) -> Backend {
        let port = Some(self.own_port(backends)).filter(|port| *port != PORT);
        Backend { port, ..Backend::new(host) }
    }

    /// The agent's file.
    pub(crate) fn file(self, place: &Place, backends: Backends) -> File {
        let service = |name| Service {
            keys: self.keys(),
            backends: (1..=FIRST).map(|n| self.backend(Host::Backend(n), backends)).collect(),
            ..Service::new(name, PORT, name, FIRST)
        };
        let agent = if backends == Backends::Routed && self.has_sources() { SOURCES } else { "" };
        let interfaces = match backends {
            Backends::TwoSegments => vec!["eth0", "eth1"],
            Backends::Segment | Backends::Routed => vec!["eth0"],
        };
        File { interfaces, agent, services: SERVICES.map(service).to_vec(), ..File::web(place, 0) }
    }

    /// Bytes that its packets are longer between balancer and backend, for v4 and v6 clients.
    pub(crate) const fn overhead(self, v6: bool) -> usize {
        match (self, v6) {
            (Self::Ipip, false) => 20,
            (Self::Ipip, true) => 40,
            _ => 0,
        }
    }
}

//! The agent's file in each mode.

use lab::{
    fixture::{
        file::{Backend, File, Service},
        mode::Mode,
    },
    paths::Place,
    shape::Backends,
    topology::Host,
};

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

/// Where a backend's server listens, if that is its own address and no service's.
pub(crate) fn own_port(mode: Mode, backends: Backends) -> u16 {
    if mode.translates() && backends == Backends::Routed { OTHER_PORT } else { PORT }
}

/// The backend as it is configured.
pub(crate) fn backend(mode: Mode, host: Host, backends: Backends) -> Backend {
    let port = Some(own_port(mode, backends)).filter(|port| *port != PORT);
    Backend { port, ..Backend::new(host) }
}

/// The agent's file.
pub(crate) fn file(mode: Mode, place: &Place, backends: Backends) -> File {
    let service = |name| Service {
        mode,
        backends: (1..=FIRST).map(|n| backend(mode, Host::Backend(n), backends)).collect(),
        ..Service::new(name, PORT, name, FIRST)
    };
    let agent = if backends == Backends::Routed && mode.has_sources() { SOURCES } else { "" };
    let interfaces = match backends {
        Backends::TwoSegments => vec!["eth0", "eth1"],
        Backends::Segment | Backends::Routed => vec!["eth0"],
    };
    File { interfaces, agent, services: SERVICES.map(service).to_vec(), ..File::web(place, 0) }
}

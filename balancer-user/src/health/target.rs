//! Whom a check asks.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    config::model::{HealthCheck, HealthKind, Listen, Proto, Service, Via},
    dataplane::Probes,
    health::Way,
};

/// A backend by its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendKey {
    /// Name of the service.
    pub service: String,
    /// Name of the backend in it.
    pub backend: String,
}

impl fmt::Display for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.backend)
    }
}

/// What is asked, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The address that is asked. A backend with two addresses, one v4 and one v6, is *one* server: its
    /// check goes to the first that the configuration names.
    pub address: IpAddr,
    /// The port that is asked.
    pub port: u16,
    /// Which way the check takes.
    pub way: Way,
    /// The check.
    pub check: HealthCheck,
}

impl Target {
    /// The target of a backend with these addresses: the first; the port of the check, else of the service's first TCP
    /// listener, else of its first listener that has one. By the datapath these are the first address and the
    /// listeners of one family. `None` if there is no such address, or no port to ask and the kind wants one.
    #[must_use]
    pub fn of(service: &Service, addresses: &[IpAddr], probes: &Probes) -> Option<Self> {
        let check = service.health.clone();
        let (address, way) = match check.via {
            Via::Direct => (*addresses.first()?, Way::Direct),
            Via::Datapath => {
                let (address, service) = by_datapath(service, addresses)?;
                (address, Way::Datapath { service, probes: probes.clone() })
            }
        };
        let heard = |listen: &Listen| check.via == Via::Direct || same_family(listen.address, address);
        let port = check.port.or_else(|| listeners(service).filter(|it| heard(it)).find_map(|it| it.port));
        let port = if check.kind == HealthKind::None { port.unwrap_or(0) } else { port? };
        Some(Self { address, port, way, check })
    }

    /// Address and port.
    #[must_use]
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// The backend's first address that a service address is of the family of, and the first such, of a listener with a
/// port if the check has none of its own.
fn by_datapath(service: &Service, addresses: &[IpAddr]) -> Option<(IpAddr, IpAddr)> {
    addresses.iter().find_map(|address| {
        let asked = |listen: &&Listen| service.health.port.is_some() || listen.port.is_some();
        let listen = listeners(service).filter(asked).find(|listen| same_family(listen.address, *address))?;
        Some((*address, listen.address))
    })
}

/// Those of TCP come first.
fn listeners(service: &Service) -> impl Iterator<Item = &Listen> {
    let of = |tcp: bool| service.listen.iter().filter(move |listen| (listen.proto == Proto::Tcp) == tcp);
    of(true).chain(of(false))
}

fn same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing;

    fn service(listen: &[(u16, Proto)], kind: HealthKind, port: Option<u16>) -> Service {
        let address = "203.0.113.10".parse().unwrap();
        let listen = listen.iter();
        let listen = listen.map(|&(port, proto)| Listen { address, port: (port > 0).then_some(port), proto });
        let plain = testing::service("ws", Vec::new());
        Service {
            listen: listen.collect(),
            health: HealthCheck { kind, port, ..plain.health.clone() },
            ..plain
        }
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn asked(service: &Service) -> Option<String> {
        let target = Target::of(service, &addresses(&["10.0.1.10", "2001:db8::a"]), &Probes::in_memory())?;
        Some(target.socket_address().to_string())
    }

    #[test]
    fn the_first_address_is_asked_on_the_checks_port_before_the_listeners() {
        let listen = [(0, Proto::Tcp), (53, Proto::Udp), (443, Proto::Tcp)];
        let with_port = service(&listen, HealthKind::Tcp, Some(8081));
        assert_eq!(asked(&with_port).as_deref(), Some("10.0.1.10:8081"));
        assert_eq!(asked(&service(&listen, HealthKind::Tcp, None)).as_deref(), Some("10.0.1.10:443"));
        assert_eq!(asked(&service(&listen[..2], HealthKind::Tcp, None)).as_deref(), Some("10.0.1.10:53"));
    }

    #[test]
    fn a_check_without_any_port_has_no_target_unless_it_asks_nothing() {
        assert_eq!(asked(&service(&[(0, Proto::Tcp)], HealthKind::Tcp, None)), None);
        assert!(asked(&service(&[(0, Proto::Tcp)], HealthKind::None, None)).is_some());
    }

    /// What is asked where, by the datapath, of a service that listens on these addresses.
    fn asked_by_datapath(listen: &[&str], port: Option<u16>, backend: &[&str]) -> Option<String> {
        let mut service = service(&[], HealthKind::Tcp, port);
        service.health.via = Via::Datapath;
        service.listen = listen.iter().map(|listen| listen.parse().unwrap()).collect();
        let target = Target::of(&service, &addresses(backend), &Probes::in_memory())?;
        let Way::Datapath { service, .. } = target.way else { panic!("{target:?}") };
        Some(format!("{service} on {}", target.socket_address()))
    }

    #[test]
    fn by_the_datapath_the_service_address_of_the_backends_family_is_asked() {
        let listen = ["203.0.113.10:53/udp", "[2001:db8::10]:80/tcp", "203.0.113.11:443/tcp"];
        let of = |backend: &[&str]| asked_by_datapath(&listen, None, backend);
        assert_eq!(of(&["10.0.1.10", "fd00::a"]).as_deref(), Some("203.0.113.11 on 10.0.1.10:443"));
        assert_eq!(of(&["fd00::a", "10.0.1.10"]).as_deref(), Some("2001:db8::10 on [fd00::a]:80"));
        let with_port = asked_by_datapath(&["203.0.113.10:*/tcp"], Some(8081), &["10.0.1.10"]);
        assert_eq!(with_port.as_deref(), Some("203.0.113.10 on 10.0.1.10:8081"));
    }

    #[test]
    fn by_the_datapath_a_backend_is_asked_at_the_address_that_a_service_address_can_replace() {
        let v6 = ["[2001:db8::10]:443/tcp"];
        let second = asked_by_datapath(&v6, None, &["10.0.1.10", "fd00::a"]);
        assert_eq!(second.as_deref(), Some("2001:db8::10 on [fd00::a]:443"));
        assert_eq!(asked_by_datapath(&v6, None, &["10.0.1.10"]), None);
        assert_eq!(asked_by_datapath(&["203.0.113.10:*/tcp"], None, &["10.0.1.10"]), None);
    }
}

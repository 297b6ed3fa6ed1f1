//! Whom a check asks.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    config::model::{Endpoint, HealthCheck, HealthKind, Listen, Service},
    health::{
        Way,
        choice::{Ways, choose, listeners, same_family},
    },
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
    /// The target of a backend with these addresses: the first; the port of the check, else of that address, else of the
    /// service's first TCP listener, else of its first listener that has one. By the datapath these are the first address and the
    /// listeners of one family. `None` if there is no such address, or no port to ask and the kind wants one.
    #[must_use]
    pub fn of(service: &Service, addresses: &[Endpoint], ways: &Ways) -> Option<Self> {
        let check = service.health.clone();
        let (address, guise) = choose(service, addresses, ways)?;
        let fits = |it: &&Listen| guise.is_none() || same_family(it.address, address.address);
        let mut heard = listeners(service).filter(fits);
        let port = check.port.or(address.port).or_else(|| heard.find_map(|it| it.port));
        let way = guise.map_or(Way::Direct, |guise| Way::Datapath { guise, probes: ways.probes.clone() });
        let port = if check.kind == HealthKind::None { port.unwrap_or(0) } else { port? };
        Some(Self { address: address.address, port, way, check })
    }

    /// Address and port.
    #[must_use]
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::model::{Mode, Proto},
        control::testing,
    };

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

    fn addresses(texts: &[&str]) -> Vec<Endpoint> {
        texts.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn asked(service: &Service) -> Option<String> {
        let target = Target::of(service, &addresses(&["10.0.1.10", "2001:db8::a"]), &Ways::in_memory())?;
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
    fn the_port_of_a_backend_is_asked_before_the_listeners() {
        let with = |port| {
            let service = Service { mode: Mode::Nat, ..service(&[(443, Proto::Tcp)], HealthKind::Tcp, port) };
            let target = Target::of(&service, &addresses(&["10.0.1.10:8443"]), &Ways::in_memory()).unwrap();
            (target.socket_address().to_string(), target.way)
        };
        assert_eq!(with(None), ("10.0.1.10:8443".to_owned(), Way::Direct));
        assert_eq!(with(Some(81)), ("10.0.1.10:81".to_owned(), Way::Direct));
    }

    #[test]
    fn a_check_without_any_port_has_no_target_unless_it_asks_nothing() {
        assert_eq!(asked(&service(&[(0, Proto::Tcp)], HealthKind::Tcp, None)), None);
        assert!(asked(&service(&[(0, Proto::Tcp)], HealthKind::None, None)).is_some());
    }
}

//! The configuration file of a test, as values that it can change.

use std::{fmt, net::IpAddr};

use lab::{
    network::INTERFACE,
    paths::Place,
    topology::{Host, UDP_PORT, VIP_V4, VIP_V6, WEB_PORT, WS_PORT},
};

/// A file that is valid unless a test makes it otherwise.
#[derive(Clone)]
pub(crate) struct File {
    /// The lab, for the agent's paths.
    pub(crate) place: Place,
    /// `agent.interfaces`.
    pub(crate) interfaces: Vec<&'static str>,
    /// Further lines of `[agent]`.
    pub(crate) agent: &'static str,
    /// `limits.flows`.
    pub(crate) flows: u32,
    /// Its services.
    pub(crate) services: Vec<Service>,
}

/// A service.
#[derive(Clone)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its port and protocol, on both service addresses.
    pub(crate) front: String,
    /// Further lines of it.
    pub(crate) keys: &'static str,
    /// Kind of its check, and its keys.
    pub(crate) check: &'static str,
    /// Its backends.
    pub(crate) backends: Vec<Backend>,
}

/// A backend.
#[derive(Clone)]
pub(crate) struct Backend {
    /// Its name.
    pub(crate) name: String,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Further lines of it.
    pub(crate) keys: &'static str,
}

impl File {
    /// nginx on the first `backends` backends, checked by HTTP.
    pub(crate) fn web(place: &Place, backends: u8) -> Self {
        let service = Service::new("web", WEB_PORT, "tcp", backends);
        let services = vec![Service { check: "kind = \"http\"\npath = \"/health\"", ..service }];
        Self { place: place.clone(), interfaces: vec![INTERFACE], agent: "", flows: 4096, services }
    }

    /// And the lab's WebSocket and UDP servers on the same ones.
    pub(crate) fn whole(place: &Place, backends: u8) -> Self {
        let mut file = Self::web(place, backends);
        file.services.push(Service::new("ws", WS_PORT, "tcp", backends));
        file.services.push(Service::new("udp", UDP_PORT, "udp", backends));
        file
    }
}

impl Service {
    /// The lab's server on `port` of the first `backends` backends, checked by a connect.
    pub(crate) fn new(name: &'static str, port: u16, proto: &str, backends: u8) -> Self {
        Self {
            name,
            front: format!("{port}/{proto}"),
            keys: "",
            check: "kind = \"tcp\"",
            backends: (1..=backends).map(|n| Backend::new(Host::Backend(n))).collect(),
        }
    }
}

impl Backend {
    /// A backend of the lab.
    pub(crate) fn new(host: Host) -> Self {
        Self { name: host.to_string(), addresses: vec![host.v4().into(), host.v6().into()], keys: "" }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, interfaces, agent, flows, services } = self;
        let (api, state) = (place.api(), place.agent_state());
        let bpffs = place.bpffs().join("balancer");
        writeln!(
            f,
            "schema = 1\n\n[agent]\ninterfaces = {interfaces:?}\napi = {api:?}\nstate_dir = {state:?}\nbpffs = {bpffs:?}\n\
             {agent}\n\n[limits]\nflows = {flows}\npins = 4096"
        )?;
        services.iter().try_for_each(|service| write!(f, "\n{service}"))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, front, keys, check, backends } = self;
        writeln!(
            f,
            "[[service]]\nname = \"{name}\"\nlisten = [\"{VIP_V4}:{front}\", \"[{VIP_V6}]:{front}\"]\n{keys}\n\
             timeouts = {{ closing = \"4s\" }}\n\n[service.health]\n{check}\n\
             interval = \"300ms\"\ntimeout = \"300ms\"\nrise = 1\nfall = 2"
        )?;
        backends.iter().try_for_each(|backend| write!(f, "\n{backend}"))
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, addresses, keys } = self;
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        writeln!(f, "[[service.backend]]\nname = \"{name}\"\naddress = {addresses:?}\n{keys}")
    }
}

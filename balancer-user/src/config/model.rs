//! The configuration as the rest of the agent sees it: validated, every default applied.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use balancer_common::state::{Admin, AffinityBy, DrainEnd, Mode, OnDown, OnExpire, OnNone, Proto};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[agent]`.
    pub agent: Agent,
    /// `[limits]`.
    pub limits: Limits,
    /// `[[service]]`, in the order of the file.
    pub services: Vec<Service>,
}

/// How the agent runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Interfaces that XDP is attached to.
    pub interfaces: Vec<String>,
    /// Which XDP mode is asked for.
    pub xdp_mode: XdpMode,
    /// What happens to the datapath when the agent exits in order.
    pub on_exit: OnExit,
    /// Path of the API socket.
    pub api: PathBuf,
    /// Address of `/metrics`.
    pub stats: SocketAddr,
    /// Directory of the journal, the numbers, the seed and the lock.
    pub state_dir: PathBuf,
    /// Directory of the bpffs objects, inside a mounted bpffs.
    pub bpffs: PathBuf,
    /// Addresses that tunnelled and translated packets come from: one prefix of a family at most; of a family without
    /// one, the own address that the route to the backend prefers.
    pub sources: Vec<IpNet>,
}

/// Which XDP mode is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// Native, else generic.
    Auto,
    /// In the driver.
    Native,
    /// In the network core: works everywhere, slower.
    Generic,
}

/// What happens to the datapath when the agent exits in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// Packets go on flowing.
    Keep,
    /// As `balancer detach`.
    Detach,
}

/// Sizes of the tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Live flows, v4 and v6 each, that are tracked in steady churn.
    pub flows: u32,
    /// Pins, v4 and v6 each.
    pub pins: u32,
    /// Seed of Maglev; `None`: made once and kept in `state_dir`.
    pub hash_seed: Option<[u8; 16]>,
    /// Ports that translated packets come from.
    pub nat_ports: PortRange,
}

/// Ports from a first one to a last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first of them.
    pub first: u16,
    /// The last of them.
    pub last: u16,
}

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name, unique.
    pub name: String,
    /// Its front-end addresses.
    pub listen: Vec<Listen>,
    /// How packets reach its backends.
    pub mode: Mode,
    /// From which address translated packets come; counts in mode `nat` alone.
    pub source: Source,
    /// Largest segment size that a handshake may announce.
    pub mss_clamp: Option<u16>,
    /// Who answers an echo request to a service address.
    pub icmp_echo: IcmpEcho,
    /// Slots of its Maglev table, a prime.
    pub maglev_size: u32,
    /// How clients are pinned.
    pub affinity: Affinity,
    /// When a silent flow is forgotten.
    pub timeouts: Timeouts,
    /// The application's heartbeat, if it is known.
    pub heartbeat: Option<Duration>,
    /// Verbs that would leave fewer than this many up want `--force`.
    pub min_ready: u32,
    /// What becomes of the flows of a backend that goes down.
    pub on_down: OnDown,
    /// Flows of a backend that are reset a second.
    pub reset_rate: u32,
    /// What becomes of a TCP flow that has run out.
    pub on_expire: OnExpire,
    /// What becomes of a new connection that nobody can serve.
    pub on_none: OnNone,
    /// Thousandths of the backends up below which health is ignored; `None`: never.
    pub panic_below: Option<u16>,
    /// How a drain ends.
    pub drain: Drain,
    /// Its health check.
    pub health: HealthCheck,
    /// Its backends, in the order of the file.
    pub backends: Vec<Backend>,
}

/// From which address translated packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// From one of `agent.sources`, or this host's own.
    Pool,
    /// From their client's.
    Keep,
}

/// Who answers an echo request to a service address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpEcho {
    /// The host.
    Host,
    /// The balancer, while enough backends are ready.
    Balancer,
}

/// A front-end address, `203.0.113.10:443/tcp`; a port of `None` is `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    /// Service address.
    pub address: IpAddr,
    /// Port, or any.
    pub port: Option<u16>,
    /// Transport protocol.
    pub proto: Proto,
}

/// How clients are pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// What affinity goes by.
    pub by: AffinityBy,
    /// How long a pin lives after the last packet of its client's last flow.
    pub timeout: Duration,
    /// Leading bits of a v4 client address that make one client.
    pub v4_prefix: u8,
    /// Leading bits of a v6 client address that make one client.
    pub v6_prefix: u8,
}

/// When a silent flow is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// An established TCP flow.
    pub established: Duration,
    /// A TCP flow after a FIN or RST of the client.
    pub closing: Duration,
    /// A flow that was only just promoted.
    pub syn: Duration,
    /// A UDP flow.
    pub udp: Duration,
}

/// How a drain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long flows may go on.
    pub deadline: Duration,
    /// What becomes of them then.
    pub end: DrainEnd,
}

/// A health check.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: HealthKind,
    /// Another port than the service's.
    pub port: Option<u16>,
    /// Which way it is to take.
    pub via: Via,
    /// Time between the starts of two checks, jittered.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// Good checks in a row that make a `down` backend `up`.
    pub rise: u32,
    /// Failed checks in a row that make an `up` backend `down`.
    pub fall: u32,
}

/// Which way a health check is to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// By the datapath where it can be had, else directly.
    Auto,
    /// To the backend's own address.
    Direct,
    /// To the service address on that backend, as a client's packet.
    Datapath,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq)]
pub enum HealthKind {
    /// Nothing: always up.
    None,
    /// A TCP connect.
    Tcp,
    /// An HTTP/1.1 GET.
    Http {
        /// `Host` header.
        host: Option<String>,
        /// Path of the request.
        path: String,
        /// Status codes that mean good.
        expect: Vec<u16>,
        /// Status codes by which the application asks to be drained; none of them is expected.
        drain_on: Vec<u16>,
    },
}

/// An address of a backend, `10.0.1.10` or `[2001:db8::10]:8081`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port that packets for it get; `None`: they keep the one that their client asked.
    pub port: Option<u16>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Its name, unique in its service.
    pub name: String,
    /// One address, or one v4 and one v6.
    pub addresses: Vec<Endpoint>,
    /// Share of new clients relative to the others.
    pub weight: u32,
    /// What the file wants of it.
    pub state: Admin,
    /// It serves only when no other may.
    pub backup: bool,
    /// Live flows with which it takes no new client.
    pub max_flows: Option<u32>,
}

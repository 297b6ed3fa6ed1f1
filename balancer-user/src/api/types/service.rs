//! Services.

use serde::{Deserialize, Serialize};

use super::{BackendRow, Schema};

/// `GET /v1/services`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicesDoc {
    /// Version of the document.
    pub schema: Schema,
    /// In the order of the file.
    pub services: Vec<ServiceRow>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Its name.
    pub name: String,
    /// Its front-end addresses, `203.0.113.10:443/tcp`.
    pub listen: Vec<String>,
    /// How packets reach its backends.
    pub mode: String,
    /// How a backend is chosen.
    pub balance: String,
    /// How clients are pinned.
    pub affinity: AffinityInfo,
    /// Backends that take new clients.
    pub ready_backends: u64,
    /// Backends that it has.
    pub backends: u64,
    /// Live flows.
    pub flows: u64,
    /// How it fares as a whole.
    pub state: ServiceState,
}

/// How a service pins its clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AffinityInfo {
    /// `client` or `connection`.
    pub by: String,
    /// Seconds that a pin outlives its client's last flow.
    pub timeout: u64,
    /// Leading bits of a v4 address that make one client.
    pub v4_prefix: u8,
    /// Leading bits of a v6 address that make one client.
    pub v6_prefix: u8,
}

/// How a service fares as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// At least `min_ready` backends take new clients.
    Up,
    /// Some do, fewer than `min_ready`.
    Degraded,
    /// None is up; clients are placed as if health were ignored.
    Panic,
    /// Nobody can serve.
    Down,
}

/// `GET /v1/services/{service}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceDoc {
    /// Version of the document.
    pub schema: Schema,
    /// The service with its settings.
    pub service: ServiceDetail,
    /// Its backends.
    pub backends: Vec<BackendRow>,
}

/// A service with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceDetail {
    /// What the list shows of it.
    #[serde(flatten)]
    pub row: ServiceRow,
    /// Pins of its clients.
    pub pins: u64,
    /// Verbs that would leave fewer than this many up want `force`.
    pub min_ready: u32,
    /// Slots of its Maglev table.
    pub maglev_size: u32,
    /// Where translated packets come from, `pool` or `keep`; `null` in other modes than `nat`.
    #[serde(default)]
    pub source: Option<String>,
    /// Largest segment size that a handshake may announce; `null`: any.
    #[serde(default)]
    pub mss_clamp: Option<u16>,
    /// Who answers echo requests, `host` or `balancer`.
    #[serde(default)]
    pub icmp_echo: String,
    /// Idle timeouts in seconds.
    pub timeouts: TimeoutsInfo,
    /// Its health check.
    pub health: HealthInfo,
}

/// Idle timeouts in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeoutsInfo {
    /// An established TCP flow.
    pub established: u64,
    /// A TCP flow after the client's FIN or RST.
    pub closing: u64,
    /// A flow that was only just promoted.
    pub syn: u64,
    /// A UDP flow.
    pub udp: u64,
}

/// A health check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthInfo {
    /// `none`, `tcp` or `http`.
    pub kind: String,
    /// Port, if it is not the service's.
    pub port: Option<u16>,
    /// Path of an HTTP check.
    pub path: Option<String>,
    /// Which way it takes; `None` where nobody is asked.
    pub via: Option<CheckVia>,
    /// What the file says of that: `auto`, `datapath` or `direct`.
    pub via_configured: String,
    /// Seconds between two checks.
    pub interval: f64,
    /// Seconds after which a check has failed.
    pub timeout: f64,
    /// Good checks that make a `down` backend `up`.
    pub rise: u32,
    /// Failed checks that make an `up` backend `down`.
    pub fall: u32,
}

/// Which way the checks of a service take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckVia {
    /// To the backends' own addresses.
    Direct,
    /// To the service address on each backend.
    Datapath,
    /// To some backends so, to others so.
    Both,
}

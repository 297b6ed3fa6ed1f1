//! Backends.

use std::net::IpAddr;

use balancer_common::state::{Admin, Health};
use serde::{Deserialize, Serialize};

use super::{Schema, words};
use crate::config::Endpoint;

/// `GET /v1/services/{service}/backends`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendsDoc {
    /// Version of the document.
    pub schema: Schema,
    /// Name of the service.
    pub service: String,
    /// Its backends: those of the file in its order, then those added at runtime.
    pub backends: Vec<BackendRow>,
}

/// The answer to a verb on one backend: how it stands now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendDoc {
    /// Version of the document.
    pub schema: Schema,
    /// Name of the service.
    pub service: String,
    /// The backend after the change (before it, for one that is gone).
    pub backend: BackendRow,
    /// What the operator should know besides.
    pub notes: Vec<String>,
}

/// The way to a backend for clients of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayInfo {
    /// Which clients' packets take it: `v4` or `v6`.
    pub clients: String,
    /// The address that they are sent to.
    pub address: IpAddr,
    /// The gateway on the way there; `null`: it is on the segment of an interface.
    pub gateway: Option<IpAddr>,
    /// The interface that they leave by; `null`: not known yet.
    #[serde(default)]
    pub interface: Option<String>,
    /// The MAC address that they are sent to.
    pub mac: Option<String>,
    /// Bytes of the largest IP packet that fits; `null`: not known.
    pub mtu: Option<u16>,
    /// Where they come from then, an address or prefix; `null`: from their client.
    pub source: Option<String>,
}

impl WayInfo {
    /// How it leads to its address, as it is shown.
    #[must_use]
    pub fn leads(&self) -> String {
        let Self { clients: _, address: _, gateway, interface, mac, mtu, source: _ } = self;
        let words = [
            gateway.map(|gateway| format!("via {gateway}")),
            interface.as_ref().map(|interface| format!("dev {interface}")),
            Some(mac.as_ref().map_or_else(|| "unknown".to_owned(), |mac| format!("at {mac}"))),
            mtu.map(|mtu| format!("mtu {mtu}")),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendRow {
    /// Its name, unique in the service.
    pub name: String,
    /// Its first address.
    pub address: IpAddr,
    /// All its addresses, one, or one v4 and one v6; with a port where that is not the service's.
    pub addresses: Vec<Endpoint>,
    /// The port of its first address, if it is not the service's.
    pub port: Option<u16>,
    /// How packets reach it.
    #[serde(default)]
    pub mode: String,
    /// Its ways for v4 and v6 clients, as far as they are known.
    #[serde(default)]
    pub ways: Vec<WayInfo>,
    /// Its share of new clients relative to the others.
    pub weight: u32,
    /// What the operator wants of it.
    #[serde(with = "words::admin")]
    pub admin: Admin,
    /// What the checks say.
    #[serde(with = "words::health")]
    pub health: Health,
    /// Since when admin state and health are what they are.
    pub since: Option<String>,
    /// Live flows.
    pub flows: u64,
    /// Live flows with which it takes no new client; `null`: no such number.
    #[serde(default)]
    pub max_flows: Option<u32>,
    /// Flows ever opened.
    pub flows_total: u64,
    /// Its part of the service's live flows, 0 to 1.
    pub share: f64,
    /// Pins that name it.
    pub pins: u64,
    /// Packets forwarded to it.
    pub packets: u64,
    /// Bytes forwarded to it.
    pub bytes: u64,
    /// Flows reset because of it.
    pub resets: u64,
    /// Its door, `null` without doors.
    pub door: Option<u16>,
    /// What the last failed check said.
    pub last_error: Option<String>,
    /// Its number in the tables.
    pub number: u16,
    /// Flows that a drain still waits for; `null` unless it drains.
    pub remaining: Option<u64>,
    /// When what is left of a drain is reset; `null` unless it drains with such an end.
    #[serde(default)]
    pub drain_ends: Option<String>,
}

//! Flows, pins and the explanation of one packet.

use serde::{Deserialize, Serialize};

use super::Schema;

/// `GET /v1/flows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowsDoc {
    /// Version of the document.
    pub schema: Schema,
    /// In no order.
    pub flows: Vec<FlowRow>,
    /// Whether `limit` cut the list.
    pub truncated: bool,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowRow {
    /// Its service.
    pub service: String,
    /// Its client, `198.51.100.7:40123` or `[2001:db8::7]:40123`.
    pub client: String,
    /// What the client speaks to, `203.0.113.10:443/tcp`.
    pub destination: String,
    /// Its backend.
    pub backend: String,
    /// Its TCP state, or `udp`.
    pub state: String,
    /// Seconds since its last packet.
    pub idle: u64,
    /// Where its packets come from at the backend, `192.0.2.64:1024`; `null` if they are not translated.
    #[serde(default)]
    pub nat: Option<String>,
}

/// `GET /v1/flows/count`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowCountDoc {
    /// Version of the document.
    pub schema: Schema,
    /// Live flows, all of them.
    pub flows: u64,
    /// The same by backend, those with none too.
    pub counts: Vec<FlowCountRow>,
}

/// Live flows of one backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowCountRow {
    /// The service.
    pub service: String,
    /// The backend.
    pub backend: String,
    /// Its live flows.
    pub flows: u64,
}

/// `GET /v1/pins`, `GET` and `DELETE /v1/pins/{service}/{client}` (the one that was asked for, or deleted).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinsDoc {
    /// Version of the document.
    pub schema: Schema,
    /// In no order.
    pub pins: Vec<PinRow>,
    /// Whether `limit` cut the list.
    #[serde(default)]
    pub truncated: bool,
}

/// One pin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinRow {
    /// Its service.
    pub service: String,
    /// Its client: an address, or a prefix where the service pins by one (`2001:db8::/64`).
    pub client: String,
    /// The backend that it names.
    pub backend: String,
    /// Seconds since its client's last packet.
    pub age: u64,
    /// Seconds until it expires; `null` while a flow of its client lives.
    pub expires_in: Option<u64>,
    /// Live flows of its client.
    pub flows: u64,
}

/// `DELETE /v1/pins/{service}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseDoc {
    /// Version of the document.
    pub schema: Schema,
    /// The service.
    pub service: String,
    /// Pins that were removed.
    pub released: u64,
    /// Pins that stay, because a flow of their client lives.
    pub kept: u64,
}

/// One element of the answer to `POST /v1/explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainDoc {
    /// Version of the document.
    pub schema: Schema,
    /// Who sends, with its port if one was given.
    pub client: String,
    /// To what, `203.0.113.10:443/tcp`.
    pub destination: String,
    /// The service there; `null` if it is none of ours.
    pub service: Option<String>,
    /// The backend; `null` if none would get the packet.
    pub backend: Option<String>,
    /// Where the flow is reset: the backend that a new connection of its client would go to.
    #[serde(default)]
    pub next_backend: Option<String>,
    /// What decided: `flow`, `pin`, `maglev`, `least-flows`, `door`, `previous-table` or `none`.
    pub by: String,
    /// The reason that the packet would be counted under.
    pub reason: String,
    /// Each step that led there.
    pub steps: Vec<ExplainStep>,
    /// What the current Maglev table alone says.
    pub maglev_backend: Option<String>,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainStep {
    /// The stage.
    pub step: String,
    /// What it found.
    pub detail: String,
}

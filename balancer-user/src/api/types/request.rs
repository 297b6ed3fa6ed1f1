//! What the routes take: bodies as JSON, the rest in the query.
//!
//! An absent field is `false` or empty; an unknown one is refused, so that a typing error is not taken for consent.

use std::net::IpAddr;

use balancer_common::state::{Admin, DrainEnd, Proto};
use serde::{Deserialize, Serialize};

use super::words;
use crate::config::Endpoint;

/// Rows of a list of flows or pins when `limit` is not given.
pub const DEFAULT_LIMIT: usize = 1000;

/// `POST /v1/services/{service}/backends`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddBackend {
    /// Its name.
    pub name: String,
    /// One address, or one v4 and one v6; in mode `nat` with a port, `10.0.1.10:8081`, if it is not the one asked.
    pub addresses: Vec<Endpoint>,
    /// Its weight; `null` means 100.
    #[serde(default)]
    pub weight: Option<u32>,
}

/// Query of `DELETE /v1/services/{service}/backends/{backend}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteQuery {
    /// Does not wait for its flows.
    #[serde(default)]
    pub now: bool,
    /// Even if fewer than `min_ready` stay up.
    #[serde(default)]
    pub force: bool,
}

/// `PUT /v1/services/{service}/backends/{backend}/admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAdmin {
    /// `ready`, `drain` or `maint`.
    #[serde(with = "words::admin")]
    pub admin: Admin,
    /// Even if fewer than `min_ready` stay up.
    #[serde(default)]
    pub force: bool,
    /// Even if live flows are cut.
    #[serde(default)]
    pub yes: bool,
    /// How it drains, where that is not what its service says; for `drain` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<SetDrain>,
}

impl SetAdmin {
    /// Without consent to anything.
    #[must_use]
    pub const fn to(admin: Admin) -> Self {
        Self { admin, force: false, yes: false, drain: None }
    }
}

/// How a backend drains; what is absent is as its service says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetDrain {
    /// Seconds that its flows may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// What becomes of them then: `reset` or `leave`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<EndWord>,
    /// Its pinned clients' new connections still come to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_pins: bool,
}

/// The end of a drain by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndWord(#[serde(with = "words::drain_end")] pub DrainEnd);

/// `PUT /v1/services/{service}/backends/{backend}/weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetWeight {
    /// The weight; 0: no new clients, pins are kept.
    pub weight: u32,
    /// Even if fewer than `min_ready` stay up.
    #[serde(default)]
    pub force: bool,
}

/// Query of `GET /v1/flows`; each field that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowQuery {
    /// Flows of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Flows of the backend with this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Flows of this client address, or of those in this prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Flows whose packets come from this port at their backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<u16>,
    /// At most so many, [`DEFAULT_LIMIT`] if absent, 0: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Query of `GET /v1/pins`; each field that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinQuery {
    /// Pins of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Pins to the backend with this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// At most so many, [`DEFAULT_LIMIT`] if absent, 0: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Query of `DELETE /v1/pins/{service}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseQuery {
    /// Pins of clients without a live flow; no others can be released, so that it must be `true`.
    #[serde(default)]
    pub idle: bool,
}

/// `POST /v1/explain`: one question, or a list; the answer is a list of [`super::ExplainDoc`] in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ExplainRequest {
    /// One question.
    One(ExplainQuestion),
    /// Many, answered from one state of the tables.
    Many(Vec<ExplainQuestion>),
}

/// What would happen to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuestion {
    /// Who sends it.
    pub source: IpAddr,
    /// From which port; absent: a new connection from any port.
    #[serde(default)]
    pub source_port: Option<u16>,
    /// To which service address.
    pub destination: IpAddr,
    /// To which port.
    pub port: u16,
    /// By which protocol.
    #[serde(with = "words::proto")]
    pub proto: Proto,
}

/// `POST /v1/reload`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// Forgets every runtime change, so that the file alone counts.
    #[serde(default)]
    pub discard_runtime: bool,
    /// Even if new maps are needed, which costs what the refusal named.
    #[serde(default)]
    pub yes: bool,
}

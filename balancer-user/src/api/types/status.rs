//! The agent as a whole: its state, and what its verbs answer.

use serde::{Deserialize, Serialize};

use super::Schema;

/// `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusDoc {
    /// Version of the document.
    pub schema: Schema,
    /// Version of the agent.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started: String,
    /// The configuration file that it follows.
    pub config: String,
    /// Where XDP is attached.
    pub interfaces: Vec<InterfaceRow>,
    /// Number of services.
    pub services: u64,
    /// Services in a panic: too few of their backends are up, and health is ignored.
    #[serde(default)]
    pub panic: Vec<String>,
    /// Whether all verdicts stand still: no interface has a carrier, and what checks say is about this host.
    #[serde(default)]
    pub frozen: bool,
    /// Live flows.
    pub flows: u64,
    /// Pins.
    pub pins: u64,
    /// What differs from the file by runtime changes.
    pub drift: Vec<ChangeRow>,
    /// The last load of the file, at the start or by `reload`.
    pub last_reload: Option<LastReload>,
    /// Packets by reason, every reason, in the order of the list of reasons.
    pub reasons: Vec<ReasonRow>,
    /// How full the tables are.
    pub tables: Vec<TableRow>,
}

/// An interface with the mode that it really has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterfaceRow {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: String,
    /// The kernel's number of the program.
    pub program_id: u32,
    /// Whether its link has a carrier; `null` while that is not known.
    #[serde(default)]
    pub carrier: Option<bool>,
}

/// One difference: of the file from what runs (drift), or of the new from the old (a reload).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeRow {
    /// What it is about: `service "ws"`, `service "ws" backend "ws-1"`, `limits`.
    pub object: String,
    /// The key in question, or `added`, `removed`.
    pub key: String,
    /// The value in the file (drift), or before (reload); `null` if there is none.
    pub from: Option<String>,
    /// The value at runtime (drift), or after (reload); `null` if there is none.
    pub to: Option<String>,
}

/// How the last load of the file ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastReload {
    /// Whether it was applied.
    pub ok: bool,
    /// When.
    pub at: String,
    /// Why it was not.
    pub error: Option<String>,
}

/// Packets with one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReasonRow {
    /// The reason's word, as in the metric.
    pub reason: String,
    /// Packets since the maps were made.
    pub packets: u64,
}

/// How full one table is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableRow {
    /// Its name.
    pub table: String,
    /// Entries in use.
    pub entries: u64,
    /// Entries that it has room for.
    pub capacity: u64,
}

/// `POST /v1/reload`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReloadDoc {
    /// Version of the document.
    pub schema: Schema,
    /// What changed, in the order of the file.
    pub changes: Vec<ChangeRow>,
    /// Warnings of the check.
    pub warnings: Vec<String>,
}

/// `POST /v1/detach`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetachDoc {
    /// Version of the document.
    pub schema: Schema,
    /// What was taken away: interfaces and bpffs objects.
    pub removed: Vec<String>,
}

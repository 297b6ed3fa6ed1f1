//! What the lab's programs say to each other: JSON, one message a line, datagram or WebSocket frame.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A client's numbered message to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// Its number within the session, from 1.
    pub n: u64,
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Name of the backend.
    pub backend: String,
    /// Number of the session on that backend.
    pub session: u64,
    /// How many messages the server has had in this session: state that only this backend has.
    pub n: u64,
    /// The number that the message carried.
    pub echo: u64,
}

/// What the clients of a host are told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Ask {
    /// Begin a session from each source and keep it: a numbered message every second.
    Open {
        /// Client addresses without a session.
        sources: Vec<IpAddr>,
    },
    /// End these sessions in order and begin anew, from a new source port each.
    Reconnect {
        /// Client addresses.
        sources: Vec<IpAddr>,
    },
    /// One more connection from each source for one message, beside its session.
    Try {
        /// Client addresses.
        sources: Vec<IpAddr>,
    },
    /// Give these sessions up, and try new connections until one answers.
    Retry {
        /// Client addresses.
        sources: Vec<IpAddr>,
        /// Give up after so many milliseconds.
        for_ms: u64,
    },
    /// End these sessions in order.
    Close {
        /// Client addresses.
        sources: Vec<IpAddr>,
    },
    /// Say how all sessions are.
    Status,
    /// Begin a new connection for one message every so often, until told to stop; an answer comes at once.
    ProbeStart {
        /// Client addresses, taken in turn.
        sources: Vec<IpAddr>,
        /// Milliseconds between the beginnings.
        every_ms: u64,
    },
    /// Stop that, and say how it went.
    ProbeStop,
    /// Go on with the sessions when stdin ends.
    Stay,
}

/// The one answer to an [`Ask`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reply {
    /// One entry a client that the question was about.
    pub clients: Vec<Report>,
    /// For [`Ask::ProbeStop`].
    pub probe: Option<ProbeReport>,
    /// The question could not be understood.
    pub error: Option<String>,
}

/// How one client is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The client's address.
    pub source: IpAddr,
    /// The backend that answered it; `None`: none did.
    pub backend: Option<String>,
    /// Source port of the connection.
    pub port: u16,
    /// Messages that were answered in the session.
    pub answered: u64,
    /// The slowest answer of the session, or how long it took until a new connection answered (milliseconds).
    pub millis: u64,
    /// Why the session is lost, or the new connection failed.
    pub lost: Option<String>,
}

/// How a series of new connections went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Connections begun.
    pub attempts: u64,
    /// Connections that got their answer.
    pub answered: u64,
    /// What went wrong, with the client's address.
    pub failures: Vec<String>,
    /// The slowest of all (milliseconds).
    pub slowest_ms: u64,
    /// The longest time between two beginnings (milliseconds).
    pub longest_gap_ms: u64,
}

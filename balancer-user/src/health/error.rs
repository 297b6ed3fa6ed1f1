//! What a check can end with instead of a good answer.

use std::{fmt, io, time::Duration};

use crate::{
    health::{http::Answer, machine::Outcome},
    net::Mac,
};

/// Why a check was not good; its text says what was seen.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The time for the whole check was over.
    #[error("timed out after {} {doing}", humantime::format_duration(*after))]
    TimedOut {
        /// The configured time.
        after: Duration,
        /// What the check was waiting for.
        doing: Doing,
    },
    /// The socket said no.
    #[error("{}", io_words(.0))]
    Io(#[from] io::Error),
    /// An answer with a status that does not mean good.
    #[error("status {status}, expected {}", Statuses(expected))]
    Status {
        /// The status of the answer.
        status: u16,
        /// Those that mean good.
        expected: Vec<u16>,
    },
    /// The backend closed the connection before it answered.
    #[error("connection closed before the answer")]
    Closed,
    /// The backend spoke, or closed the connection, before the request had left (a greeting: SSH, SMTP).
    #[error("the server did not wait for the request, so it does not speak HTTP/1.1")]
    Unasked,
    /// Something came, but no HTTP.
    #[error("the answer is not HTTP/1.1: {0}")]
    NotHttp(#[source] hyper::Error),
    /// By the datapath: the service address answered, but on another host.
    #[error(
        "{0} answered, not the backend: it does not have the service address, and sends on what is for it"
    )]
    Stranger(Mac),
    /// By the datapath, as from a client: the answer came back by another host.
    #[error("the answer came by {0}: the backend's way back to clients does not lead through this host")]
    Detour(Mac),
    /// By the datapath: it left for the backend's own address.
    #[error("the check left by another interface than those of agent.interfaces")]
    Unsteered,
    /// By the datapath: no room among the checks under way.
    #[error("too many checks are under way")]
    Crowded,
    /// The check went by the datapath.
    #[error("{asked}: {source}")]
    ByDatapath {
        /// Who was asked, and how.
        asked: String,
        /// What was seen.
        source: Box<CheckError>,
    },
    /// The request cannot be made from the configured words.
    #[error("path {path:?} with host {host:?} makes no HTTP request: {source}")]
    Request {
        /// The configured path.
        path: String,
        /// The value of the `Host` header.
        host: String,
        /// What is wrong with them.
        source: hyper::http::Error,
    },
}

/// What a check that timed out was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// The TCP handshake.
    Connecting,
    /// The head of the answer.
    Answer,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::Answer => "while waiting for the answer",
        })
    }
}

impl CheckError {
    /// Whether this host, and not the backend, is the cause.
    #[must_use]
    pub fn is_local(&self) -> bool {
        use libc::{EADDRINUSE, EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM};
        match self {
            Self::Io(error) => matches!(
                error.raw_os_error(),
                Some(EADDRNOTAVAIL | EADDRINUSE | EPERM | EMFILE | ENFILE | ENOBUFS | ENOMEM)
            ),
            Self::Unsteered | Self::Crowded => true,
            Self::ByDatapath { source, .. } => source.is_local(),
            Self::TimedOut { .. }
            | Self::Status { .. }
            | Self::Closed
            | Self::Unasked
            | Self::NotHttp(_)
            | Self::Stranger(_)
            | Self::Detour(_)
            | Self::Request { .. } => false,
        }
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Good => Self::Good,
            Answer::Drain(status) => Self::Drain(format!("status {status}")),
        }
    }
}

impl From<CheckError> for Outcome {
    fn from(error: CheckError) -> Self {
        if error.is_local() {
            Self::Inconclusive(format!("this host could not check: {error}"))
        } else {
            Self::Failed(error.to_string())
        }
    }
}

/// std's word for the kind (`connection refused`), or the system's where std has none.
fn io_words(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    if kind == "uncategorized error" || error.kind() == io::ErrorKind::Other {
        return error.to_string().to_lowercase();
    }
    kind
}

/// `200`, or `200, 204 or 301`.
struct Statuses<'a>(&'a [u16]);

impl fmt::Display for Statuses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, status) in self.0.iter().enumerate() {
            let before = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{before}{status}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: i32) -> CheckError {
        CheckError::Io(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn errors_say_what_was_seen() {
        let after = Duration::from_millis(1500);
        let texts = [
            (os(libc::ECONNREFUSED), "connection refused"),
            (os(libc::EHOSTUNREACH), "host unreachable"),
            (os(libc::EMFILE), "too many open files (os error 24)"),
            (
                CheckError::TimedOut { after, doing: Doing::Connecting },
                "timed out after 1s 500ms while connecting",
            ),
            (CheckError::Status { status: 503, expected: vec![200] }, "status 503, expected 200"),
            (
                CheckError::Status { status: 404, expected: vec![200, 204, 301] },
                "status 404, expected 200, 204 or 301",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn want_of_descriptors_or_ports_is_not_the_backends_fault() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL] {
            assert!(matches!(Outcome::from(os(errno)), Outcome::Inconclusive(_)));
        }
        assert_eq!(Outcome::from(os(libc::ECONNREFUSED)), Outcome::Failed("connection refused".to_owned()));
    }
}

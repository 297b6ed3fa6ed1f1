//! How a command ends.

use std::io;

use crate::api::{client::ClientError, types::ErrorCode};

/// Exit codes, as the manual lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    /// Done; also when the reader of stdout has gone, as with `| head`.
    Ok = 0,
    /// It did not work.
    Failed = 1,
    /// The command line or a value on it makes no sense.
    Usage = 2,
    /// No such service, backend or pin.
    NotFound = 3,
    /// No agent answers.
    Unreachable = 4,
    /// The configuration file makes no sense.
    InvalidConfig = 5,
    /// `--wait` ran out of time, or flows were cut.
    Cut = 6,
    /// Ctrl-C, as shells count it: 128 + SIGINT.
    Interrupted = 130,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The agent says no, or nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The command itself says no.
    #[error("{message}")]
    Said {
        /// How it ends.
        code: Code,
        /// Names the object and the value.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    pub(super) fn said(code: Code, message: impl Into<String>) -> Self {
        Self::Said { code, message: message.into(), remedy: None }
    }

    pub(super) fn with_remedy(mut self, text: impl Into<String>) -> Self {
        if let Self::Said { remedy, .. } = &mut self {
            *remedy = Some(text.into());
        }
        self
    }

    pub(super) fn code(&self) -> Code {
        match self {
            Self::Client(ClientError::Api(error)) => api_code(error.code),
            Self::Client(ClientError::Unreachable { .. } | ClientError::Silent { .. }) => Code::Unreachable,
            Self::Client(ClientError::Protocol { .. }) => Code::Failed,
            Self::Said { code, .. } => *code,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Code::Ok,
            Self::Output(_) => Code::Failed,
        }
    }

    pub(super) fn remedy(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.remedy(),
            Self::Said { remedy, .. } => remedy.clone(),
            Self::Output(_) => None,
        }
    }
}

fn api_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::Invalid => Code::Usage,
        ErrorCode::InvalidConfig => Code::InvalidConfig,
        ErrorCode::Refused | ErrorCode::Conflict | ErrorCode::NeedsYes | ErrorCode::Failed => Code::Failed,
    }
}

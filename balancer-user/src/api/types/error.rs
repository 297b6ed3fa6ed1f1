//! How the API says no.

use serde::{Deserialize, Serialize};

use super::Schema;

/// The document that comes with every status other than 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDoc {
    /// Version of the document.
    pub schema: Schema,
    /// What went wrong.
    pub error: ApiError,
}

/// What went wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Which kind of no it is.
    pub code: ErrorCode,
    /// Names the object and the value, in lower case; several lines for a bad configuration.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// The kinds of no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// No such service, backend, pin or route.
    NotFound,
    /// The request makes no sense: a bad word, number, or address.
    Invalid,
    /// The configuration file makes no sense; `message` holds what `check` prints.
    InvalidConfig,
    /// It would leave fewer than `min_ready` up; `force` does it all the same.
    Refused,
    /// It does not fit what is there, such as a backend of that name.
    Conflict,
    /// It costs something, which `message` counts; `yes` does it all the same.
    NeedsYes,
    /// The agent could not do it. Also a code of a newer agent, unknown here.
    #[serde(other)]
    Failed,
}

impl ErrorCode {
    /// The HTTP status that it comes with.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Invalid => 400,
            Self::InvalidConfig => 422,
            Self::Refused => 403,
            Self::Conflict => 409,
            Self::NeedsYes => 428,
            Self::Failed => 500,
        }
    }
}

impl ApiError {
    /// An error without a remedy.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: None }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl From<ApiError> for ErrorDoc {
    fn from(error: ApiError) -> Self {
        Self { schema: Schema, error }
    }
}

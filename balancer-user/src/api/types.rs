//! The JSON documents of the API, which `balancer … -j` prints unchanged, and its requests.
//!
//! Field names are fixed; more may be added. Numbers are raw, times in seconds, timestamps RFC 3339 in UTC.

use std::time::SystemTime;

use serde::{Deserialize, Serialize, de::Error as _};

mod backend;
mod error;
mod request;
mod service;
mod status;
mod traffic;
mod words;

pub use self::{backend::*, error::*, request::*, service::*, status::*, traffic::*};

/// The version of a document, `1`; any other is refused on reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schema;

impl Schema {
    /// The version that this program speaks.
    pub const VERSION: u32 = 1;
}

impl Serialize for Schema {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(Self::VERSION)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            Self::VERSION => Ok(Self),
            other => Err(D::Error::custom(format!(
                "the document has schema {other}, this program reads {}",
                Self::VERSION
            ))),
        }
    }
}

/// A moment as the documents write it: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

//! The names behind the numbers, kept in the state directory.
//!
//! The tables know a backend by the hash of its name. For one that neither the file nor the journal names any
//! more, and that still has flows, its name and addresses stand here.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::store;
use crate::config::Endpoint;

/// Version of the file's form.
const VERSION: u32 = 1;
/// Its name in the state directory.
const NAME: &str = "numbers.json";

/// A backend behind a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its service.
    pub service: String,
    /// Its name.
    pub backend: String,
    /// Its addresses.
    pub addresses: Vec<Endpoint>,
}

impl Named {
    /// Whether one of its addresses is this.
    #[must_use]
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|endpoint| endpoint.address == address)
    }
}

/// Names by number.
pub type Names = BTreeMap<u16, Named>;

#[derive(Serialize, Deserialize)]
struct Document<T> {
    version: u32,
    backends: T,
}

/// The file of one state directory.
#[derive(Clone, Debug)]
pub struct NamesFile {
    path: PathBuf,
}

impl NamesFile {
    /// The file in `state_dir`.
    #[must_use]
    pub fn in_dir(state_dir: &Path) -> Self {
        Self { path: state_dir.join(NAME) }
    }

    /// The names that stand in it. It only gives names to what the tables know by a hash: a file that cannot
    /// be read costs these names, loudly, and nothing else.
    #[must_use]
    pub fn load(&self) -> Names {
        let text = match store::read(&self.path) {
            Ok(None) => return Names::default(),
            Ok(Some(text)) => serde_json::from_str(&text).map_err(io::Error::from),
            Err(error) => Err(error),
        };
        match text {
            Ok(Document { version: VERSION, backends }) => backends,
            Ok(Document { version, backends: _ }) => {
                tracing::warn!("{} has version {version} and is made anew", self.path.display());
                Names::default()
            }
            Err(error) => {
                tracing::warn!("{} cannot be read and is made anew: {error}", self.path.display());
                Names::default()
            }
        }
    }

    /// Replaces what stands in it.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self, names: &Names) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(&Document { version: VERSION, backends: names })?;
        store::replace(&self.path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_a_damaged_file_costs_names_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = NamesFile::in_dir(directory.path());
        assert!(file.load().is_empty());
        let named = Named {
            service: "ws".to_owned(),
            backend: "ws-5".to_owned(),
            addresses: vec!["10.0.0.5".parse().unwrap()],
        };
        let names = Names::from([(12, named)]);
        file.save(&names).unwrap();
        assert_eq!(file.load(), names);
        std::fs::write(directory.path().join(NAME), "{").unwrap();
        assert!(file.load().is_empty());
    }
}

//! The journal: runtime changes in the state directory, written before a verb is answered.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{runtime::Runtime, store};

/// Version of the journal's form.
const VERSION: u32 = 1;
/// Its name in the state directory.
const NAME: &str = "runtime.json";

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system said no.
    #[error("journal {}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It holds something else than a journal.
    #[error(
        "journal {} is damaged ({source}); the drains and backends set at runtime stand in it: repair it, or \
         move it aside to start from the configuration file alone",
        path.display()
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error(
        "journal {} has version {version}, this program reads {VERSION}; run the version that wrote it, or \
         move it aside to start from the configuration file alone",
        path.display()
    )]
    Version {
        /// The journal.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// The journal of one state directory.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<T> {
    version: u32,
    changes: T,
}

/// What every version's journal has.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

impl Journal {
    /// The journal in `state_dir`.
    #[must_use]
    pub fn in_dir(state_dir: &Path) -> Self {
        Self { path: state_dir.join(NAME) }
    }

    /// The runtime changes that stand in it; none if there is no journal.
    ///
    /// # Errors
    /// A journal that is damaged or of another version is never taken as empty, and never moved.
    pub fn load(&self) -> Result<Runtime, JournalError> {
        let failed = |source| JournalError::Io { path: self.path.clone(), source };
        match store::read(&self.path).map_err(failed)? {
            Some(text) => self.parse(&text),
            None => Ok(Runtime::default()),
        }
    }

    /// The runtime changes in the text of a journal.
    ///
    /// # Errors
    /// As [`Journal::load`].
    pub fn parse(&self, text: &str) -> Result<Runtime, JournalError> {
        let damaged = |source| JournalError::Damaged { path: self.path.clone(), source };
        let Header { version } = serde_json::from_str(text).map_err(damaged)?;
        if version != VERSION {
            return Err(JournalError::Version { path: self.path.clone(), version });
        }
        let document: Document<Runtime> = serde_json::from_str(text).map_err(damaged)?;
        Ok(document.changes)
    }

    /// The text of a journal with these changes.
    ///
    /// # Errors
    /// What JSON cannot say.
    pub fn text(runtime: &Runtime) -> serde_json::Result<String> {
        let document = Document { version: VERSION, changes: runtime };
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// Replaces what stands in it; on disk when this returns.
    ///
    /// # Errors
    /// The system's; the old journal stands then.
    pub fn save(&self, runtime: &Runtime) -> Result<(), JournalError> {
        let failed = |source| JournalError::Io { path: self.path.clone(), source };
        let text = Self::text(runtime).map_err(|error| failed(error.into()))?;
        store::replace(&self.path, text.as_bytes()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::runtime::Added;
    use balancer_common::state::Admin;

    fn some_changes() -> Runtime {
        let mut runtime = Runtime::default();
        let addresses = vec!["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        runtime.add("ws", "ws-5", Added { addresses, weight: 50 });
        runtime.set_admin("ws", "ws-5", Admin::Drain, None);
        runtime
    }

    #[test]
    fn changes_come_back_from_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::in_dir(directory.path());
        assert_eq!(journal.load().unwrap(), Runtime::default());
        journal.save(&some_changes()).unwrap();
        assert_eq!(journal.load().unwrap(), some_changes());
    }

    #[test]
    fn a_damaged_journal_is_named_and_left_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::in_dir(directory.path());
        for text in ["", "{\"version\":1", "{\"version\":1,\"changes\":{\"ws\":{\"a\":{\"admin\":7}}}}"] {
            std::fs::write(&journal.path, text).unwrap();
            let refusal = journal.load().unwrap_err().to_string();
            assert!(refusal.contains("runtime.json is damaged"), "{refusal}");
            assert!(refusal.contains("move it aside"), "{refusal}");
            assert_eq!(std::fs::read_to_string(&journal.path).unwrap(), text);
        }
    }

    #[test]
    fn a_journal_of_another_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::in_dir(directory.path());
        std::fs::write(&journal.path, "{\"version\":2,\"new\":true}").unwrap();
        let refusal = journal.load().unwrap_err().to_string();
        assert!(refusal.contains("version 2"), "{refusal}");
    }
}

//! What of a backend's state is not in the tables, kept for the next agent in the state directory.
//!
//! Verdict and admin state stand in the backend's line and are adopted from there. What stands here (since when, and
//! how many checks of the next verdict are already in) counts only if it is about that same verdict.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use balancer_common::state::Health;
use serde::{Deserialize, Serialize};

use super::{causes::Causes, store};
use crate::health::{Adopted, BackendKey};

/// Its name in the state directory.
const NAME: &str = "verdicts.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    health: String,
    since: Option<u64>,
    good: u32,
    failed: u32,
    /// When the operator last set its admin state.
    #[serde(default)]
    admin_since: Option<u64>,
    /// Since when it drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draining: Option<u64>,
    /// Why its flows were reset.
    #[serde(default, skip_serializing_if = "Causes::is_empty")]
    resets: Causes,
}

/// What is kept of a backend beside its verdict.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// When the operator last set its admin state.
    pub admin_since: Option<SystemTime>,
    /// Since when it drains.
    pub draining_since: Option<SystemTime>,
    /// Why its flows were reset.
    pub causes: Causes,
}

/// The counters of all backends, by `service/backend`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verdicts(BTreeMap<String, Row>);

impl Verdicts {
    /// Notes a backend's verdict. Counters that cannot lead to another verdict are not kept, so that a steady
    /// backend, up or down, changes nothing here.
    pub fn note(&mut self, key: &BackendKey, verdict: &Adopted, kept: Kept) {
        let Kept { admin_since, draining_since, causes } = kept;
        let down = verdict.health == Health::Down;
        let row = Row {
            health: verdict.health.word().to_owned(),
            since: verdict.since.and_then(seconds),
            good: if down { verdict.good } else { 0 },
            failed: if down { 0 } else { verdict.failed },
            admin_since: admin_since.and_then(seconds),
            draining: draining_since.and_then(seconds),
            resets: causes,
        };
        self.0.insert(key.to_string(), row);
    }

    /// Since when a backend drains.
    #[must_use]
    pub fn draining_since(&self, key: &BackendKey) -> Option<SystemTime> {
        self.0.get(&key.to_string())?.draining.map(time)
    }

    /// Why a backend's flows were reset.
    #[must_use]
    pub fn causes(&self, key: &BackendKey) -> Causes {
        self.0.get(&key.to_string()).map(|row| row.resets.clone()).unwrap_or_default()
    }

    /// The verdict `health` of the tables, with its counters if they are known.
    #[must_use]
    pub fn adopt(&self, key: &BackendKey, health: Health) -> Adopted {
        match self.0.get(&key.to_string()) {
            Some(row) if row.health == health.word() => {
                Adopted { health, since: row.since.map(time), good: row.good, failed: row.failed }
            }
            _ => Adopted { health, ..Adopted::UNKNOWN },
        }
    }

    /// When the operator last set the admin state, as far as it is known.
    #[must_use]
    pub fn admin_since(&self, key: &BackendKey) -> Option<SystemTime> {
        self.0.get(&key.to_string())?.admin_since.map(time)
    }
}

fn seconds(at: SystemTime) -> Option<u64> {
    Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The file of one state directory.
#[derive(Clone, Debug)]
pub struct VerdictsFile {
    path: PathBuf,
    saved: Verdicts,
}

impl VerdictsFile {
    /// The file in `state_dir`.
    #[must_use]
    pub fn in_dir(state_dir: &Path) -> Self {
        Self { path: state_dir.join(NAME), saved: Verdicts::default() }
    }

    /// What stands in it; nothing if it cannot be read: the verdicts themselves are in the tables.
    pub fn load(&mut self) -> Verdicts {
        let text = store::read(&self.path).ok().flatten();
        self.saved = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        self.saved.clone()
    }

    /// Replaces what stands in it, if it is something else.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&mut self, verdicts: Verdicts) -> io::Result<()> {
        if verdicts == self.saved {
            return Ok(());
        }
        store::replace(&self.path, &serde_json::to_vec(&verdicts)?)?;
        self.saved = verdicts;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> BackendKey {
        BackendKey { service: "ws".to_owned(), backend: "ws-1".to_owned() }
    }

    #[test]
    fn counters_come_back_for_the_verdict_that_they_are_about() {
        let directory = tempfile::tempdir().unwrap();
        let since = Some(UNIX_EPOCH + Duration::from_secs(1_000_000));
        let kept = Adopted { health: Health::Up, since, good: 900, failed: 2 };
        let mut verdicts = Verdicts::default();
        let also = Kept { admin_since: since, draining_since: since, causes: Causes::default() };
        verdicts.note(&key(), &kept, also);
        VerdictsFile::in_dir(directory.path()).save(verdicts).unwrap();
        let loaded = VerdictsFile::in_dir(directory.path()).load();
        assert_eq!(loaded.draining_since(&key()), since);
        assert_eq!(loaded.adopt(&key(), Health::Up), Adopted { good: 0, ..kept });
        assert_eq!(loaded.adopt(&key(), Health::Down), Adopted { health: Health::Down, ..Adopted::UNKNOWN });
        assert_eq!(loaded.admin_since(&key()), since);
    }

    #[test]
    fn a_backend_that_stays_down_changes_nothing() {
        let mut verdicts = Verdicts::default();
        let down = |failed| Adopted { health: Health::Down, since: None, good: 0, failed };
        verdicts.note(&key(), &down(3), Kept::default());
        let before = verdicts.clone();
        verdicts.note(&key(), &down(400), Kept::default());
        assert_eq!(verdicts, before);
    }
}

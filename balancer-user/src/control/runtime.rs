//! Runtime changes: what verbs have changed against the file.
//!
//! Each remembers what the file said when it was made. It stands until its opposite verb, `reload
//! --discard-runtime`, or until the file says something else about that same key than it did then.

use std::collections::BTreeMap;

use balancer_common::state::Admin;
use serde::{Deserialize, Serialize};

use crate::{
    api::types::SetDrain,
    config::{Backend, Config, Endpoint, Service},
};

/// Every runtime change, by service and backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runtime {
    services: BTreeMap<String, BTreeMap<String, BackendChange>>,
}

/// What was changed of one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendChange {
    /// It is not in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Added>,
    /// It is in the file, and deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Another admin state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Override<AdminWord>>,
    /// Another weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Override<u32>>,
    /// How it drains, where that is not what its service says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<SetDrain>,
}

/// A backend that is not in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Added {
    /// Its addresses.
    pub addresses: Vec<Endpoint>,
    /// Its weight.
    pub weight: u32,
}

/// A value that wins over the file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override<T> {
    /// The value.
    pub value: T,
    /// What the file said when it was set; nothing for a backend that is not in it.
    pub file: Option<T>,
}

/// An admin state by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct AdminWord(pub Admin);

impl TryFrom<String> for AdminWord {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match Admin::from_word(&word) {
            Some(admin) if admin != Admin::Gone => Ok(Self(admin)),
            _ => Err(format!("unknown admin state {word:?}; ready, drain or maint")),
        }
    }
}

impl From<AdminWord> for &'static str {
    fn from(word: AdminWord) -> Self {
        word.0.word()
    }
}

impl Runtime {
    /// What was changed of a backend.
    #[must_use]
    pub fn of(&self, service: &str, backend: &str) -> Option<&BackendChange> {
        self.services.get(service)?.get(backend)
    }

    /// What was changed of the backends of a service, in the order of their names.
    pub fn of_service(&self, service: &str) -> impl Iterator<Item = (&str, &BackendChange)> {
        self.services.get(service).into_iter().flatten().map(|(name, change)| (name.as_str(), change))
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// Sets the admin state; `in_file` is what the file has of the backend.
    pub fn set_admin(&mut self, service: &str, backend: &str, admin: Admin, in_file: Option<&Backend>) {
        let file = in_file.map(|backend| AdminWord(backend.state));
        let base = file.unwrap_or(AdminWord(Admin::Ready));
        let value = AdminWord(admin);
        self.change(service, backend, |change| {
            change.admin = (value != base).then_some(Override { value, file });
            if admin != Admin::Drain {
                change.drain = None;
            }
        });
    }

    /// Says how a backend drains; what the service says anyway is no change.
    pub fn set_drain(&mut self, service: &str, backend: &str, drain: SetDrain) {
        self.change(service, backend, |change| {
            change.drain = (drain != SetDrain::default()).then_some(drain);
        });
    }

    /// Sets the weight.
    pub fn set_weight(&mut self, service: &str, backend: &str, weight: u32, in_file: Option<&Backend>) {
        let file = in_file.map(|backend| backend.weight);
        self.change(service, backend, |change| match &mut change.added {
            Some(added) => added.weight = weight,
            None => change.weight = (Some(weight) != file).then_some(Override { value: weight, file }),
        });
    }

    /// Adds a backend that is not in the file.
    pub fn add(&mut self, service: &str, backend: &str, added: Added) {
        self.change(service, backend, |change| {
            *change = BackendChange { added: Some(added), ..BackendChange::default() };
        });
    }

    /// Deletes a backend: one of the file is remembered as deleted, one that was added is forgotten.
    pub fn delete(&mut self, service: &str, backend: &str, in_file: Option<&Backend>) {
        self.change(service, backend, |change| {
            *change = BackendChange { deleted: in_file.is_some(), ..BackendChange::default() };
        });
    }

    /// Takes a deletion back.
    pub fn undelete(&mut self, service: &str, backend: &str) {
        self.change(service, backend, |change| change.deleted = false);
    }

    /// Drops each change that the file has overtaken; what was dropped, in words for the log.
    pub fn give_way_to(&mut self, config: &Config) -> Vec<String> {
        let mut dropped = Vec::new();
        for (name, backends) in &mut self.services {
            let service = config.services.iter().find(|service| service.name == *name);
            for (backend, change) in backends.iter_mut() {
                let keys = change.give_way_to(service, find(service, backend));
                dropped.extend(keys.iter().map(|key| {
                    format!(
                        "service {name}: backend {backend}: the file overtakes the runtime change of {key}"
                    )
                }));
            }
        }
        self.tidy();
        dropped
    }

    fn change(&mut self, service: &str, backend: &str, edit: impl FnOnce(&mut BackendChange)) {
        let backends = self.services.entry(service.to_owned()).or_default();
        edit(backends.entry(backend.to_owned()).or_default());
        self.tidy();
    }

    fn tidy(&mut self) {
        for backends in self.services.values_mut() {
            backends.retain(|_, change| *change != BackendChange::default());
        }
        self.services.retain(|_, backends| !backends.is_empty());
    }
}

fn find<'a>(service: Option<&'a Service>, backend: &str) -> Option<&'a Backend> {
    service?.backends.iter().find(|it| it.name == backend)
}

impl BackendChange {
    /// Drops what the file has overtaken; the keys in question.
    fn give_way_to(&mut self, service: Option<&Service>, in_file: Option<&Backend>) -> Vec<&'static str> {
        let mut keys = Vec::new();
        if self.added.is_some() && (service.is_none() || in_file.is_some()) {
            self.added = None;
            keys.push("its addition");
        }
        if self.deleted && in_file.is_none() {
            self.deleted = false;
            keys.push("its deletion");
        }
        let exists = in_file.is_some() || self.added.is_some();
        let state = in_file.map(|backend| AdminWord(backend.state));
        if overtaken(&mut self.admin, state, exists) {
            keys.push("state");
        }
        // How to drain means something only for one that does.
        let drains = self.admin.map_or(state, |own| Some(own.value)) == Some(AdminWord(Admin::Drain));
        if !drains && self.drain.take().is_some() {
            keys.push("drain");
        }
        if overtaken(&mut self.weight, in_file.map(|backend| backend.weight), exists) {
            keys.push("weight");
        }
        keys
    }
}

/// Whether the file overtakes a value; it is dropped then. A backend that was added and drained at runtime and is
/// then written into the file stays drained: the file has not changed its mind, it had none.
fn overtaken<T: Copy + PartialEq>(own: &mut Option<Override<T>>, now: Option<T>, exists: bool) -> bool {
    let Some(Override { value, file }) = own else { return false };
    if exists && file.is_none() && now != Some(*value) {
        *file = now;
    }
    let drop = !exists || *file != now;
    if drop {
        *own = None;
    }
    drop
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;

//! A backend behind a number: one that is wanted, one that leaves, or one that is gone and still named.

use std::time::{Instant, SystemTime};

use balancer_common::{
    state::{Admin, Health, Mode},
    table::backend::NextHop,
};

use crate::{
    config::Source,
    control::{causes::Causes, names::Named},
    health::{Adopted, BackendKey},
};

/// A backend behind a number.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) named: Named,
    /// Number of its service; 0 if that was never known.
    pub(super) service: u16,
    pub(super) identity: u64,
    pub(super) mode: Mode,
    /// From which address its packets come, in mode `nat`.
    pub(super) source: Source,
    pub(super) stage: Stage,
    pub(super) verdict: Verdict,
    /// What stood in its line, until a neighbour is heard of.
    pub(super) adopted_hop: NextHop,
    /// When the operator last set its state.
    pub(super) admin_since: Option<SystemTime>,
    /// Since when it drains, by whoever's word.
    pub(super) draining_since: Option<SystemTime>,
    /// It has as many flows as it may.
    pub(super) full: bool,
    /// Why its flows were reset.
    pub(super) causes: Causes,
}

/// Where a backend is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is wanted.
    Wanted(Admin),
    /// It was deleted, and its flows go on until the last has ended; since when it has had none.
    Leaving {
        /// Without a live flow since.
        idle_since: Option<Instant>,
    },
    /// Its number waits for the last entry that names it.
    Gone,
}

impl Stage {
    /// What the packet path is told.
    pub(super) const fn admin(self) -> Admin {
        match self {
            Self::Wanted(admin) => admin,
            Self::Leaving { .. } => Admin::Drain,
            Self::Gone => Admin::Gone,
        }
    }
}

/// A backend's health, and what it went through under this agent.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) state: Adopted,
    pub(super) last_error: Option<String>,
    pub(super) transitions: u64,
    pub(super) failures: u64,
}

impl Verdict {
    pub(super) const fn of(state: Adopted) -> Self {
        Self { state, last_error: None, transitions: 0, failures: 0 }
    }

    /// Whether the last check said otherwise than the verdict.
    pub(super) const fn unsure(&self) -> bool {
        match self.state.health {
            Health::Down => self.state.good > 0,
            Health::Checking | Health::Up | Health::Draining => self.state.failed > 0,
        }
    }

    pub(super) const fn health(&self) -> Health {
        self.state.health
    }
}

impl Member {
    pub(super) fn key(&self) -> BackendKey {
        BackendKey { service: self.named.service.clone(), backend: self.named.backend.clone() }
    }

    /// How the log speaks of it.
    pub(super) fn title(&self) -> String {
        format!("service {}: backend {}", self.named.service, self.named.backend)
    }

    /// Whether it drains: by the operator's word, because it was deleted, or because its application asked for it.
    pub(super) fn drains(&self) -> bool {
        match self.stage {
            Stage::Wanted(Admin::Drain) | Stage::Leaving { .. } => true,
            Stage::Wanted(Admin::Ready) => self.verdict.health() == Health::Draining,
            Stage::Wanted(Admin::Maint | Admin::Gone) | Stage::Gone => false,
        }
    }

    /// Since when admin state and health are what they are, as far as it is known.
    pub(super) fn since(&self) -> Option<SystemTime> {
        self.verdict.state.since.max(self.admin_since)
    }
}

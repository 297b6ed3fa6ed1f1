//! The owner of the state: what is wanted, what is observed, and the tables.
//!
//! All of it is synchronous and knows neither sockets nor signals: the agent's loop feeds it, and tests do.

mod addition;
mod documents;
mod drains;
mod events;
mod explain;
mod fullness;
mod guards;
mod lookup;
mod member;
mod paths;
mod place;
mod ports;
mod reload;
mod resets;
mod snapshot;
mod start;
mod status;
mod traffic;
mod upkeep;
mod verbs;
mod wanted;
mod ways;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    path::PathBuf,
    time::SystemTime,
};

use self::member::{Member, Verdict};
pub use self::{
    reload::{Prepared, carries},
    resets::Word,
    start::{Environment, StartError},
};
use super::{
    apply,
    blocks::{Blocks, Refusal},
    entries::{ListenerId, backend_identity},
    journal::Journal,
    names::{Names, NamesFile},
    numbers::Numbers,
    path_mtu::PathMtus,
    reconcile::{self, Standing},
    resets::Resets,
    runtime::Runtime,
    verdicts::VerdictsFile,
};
use crate::{
    api::types::{ApiError, ErrorCode, LastReload},
    config::{Config, Service},
    dataplane::{Dataplane, DataplaneError, PortUse, Sweep},
    net::{links::Link, neighbour::Neighbour},
};
use balancer_common::serve::Regime;

/// The owner of the state.
#[derive(Debug)]
pub struct Control {
    config_path: PathBuf,
    config: Config,
    runtime: Runtime,
    journal: Journal,
    /// File and runtime together.
    services: Vec<Service>,
    numbers: AllNumbers,
    members: BTreeMap<u16, Member>,
    names_file: NamesFile,
    saved_names: Names,
    verdicts_file: VerdictsFile,
    hops: HashMap<IpAddr, Neighbour>,
    /// Why addresses are not reached.
    unreachable: HashMap<IpAddr, String>,
    /// What routers say of tunnels' ways.
    path_mtus: PathMtus,
    /// Entries of translated flows.
    blocks: Blocks,
    /// Who got none, by number and family.
    refused: BTreeMap<(u16, bool), Refusal>,
    /// How ports were used at the last sweep, by number and family.
    port_use: BTreeMap<(u16, bool), PortUse>,
    /// Who has few of them left.
    short_of_ports: BTreeSet<(u16, bool)>,
    links: BTreeMap<String, Link>,
    tables: Dataplane,
    seed: [u8; 16],
    standing: Standing,
    conditions: BTreeMap<String, Condition>,
    fingerprints: BTreeMap<u16, u64>,
    swept: Sweep,
    resets: Resets,
    /// Flows that were given up: nobody confirmed their reset.
    unconfirmed: u64,
    /// Backends whose drain was overdue when the tables were last brought to what is wanted.
    overdue: BTreeSet<u16>,
    /// Flows are to be reset that no sweep has found yet.
    unswept: bool,
    started: SystemTime,
    last_reload: LastReload,
    generation: u64,
}

/// Numbers of everything.
#[derive(Debug)]
struct AllNumbers {
    services: Numbers<u64>,
    listeners: Numbers<ListenerId>,
    backends: Numbers<u64>,
}

/// How a service fares, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Condition {
    regime: Regime,
    takers: usize,
}

impl Control {
    /// The configuration that is in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The seed of Maglev.
    #[must_use]
    pub fn seed(&self) -> [u8; 16] {
        self.seed
    }

    /// Changes whenever [`Self::checks`] or [`Self::addresses`] may have changed.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The tables, for what only their owner may do with them: to attach.
    pub fn tables_mut(&mut self) -> &mut Dataplane {
        &mut self.tables
    }

    /// Interfaces of the configuration that XDP is not attached to.
    #[must_use]
    pub fn unattached(&self) -> Vec<String> {
        let attached = |name: &String| self.tables.attached().iter().any(|it| it.name == *name);
        self.config.agent.interfaces.iter().filter(|name| !attached(name)).cloned().collect()
    }

    /// Gives the tables up.
    #[must_use]
    pub fn into_tables(self) -> Dataplane {
        self.tables
    }

    /// Brings the tables to what is wanted now. What the tables refuse is told, and tried again next time.
    ///
    /// # Errors
    /// What the tables refused first.
    pub fn reconcile(&mut self) -> Result<(), DataplaneError> {
        self.clock_drains();
        let (wanted, conditions) = self.wanted();
        self.tell_conditions(conditions);
        let steps = reconcile::steps(&wanted, &self.standing);
        self.settle_causes();
        self.tell_resets(&steps);
        let applied = apply::apply(steps, &mut self.tables, &mut self.standing, &self.seed);
        self.fingerprints.extend(applied.tables);
        for error in &applied.refused {
            tracing::error!("the tables are not as they should be: {error}");
        }
        applied.refused.into_iter().next().map_or(Ok(()), Err)
    }

    /// [`Self::reconcile`] where nobody waits for the answer: the log has it.
    fn follow(&mut self) {
        let _told = self.reconcile();
    }

    fn tell_conditions(&mut self, conditions: BTreeMap<String, Condition>) {
        for (service, now) in &conditions {
            let before = self.conditions.get(service);
            let was = |regime| before.is_some_and(|it| it.regime == regime);
            if now.regime == Regime::Panic && !was(Regime::Panic) {
                tracing::warn!(
                    "service {service}: panic: too few backends are up: clients are served as if health were ignored"
                );
            }
            if now.regime != Regime::Panic && was(Regime::Panic) {
                tracing::info!("service {service}: no panic any more: health counts again");
            }
            match before.map(|it| it.takers) {
                Some(1..) if now.takers == 0 => {
                    tracing::warn!("service {service}: no backend takes new clients");
                }
                Some(0) if now.takers > 0 => {
                    tracing::info!(
                        "service {service}: new clients are taken, backends that do: {}",
                        now.takers
                    );
                }
                _ => {}
            }
        }
        self.conditions = conditions;
    }

    fn member(&self, service: &str, backend: &str) -> Option<(u16, &Member)> {
        let number = self.numbers.backends.of(&backend_identity(service, backend))?;
        Some((number, self.members.get(&number)?))
    }

    /// Live flows of a backend.
    fn live(&self, number: u16) -> u64 {
        self.tables.counts(number).live()
    }
}

/// What the tables refused, as an answer.
fn refused(error: &DataplaneError) -> ApiError {
    ApiError::new(ErrorCode::Failed, format!("the tables are not as they should be: {error}"))
        .with_remedy("the agent tries again; its log says more")
}

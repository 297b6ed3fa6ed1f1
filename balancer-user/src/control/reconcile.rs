//! The ordered steps from the tables as they stand to what is wanted.
//!
//! Packets go on meanwhile, so each step must leave the tables in a state that serves them:
//!
//! 1. services, ways and next hops, before anything names them; then origins that are new, before a client is translated
//!    to where nobody knows the answer;
//! 2. backends that begin to take new clients, before a Maglev table names them;
//! 3. Maglev tables, so that who leaves is named by none before he stops taking clients: otherwise a client
//!    would be placed by neither the old table nor the new one;
//! 4. listeners, when all that they lead to is there, and before what only they led to goes;
//! 5. all other changes of backends: those that leave, fail, or only change a word;
//! 6. services that are no more, and numbers that are free.

use std::collections::BTreeMap;

use balancer_common::table::{
    backend::{BackendState, NextHop},
    listener::ListenerEntry,
    origin::OriginEntry,
    schedule::Schedule,
    way::Way,
};

use super::{judge::WantedBackend, maglev::MaglevInputs};

/// The tables as they are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Every service with a number; retired ones too.
    pub services: Vec<WantedService>,
    /// Every backend with a number; gone ones too.
    pub backends: Vec<WantedBackend>,
    /// Every listener.
    pub listeners: Vec<ListenerEntry>,
    /// Where translated answers come from.
    pub origins: Vec<OriginEntry>,
}

/// A service's line and table as they are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedService {
    /// Its number.
    pub number: u16,
    /// Its line.
    pub line: ServiceLine,
    /// Its table; `None`: the one that stands.
    pub maglev: Option<MaglevInputs>,
    /// It is no more: its number waits for its last entries to go.
    pub retired: bool,
}

/// The words of a service's line that are not its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLine {
    /// Whose the number is.
    pub identity: u64,
    /// Timeout of its pins in pin ticks.
    pub affinity_timeout: u32,
}

/// What stands in the tables, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Services by number; `None`: its line is not known and is written once.
    pub services: BTreeMap<u16, Option<ServiceLine>>,
    /// Backends by number.
    pub backends: BTreeMap<u16, StandingBackend>,
    /// The ways of backends by number, for v4 clients or v6 ones.
    pub ways: BTreeMap<(u16, bool), Way>,
    /// The listeners; `None`: not known.
    pub listeners: Option<Vec<ListenerEntry>>,
    /// The origins that stand with them.
    pub origins: Vec<OriginEntry>,
    /// What each service's current Maglev table was made of, where known.
    pub maglev: BTreeMap<u16, MaglevInputs>,
}

/// A backend's line as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingBackend {
    /// Whose the number is.
    pub identity: u64,
    /// What it may do.
    pub state: BackendState,
    /// When its flows have their turn, if they are reset.
    pub schedule: Schedule,
    /// How many live flows it may have before it takes no new client; 0: any number.
    pub max_flows: u32,
    /// Where its packets go.
    pub hop: NextHop,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A service's line.
    SetService(u16, ServiceLine),
    /// A backend's way for v4 clients, or v6 ones.
    SetWay(u16, bool, Way),
    /// A backend's next hop.
    SetNextHop(u16, NextHop),
    /// A backend's state.
    SetBackend(WantedBackend),
    /// A service's new Maglev table, unless the same stands already.
    SetMaglev(u16, MaglevInputs),
    /// The whole set of listeners, and of origins.
    SetListeners(Vec<ListenerEntry>, Vec<OriginEntry>),
    /// A backend's number is free.
    ClearBackend(u16),
    /// A service's number is free.
    ClearService(u16),
}

/// The steps, in their order; none if all stands as wanted.
#[must_use]
pub fn steps(wanted: &Wanted, standing: &Standing) -> Vec<Step> {
    let (early, late): (Vec<_>, Vec<_>) = changed_backends(wanted, standing).partition(|backend| {
        let before = standing.backends.get(&backend.number);
        let took = before.is_some_and(|it| it.identity == backend.identity && it.state.serving.new_clients());
        backend.state.serving.new_clients() && !took
    });
    let mut steps = Vec::new();
    steps.extend(service_lines(wanted, standing, false));
    steps.extend(ways(wanted, standing));
    steps.extend(next_hops(wanted, standing));
    let published = with_new_origins(wanted, standing);
    let stands = published
        .as_ref()
        .map_or((standing.listeners.as_ref(), &standing.origins), |it| (Some(&it.0), &it.1));
    let listeners_change = stands.0 != Some(&wanted.listeners) || !alike(stands.1, &wanted.origins);
    steps.extend(published.map(|(listeners, origins)| Step::SetListeners(listeners, origins)));
    steps.extend(early.into_iter().map(Step::SetBackend));
    steps.extend(maglev_tables(wanted, standing));
    if listeners_change {
        steps.push(Step::SetListeners(wanted.listeners.clone(), wanted.origins.clone()));
    }
    steps.extend(late.into_iter().map(Step::SetBackend));
    steps.extend(service_lines(wanted, standing, true));
    steps.extend(freed(wanted, standing));
    steps
}

fn service_lines(wanted: &Wanted, standing: &Standing, retired: bool) -> impl Iterator<Item = Step> {
    wanted
        .services
        .iter()
        .filter(move |service| service.retired == retired)
        .filter(|service| standing.services.get(&service.number) != Some(&Some(service.line)))
        .map(|service| Step::SetService(service.number, service.line))
}

fn ways(wanted: &Wanted, standing: &Standing) -> Vec<Step> {
    let each = |backend: &WantedBackend| {
        [(backend.number, true, backend.ways[0]), (backend.number, false, backend.ways[1])]
    };
    let all = wanted.backends.iter().flat_map(each);
    let stands = |number, v4| standing.ways.get(&(number, v4)).copied().unwrap_or_default();
    let changed = all.filter(|(number, v4, way)| stands(*number, *v4) != *way);
    changed.map(|(number, v4, way)| Step::SetWay(number, v4, way)).collect()
}

/// The listeners that stand with the origins that are new beside those that stand; `None`: there are no new ones.
fn with_new_origins(wanted: &Wanted, standing: &Standing) -> Option<(Vec<ListenerEntry>, Vec<OriginEntry>)> {
    let listeners = standing.listeners.as_ref()?;
    if wanted.origins.iter().all(|origin| standing.origins.contains(origin)) {
        return None;
    }
    let stays = |it: &&OriginEntry| !wanted.origins.iter().any(|other| other.key == it.key);
    let origins = wanted.origins.iter().chain(standing.origins.iter().filter(stays)).copied().collect();
    Some((listeners.clone(), origins))
}

/// Whether these are the same origins, in whatever order.
fn alike(one: &[OriginEntry], other: &[OriginEntry]) -> bool {
    one.len() == other.len() && one.iter().all(|origin| other.contains(origin))
}

fn next_hops(wanted: &Wanted, standing: &Standing) -> impl Iterator<Item = Step> {
    wanted
        .backends
        .iter()
        .filter(|backend| {
            let stands = standing.backends.get(&backend.number).map_or(NextHop(0), |it| it.hop);
            stands != backend.hop
        })
        .map(|backend| Step::SetNextHop(backend.number, backend.hop))
}

fn changed_backends(wanted: &Wanted, standing: &Standing) -> impl Iterator<Item = WantedBackend> {
    wanted.backends.iter().copied().filter(|backend| {
        let stands = standing.backends.get(&backend.number);
        stands.is_none_or(|it| {
            (it.identity, it.state, it.max_flows) != (backend.identity, backend.state, backend.max_flows)
        })
    })
}

fn maglev_tables(wanted: &Wanted, standing: &Standing) -> impl Iterator<Item = Step> {
    wanted.services.iter().filter_map(|service| {
        let inputs = service.maglev.as_ref()?;
        let stands = standing.maglev.get(&service.number) == Some(inputs);
        (!stands).then(|| Step::SetMaglev(service.number, inputs.clone()))
    })
}

fn freed(wanted: &Wanted, standing: &Standing) -> Vec<Step> {
    let backend = |number: &u16| wanted.backends.iter().any(|it| it.number == *number);
    let service = |number: &u16| wanted.services.iter().any(|it| it.number == *number);
    let backends = standing.backends.keys().filter(|number| !backend(number)).copied();
    let services = standing.services.keys().filter(|number| !service(number)).copied();
    backends.map(Step::ClearBackend).chain(services.map(Step::ClearService)).collect()
}

impl Standing {
    /// Takes note of a step that was taken.
    pub fn took(&mut self, step: Step) {
        match step {
            Step::SetService(number, line) => {
                self.services.insert(number, Some(line));
            }
            Step::SetWay(number, v4, way) => {
                self.ways.insert((number, v4), way);
            }
            Step::SetNextHop(number, hop) => {
                if let Some(backend) = self.backends.get_mut(&number) {
                    backend.hop = hop;
                }
            }
            Step::SetBackend(WantedBackend {
                number,
                identity,
                state,
                schedule,
                max_flows,
                hop,
                ways: _,
            }) => {
                self.backends.insert(number, StandingBackend { identity, state, schedule, max_flows, hop });
            }
            Step::SetMaglev(number, inputs) => {
                self.maglev.insert(number, inputs);
            }
            Step::SetListeners(listeners, origins) => {
                (self.listeners, self.origins) = (Some(listeners), origins);
            }
            Step::ClearBackend(number) => {
                self.backends.remove(&number);
                self.ways.retain(|(of, _), _| *of != number);
            }
            Step::ClearService(number) => {
                self.services.remove(&number);
                self.maglev.remove(&number);
            }
        }
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;

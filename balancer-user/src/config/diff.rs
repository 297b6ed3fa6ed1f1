//! What a reload would change.

use std::fmt;

use super::{
    keys::Effect,
    model::{Backend, Config, Service},
    settings::{Setting, agent_settings, backend_settings, limit_settings, service_settings},
};

/// One change. Displayed as `service ws: backend ws-3: weight 100 → 50`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changes.
    pub target: Target,
    /// How.
    pub what: What,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `[agent]`.
    Agent,
    /// `[limits]`.
    Limits,
    /// A service, by name.
    Service(String),
    /// A backend, by the names of its service and its own.
    Backend(String, String),
}

/// How it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// One of its keys has another value; `None`: it is not set.
    Key {
        /// The key, `timeouts.udp`.
        key: String,
        /// The value before.
        from: Option<String>,
        /// The value after.
        to: Option<String>,
        /// What it takes.
        effect: Effect,
    },
}

impl Change {
    /// What it takes.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self.what {
            What::Added | What::Removed => Effect::Live,
            What::Key { effect, .. } => effect,
        }
    }

    /// Whether it makes new tables, which costs flows or pins.
    #[must_use]
    pub fn needs_new_maps(&self) -> bool {
        self.effect() == Effect::NewMaps
    }

    /// Whether it wants a restart of the agent.
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        self.effect() == Effect::Restart
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::Limits => f.write_str("limits"),
            Self::Service(service) => write!(f, "service {service}"),
            Self::Backend(service, backend) => write!(f, "service {service}: backend {backend}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        match &self.what {
            What::Added => write!(f, "{}: added", self.target),
            What::Removed => write!(f, "{}: removed", self.target),
            What::Key { key, from, to, effect: _ } => {
                write!(f, "{}: {key} {} → {}", self.target, shown(from), shown(to))
            }
        }
    }
}

/// Every change from one configuration to another; the order of services and of backends is none.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = keys(&Target::Agent, &agent_settings(&old.agent), &agent_settings(&new.agent));
    changes.extend(keys(&Target::Limits, &limit_settings(&old.limits), &limit_settings(&new.limits)));
    for (old, new) in pairs(&old.services, &new.services, |service| &service.name) {
        changes.extend(service(old, new));
    }
    changes
}

fn service(old: Option<&Service>, new: Option<&Service>) -> Vec<Change> {
    let (Some(old), Some(new)) = (old, new) else {
        return whole(old.or(new).map(|it| Target::Service(it.name.clone())), new.is_some());
    };
    let target = Target::Service(new.name.clone());
    let mut changes = keys(&target, &service_settings(old), &service_settings(new));
    for (old, new) in pairs(&old.backends, &new.backends, |backend| &backend.name) {
        changes.extend(backend(&target, old, new));
    }
    changes
}

fn backend(service: &Target, old: Option<&Backend>, new: Option<&Backend>) -> Vec<Change> {
    let target = |it: &Backend| match service {
        Target::Service(service) => Target::Backend(service.clone(), it.name.clone()),
        other => other.clone(),
    };
    match (old, new) {
        (Some(old), Some(new)) => keys(&target(new), &backend_settings(old), &backend_settings(new)),
        _ => whole(old.or(new).map(target), new.is_some()),
    }
}

fn whole(target: Option<Target>, added: bool) -> Vec<Change> {
    let what = if added { What::Added } else { What::Removed };
    target.into_iter().map(|target| Change { target, what: what.clone() }).collect()
}

/// Old and new of each name: the old ones in their order, then those that are new.
fn pairs<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> &str,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let find = |all: &'a [T], it: &T| all.iter().find(|other| name(other) == name(it));
    let kept = old.iter().map(|it| (Some(it), find(new, it)));
    let added = new.iter().filter(|it| find(old, it).is_none()).map(|it| (None, Some(it)));
    kept.chain(added).collect()
}

fn keys(target: &Target, old: &[Setting], new: &[Setting]) -> Vec<Change> {
    let find = |all: &[Setting], it: &Setting| {
        all.iter()
            .find(|other| (other.section, other.key) == (it.section, it.key))
            .map(|found| found.value.clone())
    };
    let gone = old.iter().filter(|it| find(new, it).is_none());
    let changed = new.iter().chain(gone).filter(|it| find(old, it) != find(new, it));
    let change = |it: &Setting| Change {
        target: target.clone(),
        what: What::Key {
            key: it.name(),
            from: find(old, it),
            to: find(new, it),
            effect: it.row().map_or(Effect::Live, |row| row.effect),
        },
    };
    changed.map(change).collect()
}

//! Why flows were reset: the tables count how many, a backend's state at that time says why.

use std::collections::BTreeMap;

use balancer_common::{
    state::{Admin, Health},
    table::backend::BackendState,
};
use serde::{Deserialize, Serialize};

/// Why a backend's flows are reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Its checks fail.
    Down,
    /// The operator took it out of service.
    Maint,
    /// It was deleted.
    Gone,
    /// The deadline of its drain has passed.
    Drain,
    /// They had run out.
    Expired,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] = [Self::Down, Self::Maint, Self::Gone, Self::Drain, Self::Expired];

    /// Its word in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Maint => "maint",
            Self::Gone => "gone",
            Self::Drain => "drain",
            Self::Expired => "expired",
        }
    }

    /// Why a backend in this state resets its flows.
    #[must_use]
    pub const fn of(state: &BackendState) -> Self {
        match (state.admin, state.health) {
            (Admin::Maint, _) => Self::Maint,
            (Admin::Gone, _) => Self::Gone,
            (_, Health::Down) => Self::Down,
            _ => Self::Drain,
        }
    }
}

/// Flows of one backend that were reset, by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Causes(BTreeMap<Cause, u64>);

impl Causes {
    /// Of all flows that were reset, as the tables count them, those that have no cause yet have this one.
    pub fn settle(&mut self, total: u64, cause: Cause) {
        let new = total.saturating_sub(self.total());
        if new > 0 {
            *self.0.entry(cause).or_default() += new;
        }
    }

    /// Adds flows of a cause that is known.
    pub fn add(&mut self, cause: Cause, flows: u64) {
        *self.0.entry(cause).or_default() += flows;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of one cause.
    #[must_use]
    pub fn of(&self, cause: Cause) -> u64 {
        self.0.get(&cause).copied().unwrap_or(0)
    }

    /// None yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tables_count_goes_to_the_cause_of_its_time() {
        let mut causes = Causes::default();
        causes.settle(0, Cause::Down);
        assert!(causes.is_empty());
        causes.settle(7, Cause::Down);
        causes.add(Cause::Expired, 1);
        causes.settle(10, Cause::Drain);
        let each = Cause::ALL.map(|cause| causes.of(cause));
        assert_eq!((each, causes.total()), ([7, 0, 0, 2, 1], 10));
    }
}

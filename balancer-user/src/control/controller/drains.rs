//! Drains: since when, until when, and what becomes of what is left then.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use balancer_common::state::DrainEnd;

use super::{Control, Member};
use crate::config::Service;

/// How a backend drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DrainTerms {
    /// How long its flows may go on.
    pub(super) deadline: Duration,
    /// What becomes of them then.
    pub(super) end: DrainEnd,
    /// Its pinned clients' new connections still come to it.
    pub(super) keeps_pins: bool,
}

impl DrainTerms {
    /// When what is left is reset; `None`: never, or it does not drain.
    pub(super) fn ends_at(&self, since: Option<SystemTime>) -> Option<SystemTime> {
        match self.end {
            DrainEnd::Reset => since?.checked_add(self.deadline),
            DrainEnd::Leave => None,
        }
    }

    pub(super) fn is_overdue(&self, since: Option<SystemTime>, now: SystemTime) -> bool {
        self.ends_at(since).is_some_and(|end| end <= now)
    }
}

impl Control {
    /// How a backend drains: as the operator said, else as its service says.
    pub(super) fn drain_of(&self, service: &Service, member: &Member) -> DrainTerms {
        let said = self.runtime.of(&service.name, &member.named.backend).and_then(|it| it.drain);
        let said = said.filter(|_| member.drains()).unwrap_or_default();
        DrainTerms {
            deadline: said.deadline.map_or(service.drain.deadline, Duration::from_secs),
            end: said.end.map_or(service.drain.end, |end| end.0),
            keeps_pins: said.keep_pins,
        }
    }

    /// A drain begins anew with the next reconciliation, if it is on already.
    pub(super) fn begin_drain(&mut self, number: u16) {
        if let Some(member) = self.members.get_mut(&number) {
            member.draining_since = None;
        }
    }

    /// Takes note of drains that begin and end.
    pub(super) fn clock_drains(&mut self) {
        let mut changed = false;
        for member in self.members.values_mut() {
            let since = match (member.drains(), member.draining_since) {
                (true, None) => Some(SystemTime::now()),
                (true, since) => since,
                (false, _) => None,
            };
            changed |= member.draining_since != since;
            member.draining_since = since;
        }
        self.overdue = self.overdue_now();
        // The deadline is a moment: the next agent is to know it, whatever becomes of this one.
        if changed && let Err(error) = self.save_verdicts() {
            tracing::warn!("the beginning of a drain cannot be kept: {error}");
        }
    }

    /// Whether the deadline of a drain has passed since the tables were last brought to what is wanted.
    pub(super) fn deadline_passed(&self) -> bool {
        self.overdue_now() != self.overdue
    }

    /// Backends whose drain's deadline has passed, by number.
    fn overdue_now(&self) -> BTreeSet<u16> {
        let now = SystemTime::now();
        let rows = self.services.iter().flat_map(|service| {
            self.rows_of(service)
                .map(move |(number, member)| (number, self.drain_of(service, member), member))
        });
        let overdue = rows.filter(|(_, drain, member)| drain.is_overdue(member.draining_since, now));
        overdue.map(|(number, ..)| number).collect()
    }
}

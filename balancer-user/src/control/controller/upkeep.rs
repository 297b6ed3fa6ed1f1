//! What time does: those who leave are forgotten, numbers become free.

use std::{
    collections::HashSet,
    io,
    time::{Duration, Instant},
};

use super::{Control, member::Stage};
use crate::control::verdicts::{Kept, Verdicts};

/// Bounds of the time between two sweeps.
const SWEEPS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// A sweep may take one part in this many of the time.
const IDLE_SHARE: u32 = 50;
/// Occupancy from which on sweeps are as frequent as they get.
const BUSY: f64 = 0.6;

impl Control {
    /// Looks after those who leave; call it about once a second.
    pub fn tick(&mut self, now: Instant) {
        let leaving: Vec<u16> = self
            .members
            .iter()
            .filter(|(_, member)| matches!(member.stage, Stage::Leaving { .. }))
            .map(|(number, _)| *number)
            .collect();
        let before = self.numbers.backends.retired().count();
        for number in leaving {
            self.look_after(number, now);
        }
        self.settle_causes();
        let retired = self.numbers.backends.retired().count() != before;
        let turned = self.note_full();
        let widened = self.forget_path_mtus(now);
        if retired || turned || widened || self.deadline_passed() {
            self.follow();
        }
    }

    /// One that leaves is gone when it has had no live flow for as long as half-closed ones are remembered: their
    /// last segments still want to reach it.
    fn look_after(&mut self, number: u16, now: Instant) {
        let live = self.live(number);
        let Some(member) = self.members.get_mut(&number) else { return };
        let Stage::Leaving { idle_since } = &mut member.stage else { return };
        if live > 0 {
            *idle_since = None;
            return;
        }
        let since = *idle_since.get_or_insert(now);
        let service = self.services.iter().find(|service| service.name == member.named.service);
        let closing = service.map_or(Duration::ZERO, |service| service.timeouts.closing);
        if now.duration_since(since) >= closing {
            self.forget(number, now, "its last flow has ended");
        }
    }

    /// Sweeps the tables, and frees numbers that nothing names any more.
    pub fn sweep(&mut self, began: Instant) {
        self.swept = self.tables.sweep();
        let in_tables = self.named_by_maglev();
        let named = &self.swept.named;
        let numbers = &mut self.numbers;
        numbers.listeners.swept(began, |number| named.listeners.contains(&number));
        numbers.services.swept(began, |number| named.services.contains(&number));
        let freed = numbers
            .backends
            .swept(began, |number| named.backends.contains(&number) || in_tables.contains(&number));
        for number in freed {
            self.blocks.release(number);
            if let Some(member) = self.members.remove(&number) {
                tracing::debug!("{}: nothing names number {number} any more", member.title());
            }
        }
        self.save_names();
        self.count_ports();
        self.unswept = false;
        self.learn_doomed(Instant::now());
        self.follow();
    }

    /// Backends that a Maglev table of any service names, the previous ones too.
    fn named_by_maglev(&self) -> HashSet<u16> {
        if self.numbers.backends.retired().next().is_none() {
            return HashSet::new();
        }
        let mut named = HashSet::new();
        for service in &self.services {
            let identity = crate::control::entries::service_identity(&service.name);
            let Some(number) = self.numbers.services.of(&identity) else { continue };
            let tables = [
                self.tables.maglev(number, service.maglev_size),
                self.tables.maglev_previous(number, service.maglev_size),
            ];
            named.extend(tables.into_iter().flatten().flatten());
        }
        named
    }

    /// How long to wait for the next sweep: the fuller the tables, the shorter, and never longer than a sweep's cost
    /// asks for, so that what small tables tell is seldom older than a second.
    #[must_use]
    pub fn sweep_interval(&self) -> Duration {
        let fill = |(_, used, capacity): &(_, u64, u64)| *used as f64 / (*capacity).max(1) as f64;
        let fullest = self.swept.entries.iter().map(fill).fold(0.0, f64::max);
        let [shortest, longest] = SWEEPS;
        let by_fill = longest.mul_f64(1.0 - (fullest / BUSY).min(1.0));
        by_fill.min(self.swept.took * IDLE_SHARE).max(shortest)
    }

    /// Keeps since when each backend is as it is, and the counters of the verdicts, for the next agent.
    ///
    /// # Errors
    /// The system's.
    pub fn save_verdicts(&mut self) -> io::Result<()> {
        let mut verdicts = Verdicts::default();
        for member in self.members.values().filter(|member| member.stage != Stage::Gone) {
            let kept = Kept {
                admin_since: member.admin_since,
                draining_since: member.draining_since,
                causes: member.causes.clone(),
            };
            verdicts.note(&member.key(), &member.verdict.state, kept);
        }
        self.verdicts_file.save(verdicts)
    }
}

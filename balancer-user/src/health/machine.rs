//! The state machine of one backend's health: outcomes of checks in, transitions out.
//!
//! No clock, no socket: the caller says what came of a check and when. Two rules shape it. *A restart is
//! not an event*: the verdict and its counters are adopted, so that a check that fails once after a
//! restart counts where the old process had stopped. And *a backend that nobody has judged yet needs one
//! good check, not `rise`*: `rise` damps a backend that was down and flaps, it must not delay a start.
//!
//! An application that asks to be drained is believed at once, both ways: it speaks for itself, so that nothing has to be
//! damped. Only one that is down is not: its connections are lost, and `draining` would call them alive. It must be well
//! first, like any other.

use std::time::SystemTime;

use balancer_common::state::Health;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend answered as it should.
    Good,
    /// It did not; what was seen instead.
    Failed(String),
    /// It answered that it wants to be drained; with what.
    Drain(String),
    /// The check could not be made for a reason of this host (no file descriptor left, …). It says
    /// nothing about the backend and must not take every backend down at once.
    Inconclusive(String),
}

/// A verdict and its counters, as kept outside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The verdict.
    pub health: Health,
    /// When it became so; `None`: unknown, counted from now.
    pub since: Option<SystemTime>,
    /// Good checks in a row.
    pub good: u32,
    /// Failed checks in a row.
    pub failed: u32,
}

impl Adopted {
    /// Of a backend that this host has never judged.
    pub const UNKNOWN: Self = Self { health: Health::Checking, since: None, good: 0, failed: 0 };
}

/// A verdict that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The verdict before.
    pub from: Health,
    /// The verdict from now on.
    pub to: Health,
    /// Why, in words for a log line.
    pub cause: String,
}

/// The health of one backend.
#[derive(Clone, Debug)]
pub struct Machine {
    rise: u32,
    fall: u32,
    health: Health,
    since: SystemTime,
    good: u32,
    failed: u32,
    last_error: Option<String>,
}

impl Machine {
    /// A machine that goes on where `adopted` stopped. `rise` and `fall` of zero count as one.
    #[must_use]
    pub fn new(rise: u32, fall: u32, adopted: Adopted, now: SystemTime) -> Self {
        let Adopted { health, since, good, failed } = adopted;
        Self {
            rise: rise.max(1),
            fall: fall.max(1),
            health,
            since: since.unwrap_or(now),
            good,
            failed,
            last_error: None,
        }
    }

    /// Takes other thresholds; verdict and counters stay, the next outcome is held against the new ones.
    pub fn set_thresholds(&mut self, rise: u32, fall: u32) {
        self.rise = rise.max(1);
        self.fall = fall.max(1);
    }

    /// Takes the outcome of one check.
    pub fn on_result(&mut self, outcome: Outcome, now: SystemTime) -> Option<Transition> {
        match outcome {
            Outcome::Good => self.on_good(now),
            Outcome::Failed(seen) => self.on_failed(seen, now),
            Outcome::Drain(seen) if self.health == Health::Down => self.on_failed(seen, now),
            Outcome::Drain(seen) => self.on_drain(seen, now),
            Outcome::Inconclusive(why) => {
                self.last_error = Some(why);
                None
            }
        }
    }

    /// Takes the backend as up because it has no check (`kind = "none"`).
    pub fn on_unchecked(&mut self, now: SystemTime) -> Option<Transition> {
        (self.good, self.failed, self.last_error) = (0, 0, None);
        self.turn(Health::Up, "it has no health check".to_owned(), now)
    }

    /// The verdict.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// Since when the verdict stands.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// What the last check that was not good said; kept while the backend recovers, gone when it is up.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// What another process needs in order to go on from here.
    #[must_use]
    pub fn adoptable(&self) -> Adopted {
        Adopted { health: self.health, since: Some(self.since), good: self.good, failed: self.failed }
    }

    fn on_good(&mut self, now: SystemTime) -> Option<Transition> {
        self.good = self.good.saturating_add(1);
        self.failed = 0;
        let needed = if self.health == Health::Down { self.rise } else { 1 };
        if self.good < needed {
            return None;
        }
        self.last_error = None;
        let cause = match self.good {
            1 => "the check is good".to_owned(),
            n => format!("{n} good checks in a row"),
        };
        self.turn(Health::Up, cause, now)
    }

    fn on_failed(&mut self, seen: String, now: SystemTime) -> Option<Transition> {
        self.failed = self.failed.saturating_add(1);
        self.good = 0;
        let cause = match self.failed {
            1 => format!("the check failed: {seen}"),
            n => format!("{n} failed checks in a row, the last one: {seen}"),
        };
        self.last_error = Some(seen);
        if self.failed < self.fall {
            return None;
        }
        self.turn(Health::Down, cause, now)
    }

    fn on_drain(&mut self, seen: String, now: SystemTime) -> Option<Transition> {
        (self.good, self.failed) = (0, 0);
        let cause = format!("the application asks for it: {seen}");
        self.last_error = Some(seen);
        self.turn(Health::Draining, cause, now)
    }

    fn turn(&mut self, to: Health, cause: String, now: SystemTime) -> Option<Transition> {
        if self.health == to {
            return None;
        }
        let from = std::mem::replace(&mut self.health, to);
        self.since = now;
        Some(Transition { from, to, cause })
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

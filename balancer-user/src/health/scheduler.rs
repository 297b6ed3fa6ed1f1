//! When a check is made: one task a backend, its checks spread and bounded.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use balancer_common::state::Health;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    config::model::HealthKind,
    health::{
        machine::{Adopted, Machine, Outcome, Transition},
        probe::probe,
        target::{BackendKey, Target},
    },
};

/// Checks that run at once, at most: well below the usual limit of 1,024 descriptors.
const CONCURRENCY: usize = 256;
/// Two checks of a backend start `interval` ± this share apart.
const JITTER: f64 = 0.1;

/// The outcome of one check and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthEvent {
    /// Whose.
    pub key: BackendKey,
    /// The address that was asked.
    pub address: IpAddr,
    /// What came of the check; `Good` for a backend without one.
    pub outcome: Outcome,
    /// The verdict's change, if it changed.
    pub transition: Option<Transition>,
    /// Verdict and counters from now on: what is to be kept for the next process.
    pub state: Adopted,
    /// What the last check that was not good said.
    pub last_error: Option<String>,
}

/// Runs the checks of any number of backends; dropping it ends them all.
///
/// An event that was sent before [`set`](Self::set) or [`remove`](Self::remove) may still wait in the
/// channel after it: the owner ignores keys and addresses that it does not know (any more).
#[derive(Debug)]
pub struct Scheduler {
    events: mpsc::Sender<HealthEvent>,
    permits: Arc<Semaphore>,
    frozen: watch::Sender<bool>,
    /// A task ends when its sender is gone.
    targets: HashMap<BackendKey, watch::Sender<Target>>,
    tasks: JoinSet<()>,
}

impl Scheduler {
    /// A scheduler without any backend, that reports to `events`. A full channel delays checks.
    #[must_use]
    pub fn new(events: mpsc::Sender<HealthEvent>) -> Self {
        Self {
            events,
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            frozen: watch::Sender::new(false),
            targets: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Adds a backend, or changes its check.
    ///
    /// Where only the check changes, the verdict and its counters stay; `adopted` counts for a backend
    /// that is not known here, or whose address changes: another address is another server.
    /// A backend that is `checking` is asked at once, any other within its first interval.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn set(&mut self, key: BackendKey, target: Target, adopted: Adopted) {
        if let Some(sender) = self.targets.get(&key)
            && sender.borrow().address == target.address
        {
            sender.send_if_modified(|asked| std::mem::replace(asked, target.clone()) != target);
            return;
        }
        let sender = watch::Sender::new(target);
        self.start(key.clone(), &sender, adopted);
        self.targets.insert(key, sender);
    }

    /// Ends the checks of a backend; one that is under way has no outcome.
    pub fn remove(&mut self, key: &BackendKey) {
        self.targets.remove(key);
    }

    /// Freezes all verdicts, or lets them move again: while this host's own link has no carrier, a
    /// failed check says nothing about a backend. A check that a freeze overtakes has no outcome.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_if_modified(|now| std::mem::replace(now, frozen) != frozen);
    }

    /// The backends that are checked.
    pub fn keys(&self) -> impl Iterator<Item = &BackendKey> {
        self.targets.keys()
    }

    fn start(&mut self, key: BackendKey, target: &watch::Sender<Target>, adopted: Adopted) {
        while self.tasks.try_join_next().is_some() {}
        let check = target.borrow().check.clone();
        let checks = Checks {
            key,
            target: target.subscribe(),
            frozen: self.frozen.subscribe(),
            machine: Machine::new(check.rise, check.fall, adopted, SystemTime::now()),
            events: self.events.clone(),
            permits: Arc::clone(&self.permits),
        };
        self.tasks.spawn(checks.run());
    }
}

/// The task of one backend.
struct Checks {
    key: BackendKey,
    target: watch::Receiver<Target>,
    frozen: watch::Receiver<bool>,
    machine: Machine,
    events: mpsc::Sender<HealthEvent>,
    permits: Arc<Semaphore>,
}

impl Checks {
    /// Ends when the scheduler or the receiver of the events is gone.
    async fn run(mut self) {
        while self.run_with_target().await.is_some() {}
    }

    /// Checks one target until it changes; `None`: for ever done.
    async fn run_with_target(&mut self) -> Option<()> {
        let target = self.target.borrow_and_update().clone();
        self.machine.set_thresholds(target.check.rise, target.check.fall);
        if target.check.kind == HealthKind::None {
            let transition = self.machine.on_unchecked(SystemTime::now());
            self.report(&target, Outcome::Good, transition).await?;
            return self.target.changed().await.ok();
        }
        let interval = target.check.interval;
        let mut next = Instant::now() + first_delay(self.machine.health(), interval, rand::random());
        loop {
            tokio::select! {
                changed = self.target.changed() => return changed.ok(),
                () = sleep_until(next) => {}
            }
            if *self.frozen.borrow_and_update() {
                self.frozen.wait_for(|frozen| !frozen).await.ok()?;
                next = Instant::now() + interval.mul_f64(rand::random());
                continue;
            }
            next = self.check(&target).await?;
        }
    }

    /// Makes one check; when to make the next. `None`: nobody listens.
    async fn check(&mut self, target: &Target) -> Option<Instant> {
        let permit = self.permits.acquire().await.ok()?;
        let started = Instant::now();
        let outcome = probe(target).await;
        drop(permit);
        if !self.is_overtaken() {
            let transition = self.machine.on_result(outcome.clone(), SystemTime::now());
            self.report(target, outcome, transition).await?;
        }
        Some(started + jittered(target.check.interval, rand::random()))
    }

    /// Whether the target changed, or the link was lost, while a check was under way.
    fn is_overtaken(&self) -> bool {
        *self.frozen.borrow()
            || self.frozen.has_changed().unwrap_or(true)
            || self.target.has_changed().unwrap_or(true)
    }

    async fn report(&self, target: &Target, outcome: Outcome, transition: Option<Transition>) -> Option<()> {
        let event = HealthEvent {
            key: self.key.clone(),
            address: target.address,
            outcome,
            transition,
            state: self.machine.adoptable(),
            last_error: self.machine.last_error().map(str::to_owned),
        };
        self.events.send(event).await.ok()
    }
}

/// How long the first check waits: a fresh start must judge quickly, a restart must not ask all at once.
/// `random` is in 0..1.
fn first_delay(health: Health, interval: Duration, random: f64) -> Duration {
    if health == Health::Checking { Duration::ZERO } else { interval.mul_f64(random) }
}

/// `interval` ± [`JITTER`]; `random` is in 0..1.
fn jittered(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 + JITTER * (2.0 * random - 1.0))
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;

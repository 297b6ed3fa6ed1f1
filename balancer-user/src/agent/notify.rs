//! What a service manager is told (`sd_notify`); nothing happens without one.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{self, Interval, MissedTickBehavior};

/// It works.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It loads its file anew; [`ready`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!("no clock for the service manager: {error}"),
    }
}

/// It ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is alive.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// When to say [`alive`]: twice as often as the service manager wants to hear it.
pub(super) fn heartbeat() -> Option<Interval> {
    let wanted = sd_notify::watchdog_enabled()?;
    let mut interval = time::interval((wanted / 2).max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(interval)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the service manager was not told: {error}");
    }
}

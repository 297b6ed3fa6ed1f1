//! What each backend of a service may do, and who stands in its Maglev table.

use std::time::SystemTime;

use balancer_common::{
    serve::{Candidate, Policy, Regime, Situation},
    state::{Admin, Health, Mode},
    table::{
        backend::{BackendState, NextHop},
        schedule::Schedule,
        way::Way,
    },
};

use super::maglev::MaglevInputs;

/// One backend before it is judged.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its number.
    pub number: u16,
    /// Whose the number is.
    pub identity: u64,
    /// Its name: what its place in Maglev is made from.
    pub name: String,
    /// What is known of it.
    pub candidate: Candidate,
    /// Its next hop, as far as known.
    pub hop: NextHop,
    /// Its ways for v4 and v6 clients.
    pub ways: [Way; 2],
    /// How packets reach it.
    pub mode: Mode,
    /// Since when its application asks to be drained, or the operator drains it.
    pub draining_since: Option<SystemTime>,
    /// How many live flows it may have before it takes no new client; 0: any number.
    pub max_flows: u32,
    /// It has as many.
    pub full: bool,
}

/// How a service judges its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What it does about those that are not up.
    pub policy: Policy,
    /// An application that asks to be drained is not heard if fewer than this many would be left.
    pub min_ready: u32,
    /// Slots of its Maglev table.
    pub maglev_size: u32,
}

/// A backend's line as it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedBackend {
    /// Its number.
    pub number: u16,
    /// Whose the number is.
    pub identity: u64,
    /// What it may do, and why.
    pub state: BackendState,
    /// When its flows have their turn, if they are reset.
    pub schedule: Schedule,
    /// How many live flows it may have before it takes no new client; 0: any number.
    pub max_flows: u32,
    /// Where its packets go.
    pub hop: NextHop,
    /// Its ways for v4 and v6 clients.
    pub ways: [Way; 2],
}

/// A service's backends, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// How the service decides.
    pub regime: Regime,
    /// Its backends.
    pub backends: Vec<WantedBackend>,
    /// Its Maglev table.
    pub maglev: Option<MaglevInputs>,
    /// Nobody takes new clients, for want of nothing but a MAC address: that takes a moment, and a client tries again.
    pub waiting: bool,
}

/// Judges all backends of service `service` together.
#[must_use]
pub fn judge(service: u16, rules: &Rules, subjects: &[Subject]) -> Judged {
    let candidates = heard(rules.min_ready, subjects);
    let situation = Situation::of(rules.policy, &candidates);
    let wanted = |(subject, candidate)| wanted(service, &situation, subject, candidate);
    let backends: Vec<_> = subjects.iter().zip(&candidates).map(wanted).collect();
    let entrants = subjects.iter().zip(&backends).filter(|(_, wanted)| wanted.state.serving.new_clients());
    // The packet path lets nobody new onto one that is full; out of the table, it does not even have to look elsewhere.
    let entrants = entrants
        .filter(|(subject, _)| !subject.full)
        .map(|(subject, _)| (subject.name.clone(), subject.number, subject.candidate.weight))
        .collect();
    let near: Vec<_> = candidates.iter().map(|one| Candidate { reachable: true, ..*one }).collect();
    Judged {
        regime: situation.regime,
        backends,
        maglev: MaglevInputs::new(rules.maglev_size, entrants),
        waiting: !anybody(rules.policy, &candidates) && anybody(rules.policy, &near),
    }
}

/// Whether any of them takes new clients.
fn anybody(policy: Policy, candidates: &[Candidate]) -> bool {
    let situation = Situation::of(policy, candidates);
    candidates.iter().any(|one| situation.serving(one).new_clients())
}

/// The candidates, those up whose application asks to be drained when too few would be left: who asked first is heard
/// first.
fn heard(min_ready: u32, subjects: &[Subject]) -> Vec<Candidate> {
    let mut candidates: Vec<_> = subjects.iter().map(|subject| subject.candidate).collect();
    let with = |health| {
        let wanted = move |it: &&usize| {
            let Candidate { admin, health: found, .. } = subjects[**it].candidate;
            admin == Admin::Ready && found == health
        };
        (0..subjects.len()).filter(move |it| wanted(&it)).collect::<Vec<_>>()
    };
    let (up, mut asking) = (with(Health::Up).len(), with(Health::Draining));
    asking.sort_by_key(|it| subjects[*it].draining_since);
    let most = (up + asking.len()).saturating_sub(min_ready as usize);
    for unheard in asking.into_iter().skip(most) {
        candidates[unheard].health = Health::Up;
    }
    candidates
}

fn wanted(service: u16, situation: &Situation, subject: &Subject, heard: &Candidate) -> WantedBackend {
    let Subject {
        number,
        identity,
        candidate: Candidate { admin, health, .. },
        hop,
        ways,
        mode,
        max_flows,
        ..
    } = *subject;
    let state = BackendState { serving: situation.serving(heard), admin, health, mode, service };
    WantedBackend { number, identity, state, schedule: Schedule::default(), max_flows, hop, ways }
}

/// How many take new clients because they are up, or because nobody was judged yet; none in a panic.
#[must_use]
pub fn ready_count(policy: Policy, candidates: &[Candidate]) -> usize {
    let situation = Situation::of(policy, candidates);
    if situation.regime == Regime::Panic {
        return 0;
    }
    candidates.iter().filter(|one| situation.serving(one).new_clients()).count()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;

//! What each backend of a service may do, and who stands in its Maglev table.

use balancer_common::{
    serve::{Candidate, Regime, serving},
    state::Mode,
    table::backend::{BackendState, NextHop},
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
    /// How packets reach it.
    pub mode: Mode,
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
    /// Where its packets go.
    pub hop: NextHop,
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
}

/// Judges all backends of service `service` together.
#[must_use]
pub fn judge(service: u16, maglev_size: u32, subjects: &[Subject]) -> Judged {
    let candidates: Vec<_> = subjects.iter().map(|subject| subject.candidate).collect();
    let regime = Regime::of(&candidates);
    let backends: Vec<_> = subjects.iter().map(|subject| wanted(service, regime, subject)).collect();
    let entrants = subjects.iter().zip(&backends).filter(|(_, wanted)| wanted.state.serving.new_clients());
    let entrants = entrants
        .map(|(subject, _)| (subject.name.clone(), subject.number, subject.candidate.weight))
        .collect();
    Judged { regime, backends, maglev: MaglevInputs::new(maglev_size, entrants) }
}

fn wanted(service: u16, regime: Regime, subject: &Subject) -> WantedBackend {
    let Subject { number, identity, name: _, candidate, hop, mode } = subject;
    let Candidate { admin, health, weight: _, reachable: _ } = *candidate;
    let state = BackendState { serving: serving(regime, candidate), admin, health, mode: *mode, service };
    WantedBackend { number: *number, identity: *identity, state, hop: *hop }
}

/// How many take new clients because they are up, or because nobody was judged yet; none in a panic.
#[must_use]
pub fn ready_count(candidates: &[Candidate]) -> usize {
    let regime = Regime::of(candidates);
    if regime == Regime::Panic {
        return 0;
    }
    candidates.iter().filter(|one| serving(regime, one).new_clients()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use balancer_common::state::{Admin, Health};

    fn subject(number: u16, admin: Admin, health: Health) -> Subject {
        Subject {
            number,
            identity: u64::from(number),
            name: format!("ws-{number}"),
            candidate: Candidate { admin, health, weight: 100, reachable: true },
            hop: NextHop(u64::from(number)),
            mode: Mode::L2dsr,
        }
    }

    #[test]
    fn only_those_that_take_new_clients_stand_in_maglev() {
        let subjects = [
            subject(1, Admin::Ready, Health::Up),
            subject(2, Admin::Drain, Health::Up),
            subject(3, Admin::Ready, Health::Down),
            subject(4, Admin::Ready, Health::Checking),
        ];
        let judged = judge(9, 251, &subjects);
        assert_eq!(judged.regime, Regime::Normal);
        assert_eq!(judged.maglev, MaglevInputs::new(251, vec![("ws-1".to_owned(), 1, 100)]));
        assert!(judged.backends.iter().all(|it| it.state.service == 9));
    }

    #[test]
    fn nobody_counts_as_ready_in_a_panic() {
        let down = [subject(1, Admin::Ready, Health::Down), subject(2, Admin::Ready, Health::Down)];
        assert!(judge(9, 251, &down).backends.iter().all(|it| it.state.serving.new_clients()));
        assert_eq!(ready_count(&down.map(|subject| subject.candidate)), 0);
        let fresh = [subject(1, Admin::Ready, Health::Checking), subject(2, Admin::Ready, Health::Down)];
        assert_eq!(ready_count(&fresh.map(|subject| subject.candidate)), 1);
    }
}

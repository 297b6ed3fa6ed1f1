use super::*;
use crate::control::testing::{candidate, rules};
use std::time::{Duration, UNIX_EPOCH};

fn subject(number: u16, admin: Admin, health: Health) -> Subject {
    Subject {
        ways: [balancer_common::table::way::Way::default(); 2],
        number,
        identity: u64::from(number),
        name: format!("ws-{number}"),
        candidate: candidate(admin, health),
        hop: NextHop(u64::from(number)),
        mode: Mode::L2dsr,
        draining_since: None,
        max_flows: 0,
        full: false,
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
    let judged = judge(9, &rules(), &subjects);
    assert_eq!(judged.regime, Regime::Normal);
    assert_eq!(judged.maglev, MaglevInputs::new(251, vec![("ws-1".to_owned(), 1, 100)]));
    assert!(judged.backends.iter().all(|it| it.state.service == 9));
}

#[test]
fn nobody_counts_as_ready_in_a_panic() {
    let down = [subject(1, Admin::Ready, Health::Down), subject(2, Admin::Ready, Health::Down)];
    assert!(judge(9, &rules(), &down).backends.iter().all(|it| it.state.serving.new_clients()));
    let policy = rules().policy;
    assert_eq!(ready_count(policy, &down.map(|subject| subject.candidate)), 0);
    let fresh = [subject(1, Admin::Ready, Health::Checking), subject(2, Admin::Ready, Health::Down)];
    assert_eq!(ready_count(policy, &fresh.map(|subject| subject.candidate)), 1);
}

#[test]
fn applications_that_ask_to_be_drained_are_heard_in_turn_while_enough_are_left() {
    let asking = |number: u16| Subject {
        draining_since: Some(UNIX_EPOCH + Duration::from_secs(100 - u64::from(number))),
        ..subject(number, Admin::Ready, Health::Draining)
    };
    let subjects = [asking(1), asking(2), asking(3), subject(4, Admin::Ready, Health::Up)];
    let taking = |min_ready| {
        let judged = judge(9, &Rules { min_ready, ..rules() }, &subjects);
        let taking = judged.backends.iter().filter(|it| it.state.serving.new_clients());
        // What is shown is what was asked for, heard or not.
        assert!(judged.backends[..3].iter().all(|it| it.state.health == Health::Draining));
        taking.map(|it| it.number).collect::<Vec<_>>()
    };
    // The third asked first.
    assert_eq!(taking(1), [4]);
    assert_eq!(taking(2), [1, 4]);
    assert_eq!(taking(3), [1, 2, 4]);
    assert_eq!(taking(9), [1, 2, 3, 4]);
}

#[test]
fn where_only_mac_addresses_are_missing_clients_are_to_try_again() {
    let waiting = |candidates: &[(Health, bool)]| {
        let subjects: Vec<_> = (1..)
            .zip(candidates)
            .map(|(number, (health, reachable))| {
                let mut subject = subject(number, Admin::Ready, *health);
                subject.candidate.reachable = *reachable;
                subject
            })
            .collect();
        judge(9, &rules(), &subjects).waiting
    };
    assert!(waiting(&[(Health::Checking, false), (Health::Checking, false)]));
    assert!(!waiting(&[(Health::Checking, false), (Health::Up, true)]), "one takes clients");
    let off = Rules { policy: Policy { panic_below: None, ..rules().policy }, ..rules() };
    let down = [subject(1, Admin::Ready, Health::Down)];
    assert!(!judge(9, &off, &down).waiting, "nobody would, wherever he is");
}

use super::*;
use Admin::{Drain, Gone, Maint, Ready};
use Health::{Checking, Down, Draining, Up};

const ALL: u8 = Serving::FLOWS | Serving::PINNED | Serving::NEW;
const POLICY: Policy = Policy { on_down: OnDown::Reset, panic_below: Some(0) };

fn one(admin: Admin, health: Health) -> Candidate {
    Candidate {
        admin,
        health,
        weight: 100,
        reachable: true,
        backup: false,
        keeps_pins: false,
        overdue: false,
        unsure: false,
    }
}

/// What the first of these may do.
fn first(policy: Policy, candidates: &[Candidate]) -> u8 {
    Situation::of(policy, candidates).serving(&candidates[0]).0
}

#[test]
fn the_table_of_states_holds() {
    for (admin, health, bits) in [
        (Ready, Up, ALL),
        (Ready, Checking, Serving::FLOWS | Serving::KEEPS_PINS),
        (Ready, Down, Serving::RESETS),
        (Ready, Draining, Serving::FLOWS),
        (Drain, Up, Serving::FLOWS),
        (Drain, Down, Serving::RESETS),
        (Maint, Up, Serving::RESETS),
        (Gone, Up, Serving::RESETS),
    ] {
        assert_eq!(first(POLICY, &[one(admin, health), one(Ready, Up)]), bits, "{admin} / {health}");
    }
}

#[test]
fn on_down_says_what_becomes_of_the_flows_of_one_that_is_down() {
    for (on_down, bits) in
        [(OnDown::Reset, Serving::RESETS), (OnDown::Rehash, 0), (OnDown::Hold, Serving::FLOWS)]
    {
        let policy = Policy { on_down, ..POLICY };
        assert_eq!(first(policy, &[one(Ready, Down), one(Ready, Up)]), bits);
        // Maintenance is the operator's word, not the checks'.
        assert_eq!(first(policy, &[one(Maint, Up), one(Ready, Up)]), Serving::RESETS);
    }
}

#[test]
fn nobody_is_cut_off_while_nobody_could_take_his_clients() {
    let off = Policy { panic_below: None, ..POLICY };
    for policy in [off, Policy { on_down: OnDown::Rehash, ..off }] {
        for admin in [Ready, Drain, Maint, Gone] {
            assert_eq!(first(policy, &[one(admin, Down), one(Ready, Down)]), Serving::FLOWS, "{admin}");
        }
        let idle = Candidate { weight: 0, ..one(Ready, Up) };
        assert_eq!(first(policy, &[one(Maint, Up), idle]), Serving::FLOWS);
    }
}

#[test]
fn checking_backends_serve_when_nobody_was_judged() {
    let candidates = [one(Ready, Checking), one(Ready, Down)];
    let situation = Situation::of(POLICY, &candidates);
    assert_eq!(situation.regime, Regime::Unjudged);
    assert!(situation.serving(&candidates[0]).new_clients());
    assert!(!situation.serving(&candidates[1]).flows());
}

#[test]
fn nobody_up_means_health_is_ignored_but_the_operator_is_not() {
    let candidates = [one(Ready, Down), one(Maint, Down)];
    let situation = Situation::of(POLICY, &candidates);
    assert_eq!(situation.regime, Regime::Panic);
    assert!(situation.serving(&candidates[0]).new_clients());
    assert!(!situation.serving(&candidates[1]).flows());
}

#[test]
fn a_panic_begins_below_its_share_and_never_where_it_is_off() {
    let regime = |up, panic_below| {
        let candidates: [Candidate; 10] =
            core::array::from_fn(|n| one(Ready, if n < up { Up } else { Down }));
        Situation::of(Policy { panic_below, ..POLICY }, &candidates).regime
    };
    assert_eq!((regime(3, Some(300)), regime(2, Some(300))), (Regime::Normal, Regime::Panic));
    assert_eq!((regime(1, Some(0)), regime(0, Some(0))), (Regime::Normal, Regime::Panic));
    assert_eq!(regime(0, None), Regime::Normal);
}

#[test]
fn a_backup_serves_only_when_no_other_may() {
    let backup = |health| Candidate { backup: true, ..one(Ready, health) };
    // Its flows go on, its pins do not hold, once another is back.
    assert_eq!(first(POLICY, &[backup(Up), one(Ready, Up)]), Serving::FLOWS);
    assert_eq!(first(POLICY, &[backup(Up), one(Ready, Down)]), ALL);
    assert_eq!(first(POLICY, &[backup(Up), one(Ready, Checking)]), Serving::FLOWS);
    assert_eq!(first(POLICY, &[one(Ready, Down), backup(Up)]), Serving::RESETS);
    // Nobody at all: those that are no backup are tried.
    assert_eq!(first(POLICY, &[one(Ready, Down), backup(Down)]), ALL);
    assert_eq!(first(POLICY, &[backup(Down), one(Maint, Up)]), ALL);
}

#[test]
fn a_drain_ends_at_its_deadline_and_keeps_pins_if_it_is_told_to() {
    let keeping = Candidate { keeps_pins: true, ..one(Drain, Up) };
    assert_eq!(first(POLICY, &[keeping, one(Ready, Up)]), Serving::FLOWS | Serving::PINNED);
    for overdue in [one(Drain, Up), one(Ready, Draining)] {
        let overdue = Candidate { overdue: true, ..overdue };
        assert_eq!(first(POLICY, &[overdue, one(Ready, Up)]), Serving::RESETS);
        assert_eq!(first(POLICY, &[overdue, one(Maint, Up)]) & Serving::RESETS, 0);
    }
}

#[test]
fn where_all_checks_fail_or_pass_at_once_nobody_is_cut_off_by_who_is_judged_first() {
    let unsure = |health| Candidate { unsure: true, ..one(Ready, health) };
    assert_eq!(first(POLICY, &[one(Ready, Down), unsure(Up)]), Serving::FLOWS);
    assert_eq!(first(POLICY, &[one(Ready, Down), unsure(Up), one(Ready, Up)]), Serving::RESETS);
    // On the way back: this one's checks pass already.
    assert_eq!(first(POLICY, &[unsure(Down), one(Ready, Up)]), Serving::FLOWS);
    assert_eq!(first(POLICY, &[unsure(Up), one(Ready, Up)]), ALL);
}

#[test]
fn weight_zero_keeps_pins_and_takes_no_new_clients() {
    let idle = Candidate { weight: 0, ..one(Ready, Up) };
    assert_eq!(first(POLICY, &[idle]), Serving::FLOWS | Serving::PINNED);
}

#[test]
fn a_backend_without_a_mac_address_keeps_its_flows_and_takes_nothing_new() {
    let lost = Candidate { reachable: false, ..one(Ready, Up) };
    assert_eq!(first(POLICY, &[lost]), Serving::FLOWS);
}

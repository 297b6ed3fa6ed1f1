use std::time::Duration;

use super::*;

const START: SystemTime = SystemTime::UNIX_EPOCH;

fn at(seconds: u64) -> SystemTime {
    START + Duration::from_secs(seconds)
}

fn machine(health: Health) -> Machine {
    Machine::new(2, 3, Adopted { health, ..Adopted::UNKNOWN }, START)
}

fn refused() -> Outcome {
    Outcome::Failed("connection refused".to_owned())
}

/// Feeds `outcomes` one second apart; the verdict after each.
fn verdicts(machine: &mut Machine, outcomes: &[Outcome]) -> Vec<Health> {
    let mut feed = |(second, outcome): (u64, &Outcome)| {
        machine.on_result(outcome.clone(), at(second));
        machine.health()
    };
    (1..).zip(outcomes).map(&mut feed).collect()
}

#[test]
fn first_good_check_makes_a_backend_up_that_was_never_judged() {
    let mut machine = machine(Health::Checking);
    let turn = machine.on_result(Outcome::Good, at(1)).unwrap();
    assert_eq!((turn.from, turn.to), (Health::Checking, Health::Up));
    assert_eq!(turn.cause, "the check is good");
    assert_eq!(machine.since(), at(1));
}

#[test]
fn rise_counts_only_after_a_down() {
    use Health::{Down, Up};
    let mut machine = machine(Down);
    assert_eq!(verdicts(&mut machine, &[Outcome::Good, Outcome::Good]), [Down, Up]);
}

#[test]
fn good_checks_must_come_in_a_row_to_raise_a_backend() {
    use Health::{Down, Up};
    let outcomes = [Outcome::Good, refused(), Outcome::Good, Outcome::Good];
    assert_eq!(verdicts(&mut machine(Down), &outcomes), [Down, Down, Down, Up]);
}

#[test]
fn fall_failures_in_a_row_take_an_up_backend_down() {
    use Health::{Down, Up};
    let mut machine = machine(Up);
    assert_eq!(verdicts(&mut machine, &[refused(), refused()]), [Up, Up]);
    let turn = machine.on_result(refused(), at(3)).unwrap();
    assert_eq!((turn.from, turn.to), (Up, Down));
    assert_eq!(turn.cause, "3 failed checks in a row, the last one: connection refused");
    assert_eq!(machine.last_error(), Some("connection refused"));
}

#[test]
fn one_good_check_between_failures_keeps_a_backend_up() {
    use Health::Up;
    let outcomes = [refused(), refused(), Outcome::Good, refused(), refused()];
    assert_eq!(verdicts(&mut machine(Up), &outcomes), [Up; 5]);
}

#[test]
fn fall_failures_take_a_backend_down_that_was_never_judged() {
    use Health::{Checking, Down};
    let outcomes = [refused(), refused(), refused()];
    assert_eq!(verdicts(&mut machine(Checking), &outcomes), [Checking, Checking, Down]);
}

#[test]
fn one_good_check_ends_the_drain_that_the_application_asked_for() {
    assert_eq!(verdicts(&mut machine(Health::Draining), &[Outcome::Good]), [Health::Up]);
}

fn asks() -> Outcome {
    Outcome::Drain("status 503".to_owned())
}

#[test]
fn an_application_that_asks_to_be_drained_is_believed_at_once() {
    for health in [Health::Up, Health::Checking] {
        let mut machine = machine(health);
        let turn = machine.on_result(asks(), at(1)).unwrap();
        assert_eq!((turn.from, turn.to), (health, Health::Draining));
        assert_eq!(turn.cause, "the application asks for it: status 503");
        assert_eq!((machine.last_error(), machine.since()), (Some("status 503"), at(1)));
        assert_eq!(machine.on_result(asks(), at(2)), None, "it is said once");
        assert_eq!(machine.since(), at(1));
    }
}

#[test]
fn fall_failures_in_a_row_take_a_draining_backend_down() {
    use Health::{Down, Draining};
    let outcomes = [refused(), refused(), asks(), refused(), refused(), refused()];
    let expected = [Draining, Draining, Draining, Draining, Draining, Down];
    assert_eq!(verdicts(&mut machine(Draining), &outcomes), expected);
}

#[test]
fn failures_before_the_application_asked_do_not_count_against_it() {
    use Health::{Draining, Up};
    let outcomes = [refused(), refused(), asks(), refused()];
    assert_eq!(verdicts(&mut machine(Up), &outcomes), [Up, Up, Draining, Draining]);
}

#[test]
fn a_backend_that_is_down_stays_so_when_its_application_asks_to_be_drained() {
    use Health::{Down, Up};
    let outcomes = [asks(), Outcome::Good, asks(), Outcome::Good, Outcome::Good];
    assert_eq!(verdicts(&mut machine(Down), &outcomes), [Down, Down, Down, Down, Up]);
}

#[test]
fn a_restart_is_not_an_event() {
    let adopted = Adopted { health: Health::Up, since: Some(at(7)), good: 0, failed: 2 };
    let machine = Machine::new(2, 3, adopted, at(100));
    assert_eq!((machine.health(), machine.since()), (Health::Up, at(7)));
    assert_eq!(machine.adoptable(), adopted);
    let draining = Adopted { health: Health::Draining, ..adopted };
    assert_eq!(Machine::new(2, 3, draining, at(100)).on_result(asks(), at(101)), None);
}

#[test]
fn adopted_counters_go_on_counting() {
    let failing = Adopted { health: Health::Up, since: None, good: 0, failed: 2 };
    assert!(Machine::new(2, 3, failing, START).on_result(refused(), at(1)).is_some());
    let rising = Adopted { health: Health::Down, since: None, good: 1, failed: 0 };
    assert!(Machine::new(2, 3, rising, START).on_result(Outcome::Good, at(1)).is_some());
}

#[test]
fn an_inconclusive_check_changes_no_counter_and_no_verdict() {
    let mut machine = machine(Health::Up);
    verdicts(&mut machine, &[refused(), refused()]);
    let before = machine.adoptable();
    for second in 3..20 {
        let outcome = Outcome::Inconclusive("too many open files".to_owned());
        assert_eq!(machine.on_result(outcome, at(second)), None);
    }
    assert_eq!(machine.adoptable(), before);
    assert_eq!(machine.last_error(), Some("too many open files"));
}

#[test]
fn a_backend_without_a_check_is_up_always() {
    for health in [Health::Checking, Health::Down, Health::Draining] {
        let mut machine = machine(health);
        assert_eq!(machine.on_unchecked(at(1)).map(|turn| turn.to), Some(Health::Up));
        assert_eq!(machine.on_unchecked(at(2)), None);
    }
}

#[test]
fn an_error_is_remembered_until_the_backend_is_up_again() {
    let mut machine = machine(Health::Up);
    verdicts(&mut machine, &[refused(), refused(), refused(), Outcome::Good]);
    assert_eq!(machine.last_error(), Some("connection refused"), "while it recovers");
    verdicts(&mut machine, &[Outcome::Good]);
    assert_eq!(machine.last_error(), None);
}

#[test]
fn since_moves_only_with_the_verdict() {
    let mut machine = machine(Health::Checking);
    verdicts(&mut machine, &[Outcome::Good, Outcome::Good, refused(), Outcome::Good]);
    assert_eq!(machine.since(), at(1));
}

#[test]
fn a_lower_fall_is_held_against_the_next_outcome() {
    let mut machine = machine(Health::Up);
    verdicts(&mut machine, &[refused()]);
    machine.set_thresholds(2, 2);
    assert_eq!(machine.health(), Health::Up, "no outcome, no event");
    assert!(machine.on_result(refused(), at(9)).is_some());
}

#[test]
fn counters_saturate() {
    let adopted = Adopted { health: Health::Down, since: None, good: 0, failed: u32::MAX };
    let mut machine = Machine::new(1, 1, adopted, START);
    machine.on_result(refused(), at(1));
    assert_eq!(machine.adoptable().failed, u32::MAX);
}

use tokio::{net::TcpListener, time::timeout};

use super::*;
use crate::{
    config::model::{HealthCheck, Via},
    health::{Way, testing::refusing_address},
};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(60);

fn key(backend: &str) -> BackendKey {
    BackendKey { service: "ws".to_owned(), backend: backend.to_owned() }
}

fn target(address: std::net::SocketAddr, kind: HealthKind, interval: Duration) -> Target {
    let via = Via::Direct;
    let check = HealthCheck { kind, port: None, via, interval, timeout: SHORT, rise: 2, fall: 3 };
    Target { address: address.ip(), port: address.port(), way: Way::Direct, check }
}

fn up() -> Adopted {
    Adopted { health: Health::Up, ..Adopted::UNKNOWN }
}

fn scheduler() -> (Scheduler, mpsc::Receiver<HealthEvent>) {
    let (sender, events) = mpsc::channel(16);
    (Scheduler::new(sender), events)
}

async fn next(events: &mut mpsc::Receiver<HealthEvent>) -> HealthEvent {
    timeout(Duration::from_secs(5), events.recv()).await.expect("an event in time").expect("a sender")
}

async fn is_silent(events: &mut mpsc::Receiver<HealthEvent>) -> bool {
    timeout(SHORT * 6, events.recv()).await.is_err()
}

/// Reads events up to a transition; the number of events that it took.
async fn transition(events: &mut mpsc::Receiver<HealthEvent>) -> (usize, Transition) {
    for count in 1.. {
        if let Some(transition) = next(events).await.transition {
            return (count, transition);
        }
    }
    unreachable!("the loop has no end")
}

#[test]
fn a_backend_that_was_never_judged_is_asked_at_once_others_within_an_interval() {
    assert_eq!(first_delay(Health::Checking, LONG, 0.9), Duration::ZERO);
    assert_eq!(first_delay(Health::Up, LONG, 0.5), LONG / 2);
    assert_eq!(first_delay(Health::Down, LONG, 0.25), LONG / 4);
}

#[test]
fn jitter_stays_within_ten_percent_both_ways() {
    let interval = Duration::from_secs(10);
    for (random, seconds) in [(0.0, 9.0), (0.5, 10.0), (1.0, 11.0)] {
        assert!((jittered(interval, random).as_secs_f64() - seconds).abs() < 1e-6);
    }
}

#[tokio::test]
async fn a_fresh_backend_is_up_after_one_good_check_without_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut scheduler, mut events) = scheduler();
    let asked = listener.local_addr().unwrap();
    scheduler.set(key("a"), target(asked, HealthKind::Tcp, LONG), Adopted::UNKNOWN);
    let event = next(&mut events).await;
    assert_eq!((&event.key, event.address), (&key("a"), asked.ip()));
    assert_eq!(event.transition.map(|turn| turn.to), Some(Health::Up));
    assert_eq!((event.state.health, event.state.good, event.outcome), (Health::Up, 1, Outcome::Good));
}

#[tokio::test]
async fn a_dead_backend_is_down_after_fall_checks() {
    let (mut scheduler, mut events) = scheduler();
    scheduler.set(key("a"), target(refusing_address(), HealthKind::Tcp, SHORT), up());
    let (checks, turn) = transition(&mut events).await;
    assert_eq!((checks, turn.to), (3, Health::Down));
    assert!(turn.cause.ends_with("connection refused"), "{}", turn.cause);
}

#[tokio::test]
async fn adopted_failures_count() {
    let (mut scheduler, mut events) = scheduler();
    let adopted = Adopted { failed: 2, ..up() };
    scheduler.set(key("a"), target(refusing_address(), HealthKind::Tcp, SHORT), adopted);
    assert_eq!(transition(&mut events).await.0, 1);
}

#[tokio::test]
async fn checks_of_a_backend_start_an_interval_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut scheduler, mut events) = scheduler();
    let interval = SHORT * 4;
    let asked = target(listener.local_addr().unwrap(), HealthKind::Tcp, interval);
    scheduler.set(key("a"), asked, Adopted::UNKNOWN);
    next(&mut events).await;
    let first = Instant::now();
    next(&mut events).await;
    let apart = first.elapsed();
    assert!(apart > interval.mul_f64(0.8) && apart < interval * 2, "{apart:?}");
}

#[tokio::test]
async fn a_backend_without_a_check_is_reported_up_once() {
    let (mut scheduler, mut events) = scheduler();
    let adopted = Adopted { health: Health::Down, ..Adopted::UNKNOWN };
    scheduler.set(key("a"), target(refusing_address(), HealthKind::None, SHORT), adopted);
    assert_eq!(next(&mut events).await.transition.map(|turn| turn.to), Some(Health::Up));
    assert!(is_silent(&mut events).await);
}

#[tokio::test]
async fn a_removed_backend_is_asked_no_more() {
    let (mut scheduler, mut events) = scheduler();
    scheduler.set(key("a"), target(refusing_address(), HealthKind::Tcp, SHORT), Adopted::UNKNOWN);
    next(&mut events).await;
    scheduler.remove(&key("a"));
    while events.try_recv().is_ok() {}
    assert!(is_silent(&mut events).await);
    assert_eq!(scheduler.keys().count(), 0);
}

#[tokio::test]
async fn a_check_under_way_has_no_outcome_once_its_backend_is_removed() {
    let (_full, silent) = crate::health::testing::unanswered_listener();
    let (mut scheduler, mut events) = scheduler();
    scheduler.set(key("a"), target(silent, HealthKind::Tcp, LONG), Adopted::UNKNOWN);
    tokio::time::sleep(SHORT / 2).await;
    scheduler.remove(&key("a"));
    assert!(is_silent(&mut events).await);
}

#[tokio::test]
async fn a_changed_check_keeps_verdict_and_counters() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut scheduler, mut events) = scheduler();
    let healthy = target(listener.local_addr().unwrap(), HealthKind::Tcp, LONG);
    scheduler.set(key("a"), healthy, Adopted::UNKNOWN);
    next(&mut events).await;
    // Only the port and the interval change: the backend is still `up`, and `adopted` is not taken.
    let refusing = target(refusing_address(), HealthKind::Tcp, SHORT);
    scheduler.set(key("a"), refusing, Adopted::UNKNOWN);
    let (checks, turn) = transition(&mut events).await;
    assert_eq!((checks, turn.from, turn.to), (3, Health::Up, Health::Down));
}

#[tokio::test]
async fn another_address_is_another_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut scheduler, mut events) = scheduler();
    let first = target(listener.local_addr().unwrap(), HealthKind::Tcp, LONG);
    scheduler.set(key("a"), first.clone(), Adopted::UNKNOWN);
    next(&mut events).await;
    scheduler.set(key("a"), Target { address: "127.0.0.2".parse().unwrap(), ..first }, Adopted::UNKNOWN);
    let event = next(&mut events).await;
    assert_eq!((event.state.health, event.state.failed), (Health::Checking, 1));
}

#[tokio::test]
async fn the_same_target_again_disturbs_nothing() {
    let (mut scheduler, mut events) = scheduler();
    let same = target(refusing_address(), HealthKind::None, LONG);
    scheduler.set(key("a"), same.clone(), Adopted::UNKNOWN);
    next(&mut events).await;
    scheduler.set(key("a"), same, Adopted::UNKNOWN);
    assert!(is_silent(&mut events).await);
}

#[tokio::test]
async fn frozen_verdicts_do_not_move_until_they_are_thawed() {
    let (mut scheduler, mut events) = scheduler();
    scheduler.freeze(true);
    scheduler.set(key("a"), target(refusing_address(), HealthKind::Tcp, SHORT), up());
    assert!(is_silent(&mut events).await);
    scheduler.freeze(false);
    assert_eq!(transition(&mut events).await.0, 3);
}

#[tokio::test]
async fn a_check_that_a_freeze_overtakes_has_no_outcome() {
    let (_full, silent) = crate::health::testing::unanswered_listener();
    let (mut scheduler, mut events) = scheduler();
    let mut slow = target(silent, HealthKind::Tcp, LONG);
    slow.check.timeout = SHORT * 3;
    scheduler.set(key("a"), slow, Adopted::UNKNOWN);
    tokio::time::sleep(SHORT).await;
    scheduler.freeze(true);
    assert!(is_silent(&mut events).await);
}

#[tokio::test]
async fn no_more_checks_run_at_once_than_there_are_permits() {
    let (_full, silent) = crate::health::testing::unanswered_listener();
    let (mut scheduler, mut events) = scheduler();
    scheduler.permits = Arc::new(Semaphore::new(1));
    let started = Instant::now();
    for backend in ["a", "b", "c", "d"] {
        scheduler.set(key(backend), target(silent, HealthKind::Tcp, LONG), Adopted::UNKNOWN);
    }
    for _ in 0..4 {
        next(&mut events).await;
    }
    assert!(started.elapsed() >= SHORT * 4, "{:?}", started.elapsed());
}

#[tokio::test]
async fn dropping_the_scheduler_ends_every_check() {
    let (mut scheduler, mut events) = scheduler();
    scheduler.set(key("a"), target(refusing_address(), HealthKind::Tcp, SHORT), up());
    drop(scheduler);
    let drained = async { while events.recv().await.is_some() {} };
    timeout(Duration::from_secs(5), drained).await.expect("all senders are gone");
}

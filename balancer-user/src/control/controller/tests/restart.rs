use super::*;
use crate::api::types::{AddBackend, DeleteQuery};

fn slots(bench: &Bench) -> (Option<Vec<u16>>, Option<Vec<u16>>) {
    let number = bench.control.numbers.services.of(&service_identity("ws")).unwrap();
    (bench.control.tables.maglev(number, 1009), bench.control.tables.maglev_previous(number, 1009))
}

#[test]
fn a_restart_is_not_an_event() {
    let mut bench = Bench::new(&two_backends());
    bench.judge("ws", "ws-2", Health::Down);
    let homes: Vec<_> = (1..=50).map(|client| bench.connect(client)).collect();
    let before = (slots(&bench), bench.control.standing.backends.clone());
    let bench = bench.restart();
    assert_eq!((slots(&bench), bench.control.standing.backends.clone()), before);
    assert_eq!(bench.row("ws-1").health, Health::Up);
    assert_eq!(bench.row("ws-2").health, Health::Down);
    let again: Vec<_> = (1..=50).map(|client| bench.connect(client)).collect();
    assert_eq!(again, homes);
}

#[test]
fn runtime_changes_are_on_disk_before_a_verb_returns() {
    let mut bench = Bench::new(&file(&service("ws", "203.0.113.10", 3)));
    bench.drain("ws-1").unwrap();
    bench.weigh("ws-2", 7).unwrap();
    let addresses = vec!["10.0.0.5".parse().unwrap()];
    bench.control.add("ws", &AddBackend { name: "ws-5".to_owned(), addresses, weight: Some(50) }).unwrap();
    bench.control.delete("ws", "ws-3", DeleteQuery { now: true, force: false }).unwrap();
    let drift = bench.control.status_doc().drift;
    let bench = bench.restart();
    assert_eq!(bench.control.status_doc().drift, drift);
    let shown: Vec<_> = bench.rows().into_iter().map(|row| (row.name, row.admin, row.weight)).collect();
    let expected = [("ws-1", Admin::Drain, 100), ("ws-2", Admin::Ready, 7), ("ws-5", Admin::Ready, 50)];
    assert_eq!(shown, expected.map(|(name, admin, weight)| (name.to_owned(), admin, weight)));
}

#[test]
fn a_verb_that_cannot_be_journalled_changes_nothing() {
    let mut bench = Bench::new(&two_backends());
    std::fs::remove_dir_all(bench.directory.path()).unwrap();
    let error = bench.drain("ws-1").unwrap_err();
    assert_eq!(error.code, ErrorCode::Failed);
    assert!(error.message.starts_with("nothing was changed"), "{error}");
    assert_eq!((bench.row("ws-1").admin, bench.state("ws-1").admin), (Admin::Ready, Admin::Ready));
}

#[test]
fn one_that_leaves_keeps_its_name_and_leaves_on_after_a_restart() {
    let mut bench = Bench::new(&two_backends());
    let client = (1..=100).find(|client| bench.connect(*client).as_deref() == Some("ws-1")).unwrap();
    bench.control.delete("ws", "ws-1", DeleteQuery::default()).unwrap();
    let mut bench = bench.restart();
    let row = bench.row("ws-1");
    assert_eq!((row.admin, row.flows, row.addresses.len()), (Admin::Drain, 1, 1));
    bench.finish(client);
    bench.control.tick(after(0));
    bench.control.tick(after(31));
    assert!(bench.rows().iter().all(|row| row.name != "ws-1"));
}

#[test]
fn one_that_was_taken_out_of_the_file_while_no_agent_ran_drains() {
    let bench = Bench::new(&two_backends());
    let client = (1..=100).find(|client| bench.connect(*client).as_deref() == Some("ws-2")).unwrap();
    bench.rewrite(&file(&service("ws", "203.0.113.10", 1)));
    let bench = bench.restart();
    assert_eq!(bench.row("ws-2").admin, Admin::Drain);
    assert_eq!(bench.connect(client).as_deref(), Some("ws-2"), "its flow goes on");
}

#[test]
fn counters_of_a_verdict_outlive_the_agent() {
    let mut bench = Bench::new(&two_backends());
    let (key, target, before) = bench.control.checks().remove(0);
    bench.control.on_health(HealthEvent {
        key: key.clone(),
        address: target.address,
        outcome: Outcome::Failed("refused".to_owned()),
        transition: None,
        state: Adopted { failed: 2, ..before },
        last_error: None,
    });
    bench.control.save_verdicts().unwrap();
    let bench = bench.restart();
    let (_, _, adopted) = bench.control.checks().into_iter().find(|(it, ..)| *it == key).unwrap();
    assert_eq!((adopted.health, adopted.failed), (Health::Up, 2));
}

#[test]
fn the_drain_that_an_application_asked_for_outlives_the_agent() {
    let mut bench = Bench::new(&two_backends());
    bench.judge("ws", "ws-1", Health::Draining);
    let before = bench.row("ws-1");
    assert_eq!((before.health, bench.state("ws-1").serving.new_clients()), (Health::Draining, false));
    bench.control.save_verdicts().unwrap();
    let mut bench = bench.restart();
    let now = bench.row("ws-1");
    assert_eq!((now.health, now.since), (before.health, before.since));
    assert!(!bench.state("ws-1").serving.new_clients() && bench.state("ws-1").serving.flows());
    bench.judge("ws", "ws-1", Health::Up);
    assert!(bench.state("ws-1").serving.new_clients());
}

#[test]
fn since_when_the_operator_drains_a_backend_outlives_the_agent() {
    let mut bench = Bench::new(&two_backends());
    let long_ago = Some(SystemTime::UNIX_EPOCH);
    bench.control.members.values_mut().for_each(|member| member.verdict.state.since = long_ago);
    bench.drain("ws-1").unwrap();
    let before = bench.row("ws-1").since.unwrap();
    assert_ne!(Some(&before), bench.row("ws-2").since.as_ref());
    bench.control.save_verdicts().unwrap();
    assert_eq!(bench.restart().row("ws-1").since.unwrap(), before);
}

#[test]
fn a_damaged_journal_stops_the_start() {
    let bench = Bench::new(&two_backends());
    let Bench { directory, control } = bench;
    std::fs::write(directory.path().join("runtime.json"), "{").unwrap();
    let error = start(directory.path(), Some(control.into_tables().reopened())).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

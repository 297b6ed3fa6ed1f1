use super::*;
use crate::api::types::{AddBackend, DeleteQuery};

fn add(bench: &mut Bench, name: &str, host: u8) -> u16 {
    let add = AddBackend {
        name: name.to_owned(),
        addresses: vec![IpAddr::from([10, 0, 0, host]).into()],
        weight: None,
    };
    let number = bench.control.add("ws", &add).unwrap().backend.number;
    bench.resolve_all();
    bench.judge("ws", name, Health::Up);
    number
}

fn delete(bench: &mut Bench, name: &str) {
    bench.control.delete("ws", name, DeleteQuery { now: true, force: true }).unwrap();
}

#[test]
fn a_number_is_given_out_again_when_nothing_names_it() {
    let mut bench = Bench::new(&two_backends());
    let number = add(&mut bench, "ws-5", 5);
    delete(&mut bench, "ws-5");
    bench.control.sweep(after(2));
    assert_ne!(add(&mut bench, "ws-6", 6), number, "the previous Maglev table names it");
    delete(&mut bench, "ws-6");
    bench.control.sweep(after(4));
    assert_eq!(add(&mut bench, "ws-7", 7), number);
}

#[test]
fn a_pin_keeps_a_number_taken() {
    let mut bench = Bench::new(&two_backends());
    let number = add(&mut bench, "ws-5", 5);
    let client = (1..=200).find(|client| bench.connect(*client).as_deref() == Some("ws-5")).unwrap();
    bench.finish(client);
    delete(&mut bench, "ws-5");
    for weight in [1, 2, 3] {
        bench.weigh("ws-1", weight).unwrap();
    }
    assert!(!bench.in_maglev().contains(&number));
    bench.control.sweep(after(2));
    assert_ne!(add(&mut bench, "ws-6", 6), number);
}

#[test]
fn a_sweep_that_began_too_early_frees_nothing() {
    let mut bench = Bench::new(&two_backends());
    let number = add(&mut bench, "ws-5", 5);
    delete(&mut bench, "ws-5");
    for weight in [1, 2, 3] {
        bench.weigh("ws-1", weight).unwrap();
    }
    bench.control.sweep(Instant::now());
    assert_eq!(bench.control.standing.backends[&number].state.admin, Admin::Gone);
    bench.control.sweep(after(2));
    assert!(!bench.control.standing.backends.contains_key(&number));
}

#[test]
fn a_removed_service_takes_its_numbers_along_in_order() {
    let both =
        service("ws", "203.0.113.10", 2) + &service("web", "203.0.113.11", 2).replace("10.0.0.", "10.0.1.");
    let mut bench = Bench::new(&file(&both));
    bench.rewrite(&file(&service("web", "203.0.113.11", 2).replace("10.0.0.", "10.0.1.")));
    let prepared = bench.control.prepare(Default::default(), None).unwrap();
    bench.control.apply(prepared).unwrap();
    assert_eq!(bench.connect(1), None, "its address is the host's own again");
    let gone = bench.control.members.values().filter(|it| it.stage == member::Stage::Gone).count();
    assert_eq!(gone, 2);
    for seconds in [2, 4, 6] {
        bench.control.sweep(after(seconds));
    }
    assert_eq!(bench.control.members.len(), 2);
    assert_eq!(bench.control.standing.services.len(), 1);
}

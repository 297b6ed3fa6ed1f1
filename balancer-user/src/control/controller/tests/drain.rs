use super::*;
use crate::api::types::{AddBackend, DeleteQuery};

#[test]
fn a_fresh_backend_takes_clients_with_its_first_good_check_and_a_next_hop() {
    let mut bench = Bench::cold(&two_backends());
    assert_eq!(bench.connect(1), None, "no next hop is known");
    bench.resolve_all();
    assert!(bench.connect(2).is_some(), "nobody is judged: all serve");
    bench.judge("ws", "ws-2", Health::Up);
    assert!((10..60).all(|client| bench.connect(client).as_deref() == Some("ws-2")));
    bench.judge("ws", "ws-1", Health::Up);
    assert!((60..120).any(|client| bench.connect(client).as_deref() == Some("ws-1")));
}

#[test]
fn draining_backend_gets_nobody_new_and_keeps_its_flows() {
    let mut bench = Bench::new(&two_backends());
    let homes: Vec<_> = (1..=100).map(|client| bench.connect(client).unwrap()).collect();
    let document = bench.drain("ws-1").unwrap();
    let mine = homes.iter().filter(|home| *home == "ws-1").count() as u64;
    assert!(mine > 10);
    assert_eq!(document.backend.remaining, Some(mine));
    assert_eq!(bench.row("ws-1").flows, mine);
    // A pinned client's new connection goes elsewhere, a segment of an old one does not.
    let client = (1..=100).find(|client| homes[usize::from(*client) - 1] == "ws-1").unwrap();
    let again = SocketAddr::new(peer(client).ip(), 50_000);
    let number = bench.control.tables.connect(again, vip()).unwrap();
    assert_eq!(bench.control.backend_name(number), "ws-2");
    assert_eq!(bench.row("ws-1").flows, mine);
    assert!((101..=200).all(|client| bench.connect(client).as_deref() == Some("ws-2")));
}

#[test]
fn a_deleted_backend_drains_and_is_then_forgotten() {
    let mut bench = Bench::new(&two_backends());
    let client = (1..=100).find(|client| bench.connect(*client).as_deref() == Some("ws-1")).unwrap();
    let live = bench.row("ws-1").flows;
    let document = bench.control.delete("ws", "ws-1", DeleteQuery::default()).unwrap();
    assert_eq!((document.backend.admin, document.backend.remaining), (Admin::Drain, Some(live)));
    bench.control.tick(after(100));
    bench.control.tick(after(200));
    assert_eq!(bench.row("ws-1").admin, Admin::Drain, "a flow is left");
    bench.finish(client);
    bench.control.tick(after(300));
    assert_eq!(bench.row("ws-1").admin, Admin::Drain, "half-closed connections still want to reach it");
    bench.control.tick(after(331));
    assert!(bench.rows().iter().all(|row| row.name != "ws-1"));
    assert_eq!(bench.state("ws-1").admin, Admin::Gone);
    assert_eq!(bench.state("ws-1").serving.0, Serving::RESETS);
}

#[test]
fn deleted_now_means_gone_now() {
    let mut bench = Bench::new(&two_backends());
    while bench.row("ws-1").flows == 0 {
        let next = bench.rows().iter().map(|row| row.flows_total).sum::<u64>() as u8 + 1;
        bench.connect(next).unwrap();
    }
    let document = bench.control.delete("ws", "ws-1", DeleteQuery { now: true, force: false }).unwrap();
    assert!(document.notes[0].contains("are cut"), "{:?}", document.notes);
    assert_eq!(bench.state("ws-1").admin, Admin::Gone);
    let error = bench.drain("ws-1").unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[test]
fn an_added_backend_moves_nobody_and_takes_new_clients() {
    let mut bench = Bench::new(&two_backends());
    let homes: Vec<_> = (1..=100).map(|client| bench.connect(client)).collect();
    let addresses = vec!["10.0.0.5".parse().unwrap()];
    let add = AddBackend { name: "ws-5".to_owned(), addresses, weight: None };
    bench.control.add("ws", &add).unwrap();
    bench.resolve_all();
    bench.judge("ws", "ws-5", Health::Up);
    for client in 1..=100 {
        let again = SocketAddr::new(peer(client).ip(), 50_000);
        let number = bench.control.tables.connect(again, vip()).unwrap();
        assert_eq!(Some(bench.control.backend_name(number)), homes[usize::from(client) - 1]);
    }
    assert!((101..=200).any(|client| bench.connect(client).as_deref() == Some("ws-5")));
}

#[test]
fn when_the_last_backend_fails_clients_are_served_all_the_same() {
    let mut bench = Bench::new(&two_backends());
    bench.judge_all(Health::Down);
    assert!(bench.connect(1).is_some());
    assert_eq!(bench.control.services_doc().services[0].state, crate::api::types::ServiceState::Panic);
    assert_eq!(bench.control.services_doc().services[0].ready_backends, 0);
}

#[test]
fn weight_zero_keeps_pinned_clients_coming_and_takes_no_others() {
    let mut bench = Bench::new(&two_backends());
    let client = (1..=100).find(|client| bench.connect(*client).as_deref() == Some("ws-1")).unwrap();
    bench.weigh("ws-1", 0).unwrap();
    let again = SocketAddr::new(peer(client).ip(), 50_000);
    let number = bench.control.tables.connect(again, vip()).unwrap();
    assert_eq!(bench.control.backend_name(number), "ws-1");
    assert!((101..=200).all(|client| bench.connect(client).as_deref() == Some("ws-2")));
}

#[test]
fn weights_decide_the_shares_of_new_clients() {
    let mut bench = Bench::new(&two_backends());
    bench.weigh("ws-1", 10).unwrap();
    let first = (1..=220).filter(|client| bench.connect(*client).as_deref() == Some("ws-1")).count();
    // A tenth of the other's weight: 20 of 220 on average.
    assert!((5..50).contains(&first), "{first} of 220");
}

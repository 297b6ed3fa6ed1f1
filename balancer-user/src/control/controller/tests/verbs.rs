use super::*;
use crate::api::types::{AddBackend, DeleteQuery, ExplainQuestion, FlowQuery, PinQuery, ReleaseQuery};

fn add(name: &str, addresses: &[&str]) -> AddBackend {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    AddBackend { name: name.to_owned(), addresses, weight: None }
}

#[test]
fn a_verb_that_would_leave_fewer_than_min_ready_up_wants_force() {
    let mut bench = Bench::new(&two_backends());
    bench.drain("ws-1").unwrap();
    let last = [bench.drain("ws-2"), bench.set("ws-2", Admin::Maint), bench.weigh("ws-2", 0)];
    for refusal in last {
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Refused);
        assert!(refusal.message.contains("would leave 0 of 1 backends up, min_ready is 1"), "{refusal}");
    }
    let refusal = bench.control.delete("ws", "ws-2", DeleteQuery::default()).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Refused);
    assert_eq!(bench.row("ws-2").admin, Admin::Ready, "a refused verb changes nothing");
    let forced = SetAdmin { force: true, ..SetAdmin::to(Admin::Drain) };
    bench.control.set_admin("ws", "ws-2", forced).unwrap();
    assert_eq!(bench.row("ws-2").admin, Admin::Drain);
}

#[test]
fn draining_one_that_is_down_takes_nobody_away() {
    let mut bench = Bench::new(&two_backends());
    bench.judge("ws", "ws-1", Health::Down);
    bench.drain("ws-1").unwrap();
}

#[test]
fn maint_with_live_flows_prints_their_number_and_wants_yes() {
    let mut bench = Bench::new(&two_backends());
    let mine = (1..=50).filter(|client| bench.connect(*client).as_deref() == Some("ws-1")).count();
    let refusal = bench.set("ws-1", Admin::Maint).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NeedsYes);
    assert!(refusal.message.contains(&format!("{mine} live flows")), "{refusal}");
    let sure = SetAdmin { yes: true, ..SetAdmin::to(Admin::Maint) };
    bench.control.set_admin("ws", "ws-1", sure).unwrap();
    assert_eq!(bench.state("ws-1").serving.0, Serving::RESETS);
}

#[test]
fn unknown_names_are_not_found_with_the_nearest_one() {
    let mut bench = Bench::new(&two_backends());
    let error = bench.drain("ws-11").unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.remedy.as_deref(), Some("did you mean \"ws-1\"?"));
    let error = bench.control.backends_doc("wss").unwrap_err();
    assert_eq!((error.code, error.remedy.as_deref()), (ErrorCode::NotFound, Some("did you mean \"ws\"?")));
    let error = bench.drain("zebra").unwrap_err();
    assert_eq!(error.remedy.as_deref(), Some("there is ws-1, ws-2"));
}

#[test]
fn an_addition_is_held_against_the_rules_of_the_file() {
    let mut bench = Bench::new(&two_backends());
    for (add, code) in [
        (add("ws-1", &["10.0.0.9"]), ErrorCode::Conflict),
        (add("ws-9", &["10.0.0.1"]), ErrorCode::Conflict),
        (add("ws-9", &["203.0.113.10"]), ErrorCode::Invalid),
        (add("ws-9", &["127.0.0.1"]), ErrorCode::Invalid),
        (add("ws-9", &["10.0.0.9", "10.0.0.10"]), ErrorCode::Invalid),
        (add("ws-9", &[]), ErrorCode::Invalid),
        (add("a b", &["10.0.0.9"]), ErrorCode::Invalid),
        (AddBackend { weight: Some(70_000), ..add("ws-9", &["10.0.0.9"]) }, ErrorCode::Invalid),
    ] {
        let error = bench.control.add("ws", &add).unwrap_err();
        assert_eq!(error.code, code, "{add:?}: {error}");
        assert!(error.remedy.is_some(), "{error}");
    }
    assert_eq!(bench.control.add("wx", &add("ws-9", &["10.0.0.9"])).unwrap_err().code, ErrorCode::NotFound);
    bench.control.add("ws", &add("ws-9", &["10.0.0.9", "fd00::9"])).unwrap();
    assert_eq!(bench.rows().len(), 3);
}

#[test]
fn a_deleted_backend_of_the_file_is_taken_back_by_adding_it() {
    let mut bench = Bench::new(&two_backends());
    let number = bench.row("ws-1").number;
    bench.control.delete("ws", "ws-1", DeleteQuery::default()).unwrap();
    assert_eq!(bench.control.status_doc().drift[0].key, "removed");
    let other = bench.control.add("ws", &add("ws-1", &["10.0.0.77"])).unwrap_err();
    assert_eq!(other.code, ErrorCode::Conflict);
    bench.control.add("ws", &add("ws-1", &["10.0.0.1"])).unwrap();
    let row = bench.row("ws-1");
    assert_eq!((row.admin, row.number, row.health), (Admin::Ready, number, Health::Up));
    assert!(bench.control.status_doc().drift.is_empty());
}

#[test]
fn another_address_is_another_server_and_is_judged_anew() {
    let mut bench = Bench::new(&two_backends());
    bench.rewrite(&two_backends().replace("10.0.0.1\"", "10.0.0.31\""));
    let prepared = bench.control.prepare(Default::default(), None).unwrap();
    bench.control.apply(prepared).unwrap();
    assert_eq!(bench.row("ws-1").health, Health::Checking);
    assert!((1..=50).all(|client| bench.connect(client).as_deref() == Some("ws-2")));
}

#[test]
fn flows_pins_and_explanations_speak_in_names() {
    let bench = Bench::new(&two_backends());
    let home = bench.connect(7).unwrap();
    let flows = bench.control.flows_doc(&FlowQuery::default()).unwrap().flows;
    assert_eq!(flows.len(), 1);
    let shown = (&*flows[0].service, &*flows[0].client, &*flows[0].destination, &*flows[0].backend);
    assert_eq!(shown, ("ws", "198.51.100.7:40000", "203.0.113.10:443/tcp", &*home));
    let of = |client: &str| FlowQuery { client: Some(client.to_owned()), ..FlowQuery::default() };
    assert_eq!(bench.control.flows_doc(&of("198.51.100.0/24")).unwrap().flows.len(), 1);
    assert!(bench.control.flows_doc(&of("198.51.101.0/24")).unwrap().flows.is_empty());
    assert_eq!(bench.control.flows_doc(&of("here")).unwrap_err().code, ErrorCode::Invalid);
    let pins = bench.control.pins_doc(&PinQuery::default()).unwrap().pins;
    assert_eq!((&*pins[0].client, &*pins[0].backend, pins[0].flows), ("198.51.100.7", &*home, 1));
    let question = ExplainQuestion {
        source: peer(7).ip(),
        source_port: None,
        destination: vip().ip(),
        port: 443,
        proto: balancer_common::state::Proto::Tcp,
    };
    let told = bench.control.explain(&[question]).remove(0);
    assert_eq!(
        (told.service.as_deref(), told.backend.as_deref(), &*told.by),
        (Some("ws"), Some(&*home), "pin")
    );
    assert!(told.steps.iter().all(|step| !step.detail.contains('{')), "{:?}", told.steps);
    assert!(told.steps.iter().any(|step| step.detail.contains(&format!("to {home},"))), "{:?}", told.steps);
}

#[test]
fn a_pin_is_deleted_once() {
    let mut bench = Bench::new(&two_backends());
    bench.connect(7).unwrap();
    assert_eq!(bench.control.delete_pin("ws", "198.51.100.7").unwrap().pins.len(), 1);
    assert_eq!(bench.control.delete_pin("ws", "198.51.100.7").unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn the_client_of_a_deleted_pin_is_placed_anew_at_once() {
    let mut bench = Bench::new(&two_backends());
    let client = (1..=100).find(|client| bench.connect(*client).as_deref() == Some("ws-1")).unwrap();
    bench.finish(client);
    bench.weigh("ws-1", 0).unwrap();
    assert_eq!(bench.connect(client).as_deref(), Some("ws-1"), "by its pin");
    bench.finish(client);
    bench.control.delete_pin("ws", &format!("198.51.100.{client}")).unwrap();
    assert_eq!(bench.connect(client).as_deref(), Some("ws-2"));
}

#[test]
fn a_release_of_idle_pins_lets_go_of_clients_without_a_live_flow_alone() {
    let mut bench =
        Bench::new(&file(&(service("ws", "203.0.113.10", 2) + &service("game", "203.0.113.11", 1))));
    (1..=20).for_each(|client| assert!(bench.connect(client).is_some()));
    (1..=15).for_each(|client| bench.finish(client));
    let idle = ReleaseQuery { idle: true };
    let other = bench.control.release_pins("game", idle).unwrap();
    assert_eq!((other.released, other.kept), (0, 0), "of another service");
    let document = bench.control.release_pins("ws", idle).unwrap();
    assert_eq!((document.released, document.kept), (15, 5));
    let left = bench.control.pins_doc(&PinQuery::default()).unwrap().pins;
    assert_eq!((left.len(), left.iter().all(|pin| pin.flows == 1)), (5, true));
    bench.weigh("ws-1", 0).unwrap();
    let homes: Vec<_> = (1..=15).map(|client| bench.connect(client)).collect();
    assert!(homes.iter().all(|home| home.as_deref() == Some("ws-2")), "not placed anew: {homes:?}");
    let refused = bench.control.release_pins("ws", ReleaseQuery::default()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Invalid);
}

#[test]
fn a_limit_cuts_the_list_and_says_so() {
    let bench = Bench::new(&two_backends());
    (1..=5).for_each(|client| assert!(bench.connect(client).is_some()));
    let limited = |limit| FlowQuery { limit: Some(limit), ..FlowQuery::default() };
    let document = bench.control.flows_doc(&limited(3)).unwrap();
    assert_eq!((document.flows.len(), document.truncated), (3, true));
    let document = bench.control.flows_doc(&limited(0)).unwrap();
    assert_eq!((document.flows.len(), document.truncated), (5, false));
}

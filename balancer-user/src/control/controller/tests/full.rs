use super::*;
use crate::api::types::ReloadRequest;

/// At most so many flows for ws-1.
fn limited(flows: u32) -> String {
    let line = "address = \"10.0.0.1\"\n";
    two_backends().replace(line, &format!("{line}max_flows = {flows}\n"))
}

fn clients_of_ws_1(bench: &Bench, clients: std::ops::RangeInclusive<u8>) -> Vec<u8> {
    clients.filter(|client| bench.connect(*client).as_deref() == Some("ws-1")).collect()
}

#[test]
fn a_full_backend_leaves_the_maglev_table_and_comes_back_with_room_to_spare() {
    let mut bench = Bench::new(&limited(20));
    let mine = clients_of_ws_1(&bench, 1..=90);
    assert_eq!((mine.len(), bench.row("ws-1").flows, bench.row("ws-1").max_flows), (20, 20, Some(20)));
    bench.control.tick(after(0));
    let others = bench.in_maglev();
    assert!(!others.contains(&bench.row("ws-1").number), "{others:?}");
    assert!(bench.state("ws-1").serving.new_clients(), "who is full is not out of service");
    // A restart changes nothing.
    let mut bench = bench.restart();
    assert_eq!(bench.in_maglev(), others);
    // One flow in twenty is the room that it needs.
    bench.control.tick(after(0));
    assert_eq!(bench.in_maglev(), others);
    bench.finish(mine[0]);
    bench.control.tick(after(0));
    assert_eq!(bench.in_maglev().len(), others.len() + 1);
    assert_eq!(clients_of_ws_1(&bench, 100..=200).len(), 1);
}

#[test]
fn a_limit_that_the_file_takes_back_is_no_more() {
    let mut bench = Bench::new(&limited(1));
    assert_eq!(clients_of_ws_1(&bench, 1..=40).len(), 1);
    bench.rewrite(&two_backends());
    let prepared = bench.control.prepare(ReloadRequest::default(), None).unwrap();
    bench.control.apply(prepared).unwrap();
    assert!(clients_of_ws_1(&bench, 50..=90).len() > 5);
}

use super::*;
use crate::{api::types::CheckVia, health::Way};

/// Whether the check of each backend goes by the datapath.
fn by_datapath(control: &Control) -> Vec<bool> {
    let ways = control.checks().into_iter().map(|(_, target, _)| target.way);
    ways.map(|way| matches!(way, Way::Datapath { .. })).collect()
}

fn shown(control: &Control) -> (Option<CheckVia>, String) {
    let health = control.service_doc("ws").unwrap().service.health;
    (health.via, health.via_configured)
}

#[test]
fn a_backend_that_is_found_behind_another_interface_is_checked_directly() {
    let mut bench = Bench::cold(&two_backends());
    assert_eq!(by_datapath(&bench.control), [true, true], "no neighbour is known yet");
    bench.resolve_all();
    assert_eq!(by_datapath(&bench.control), [true, true]);
    assert_eq!(shown(&bench.control), (Some(CheckVia::Datapath), "auto".to_owned()));
    let followed = bench.control.generation();
    let mut found = |ifindex| {
        let reach = Reach::Resolved(Neighbour::on_segment(ifindex, Mac([2, 0, 0, 0, 0, 1])));
        bench.control.on_neighbour(NeighbourEvent { address: "10.0.0.1".parse().unwrap(), reach });
        (by_datapath(&bench.control), shown(&bench.control).0, bench.control.generation())
    };
    let (ways, via, generation) = found(9);
    assert_eq!((ways, via), (vec![false, true], Some(CheckVia::Both)));
    assert_ne!(generation, followed, "nobody would notice");
    let (ways, via, again) = found(3);
    assert_eq!((ways, via), (vec![true, true], Some(CheckVia::Datapath)));
    assert_ne!(again, generation, "nobody would notice");
}

#[test]
fn a_service_whose_check_asks_nothing_has_no_way() {
    let services = service("ws", "203.0.113.10", 1)
        .replace("[[service.backend]]", "health = { kind = \"none\" }\n[[service.backend]]");
    let bench = Bench::cold(&file(&services));
    assert_eq!(shown(&bench.control), (None, "auto".to_owned()));
}

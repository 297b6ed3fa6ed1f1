use super::*;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn address() -> IpAddr {
    "10.9.0.2".parse().unwrap()
}

fn segment(carrier: bool) -> Path {
    on("eth0", 7, carrier, None)
}

fn on(interface: &str, ifindex: u32, carrier: bool, gateway: Option<IpAddr>) -> Path {
    Path::Segment(Segment {
        ifindex,
        interface: interface.to_owned(),
        carrier,
        ethernet: !interface.starts_with("tun"),
        gateway,
        source: None,
        mtu: 0,
    })
}

fn seen(state: NeighbourState) -> Seen {
    use NeighbourState::{Failed, Incomplete};
    let mac = (!matches!(state, Failed | Incomplete | NeighbourState::None)).then_some(MAC);
    Seen { ifindex: 7, address: address(), state, mac }
}

fn resolved() -> Vec<NeighbourEvent> {
    vec![NeighbourEvent { address: address(), reach: Reach::Resolved(Neighbour::on_segment(7, MAC)) }]
}

fn unreachable(why: &str) -> Vec<NeighbourEvent> {
    vec![NeighbourEvent { address: address(), reach: Reach::Unreachable { why: why.to_owned() } }]
}

fn kick() -> Vec<Kick> {
    vec![Kick { ifindex: 7, address: address() }]
}

/// A table that keeps one address, with a clock.
struct Bench {
    table: Table,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let mut table = Table::default();
        table.keep(&BTreeSet::from([address()]));
        Self { table, now: Instant::now() }
    }

    fn resolved() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.look(segment(true), Some(NeighbourState::Reachable)).events, resolved());
        bench
    }

    fn look(&mut self, path: Path, state: Option<NeighbourState>) -> Step {
        self.now += KICK_APART;
        let neighbours = state.map(seen).into_iter().collect();
        self.table.on_picture(HashMap::from([(address(), path)]), neighbours, self.now)
    }

    fn change(&mut self, state: NeighbourState) -> Step {
        self.now += KICK_APART;
        self.table.on_neighbour(seen(state), self.now)
    }
}

#[test]
fn a_known_neighbour_is_told_and_left_alone() {
    for state in [NeighbourState::Reachable, NeighbourState::Permanent] {
        let step = Bench::new().look(segment(true), Some(state));
        assert_eq!(step, Step { events: resolved(), kicks: vec![] });
    }
}

#[test]
fn a_missing_neighbour_is_kicked_and_told_once_it_answers() {
    let mut bench = Bench::new();
    assert_eq!(bench.look(segment(true), None), Step { events: vec![], kicks: kick() });
    assert_eq!(bench.change(NeighbourState::Incomplete), Step::default());
    assert_eq!(bench.change(NeighbourState::Reachable).events, resolved());
}

#[test]
fn a_stale_neighbour_is_told_and_kicked_at_the_look() {
    let mut bench = Bench::new();
    let step = bench.look(segment(true), Some(NeighbourState::Stale));
    assert_eq!(step, Step { events: resolved(), kicks: kick() });
    assert_eq!(bench.change(NeighbourState::Stale), Step::default());
}

#[test]
fn nothing_is_told_while_the_kernel_probes_again() {
    let mut bench = Bench::resolved();
    for state in [NeighbourState::Stale, NeighbourState::Delay, NeighbourState::Probe] {
        assert_eq!(bench.change(state), Step::default(), "{state}");
    }
    assert_eq!(bench.look(segment(true), None).events, [], "gone, and asked for again");
    assert_eq!(bench.change(NeighbourState::Incomplete), Step::default());
    assert_eq!(bench.change(NeighbourState::Reachable), Step::default());
}

#[test]
fn a_neighbour_that_failed_is_asked_once_more_before_it_is_told() {
    let mut bench = Bench::resolved();
    assert_eq!(bench.change(NeighbourState::Failed), Step { events: vec![], kicks: kick() });
    assert_eq!(bench.change(NeighbourState::Incomplete), Step::default());
    let step = bench.change(NeighbourState::Failed);
    assert_eq!(step.events, unreachable("nobody answers ARP for 10.9.0.2 on eth0"));
    assert_eq!(step.kicks, [], "a dead backend is not asked without end");
}

#[test]
fn a_neighbour_that_never_answered_is_told_at_its_first_failure() {
    let mut bench = Bench::new();
    bench.look(segment(true), None);
    let step = bench.change(NeighbourState::Failed);
    assert_eq!(step.events, unreachable("nobody answers ARP for 10.9.0.2 on eth0"));
}

#[test]
fn a_failed_neighbour_is_asked_again_at_each_look_and_told_once() {
    let mut bench = Bench::new();
    bench.change(NeighbourState::Failed);
    bench.look(segment(true), Some(NeighbourState::Failed));
    for _ in 0..3 {
        let step = bench.look(segment(true), Some(NeighbourState::Failed));
        assert_eq!(step, Step { events: vec![], kicks: kick() });
    }
    assert_eq!(bench.change(NeighbourState::Reachable).events, resolved());
}

#[test]
fn a_neighbour_that_answered_in_between_is_doubted_anew() {
    let mut bench = Bench::resolved();
    for _ in 0..3 {
        assert_eq!(bench.change(NeighbourState::Failed), Step { events: vec![], kicks: kick() });
        assert_eq!(bench.change(NeighbourState::Reachable), Step::default());
    }
}

#[test]
fn an_entry_that_is_gone_is_kicked_at_once_but_not_in_a_loop() {
    let mut bench = Bench::resolved();
    let gone = seen(NeighbourState::Reachable);
    let step = bench.table.on_gone(&gone, bench.now);
    assert_eq!(step, Step { events: vec![], kicks: kick() });
    assert_eq!(bench.table.on_gone(&gone, bench.now + KICK_APART / 2), Step::default());
    assert_eq!(bench.table.on_gone(&gone, bench.now + KICK_APART).kicks, kick());
}

#[test]
fn another_mac_is_told_at_once() {
    let mut bench = Bench::resolved();
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    let step =
        bench.table.on_neighbour(Seen { mac: Some(mac), ..seen(NeighbourState::Reachable) }, bench.now);
    assert_eq!(step.events[0].reach, Reach::Resolved(Neighbour::on_segment(7, mac)));
}

#[test]
fn the_same_address_on_another_interface_is_another_neighbour() {
    let mut bench = Bench::new();
    bench.look(segment(true), None);
    let elsewhere = Seen { ifindex: 8, ..seen(NeighbourState::Reachable) };
    assert_eq!(bench.table.on_neighbour(elsewhere, bench.now), Step::default());
}

#[test]
fn a_path_that_moves_to_another_interface_is_resolved_there() {
    let mut bench = Bench::resolved();
    let moved = on("eth1", 8, true, None);
    let there = Seen { ifindex: 8, ..seen(NeighbourState::Reachable) };
    let step = bench.table.on_picture(HashMap::from([(address(), moved)]), vec![there], bench.now);
    assert_eq!(step.events[0].reach, Reach::Resolved(Neighbour::on_segment(8, MAC)));
}

#[test]
fn a_lost_carrier_changes_nothing_that_was_told() {
    let mut bench = Bench::resolved();
    assert_eq!(bench.look(segment(false), None), Step::default());
    assert_eq!(bench.change(NeighbourState::Failed), Step::default());
    assert_eq!(bench.look(segment(true), None), Step { events: vec![], kicks: kick() });
    let mut fresh = Bench::new();
    assert_eq!(fresh.look(segment(false), None).events, unreachable("interface eth0 has no carrier"));
}

#[test]
fn a_way_that_does_not_serve_is_told_with_its_reason() {
    let mut bench = Bench::resolved();
    let none = Path::None { why: "no route to 10.9.0.2".to_owned() };
    assert_eq!(bench.look(none.clone(), None).events, unreachable("no route to 10.9.0.2"));
    assert_eq!(bench.look(none, None), Step::default());
    let tunnel = on("tun0", 7, true, None);
    assert_eq!(bench.look(tunnel, None).events, unreachable("interface tun0 has no MAC addresses"));
}

#[test]
fn an_address_that_is_not_kept_any_more_is_forgotten() {
    let mut bench = Bench::resolved();
    bench.table.keep(&BTreeSet::new());
    assert_eq!(bench.change(NeighbourState::Failed), Step::default());
    bench.table.keep(&BTreeSet::from([address()]));
    assert_eq!(bench.look(segment(true), Some(NeighbourState::Reachable)).events, resolved(), "told anew");
}

#[test]
fn a_doubted_entry_is_forgotten_once_in_a_while() {
    let mut bench = Bench::resolved();
    let doubt = |bench: &mut Bench| bench.table.doubt(address(), bench.now).into_iter().collect::<Vec<_>>();
    assert_eq!(doubt(&mut bench), kick());
    bench.now += DOUBT_APART / 2;
    assert_eq!(
        doubt(&mut bench),
        [],
        "a server that hangs behind a living host is no reason to ask without end"
    );
    bench.now += DOUBT_APART / 2;
    assert_eq!(doubt(&mut bench), kick());
}

#[test]
fn what_was_set_by_hand_and_what_is_being_asked_for_is_not_forgotten() {
    use NeighbourState::{Failed, Incomplete, Noarp, Permanent};
    for state in [Permanent, Noarp, Incomplete, Failed] {
        let mut bench = Bench::new();
        bench.look(segment(true), Some(state));
        assert_eq!(bench.table.doubt(address(), bench.now), None, "{state}");
    }
    assert_eq!(Bench::new().table.doubt("10.9.0.7".parse().unwrap(), Instant::now()), None, "nobody of ours");
}

fn gateway() -> IpAddr {
    "10.9.0.1".parse().unwrap()
}

fn behind() -> IpAddr {
    "10.20.0.9".parse().unwrap()
}

fn at_gateway(state: NeighbourState) -> Seen {
    Seen { address: gateway(), ..seen(state) }
}

/// A table that keeps an address on the segment, and two behind a gateway there.
fn behind_a_gateway() -> Bench {
    let other = "10.20.0.10".parse().unwrap();
    let mut table = Table::default();
    table.keep(&BTreeSet::from([address(), behind(), other]));
    let mut bench = Bench { table, now: Instant::now() };
    let by = |to, gateway| (to, on("eth0", 7, true, gateway));
    let paths =
        HashMap::from([by(address(), None), by(behind(), Some(gateway())), by(other, Some(gateway()))]);
    let there = vec![seen(NeighbourState::Reachable)];
    let step = bench.table.on_picture(paths, there, bench.now);
    assert_eq!((step.events, step.kicks), (resolved(), vec![Kick { ifindex: 7, address: gateway() }]));
    bench.now += KICK_APART;
    bench
}

#[test]
fn who_is_behind_a_gateway_is_reached_by_the_gateways_mac_address() {
    let mut bench = behind_a_gateway();
    for mac in [MAC, Mac([2, 0, 0, 0, 0, 9])] {
        let there = Seen { mac: Some(mac), ..at_gateway(NeighbourState::Reachable) };
        let step = bench.table.on_neighbour(there, bench.now);
        let neighbour = Neighbour { gateway: Some(gateway()), ..Neighbour::on_segment(7, mac) };
        assert_eq!(step.events.len(), 2, "both that are behind it");
        assert!(step.events.iter().all(|event| event.reach == Reach::Resolved(neighbour)));
    }
}

#[test]
fn a_silent_gateway_is_named_with_whom_it_leads_to() {
    let mut bench = behind_a_gateway();
    let step = bench.table.on_neighbour(at_gateway(NeighbourState::Failed), bench.now);
    let event = step.events.iter().find(|event| event.address == behind()).unwrap();
    let why = "nobody answers ARP for 10.9.0.1, the gateway to 10.20.0.9, on eth0".to_owned();
    assert_eq!(event.reach, Reach::Unreachable { why });
}

#[test]
fn a_gateway_is_doubted_only_when_nobody_behind_it_answers() {
    let mut bench = behind_a_gateway();
    bench.table.on_neighbour(at_gateway(NeighbourState::Reachable), bench.now);
    assert_eq!(bench.table.doubt(behind(), bench.now), None, "the other one may answer");
    let place = Kick { ifindex: 7, address: gateway() };
    assert_eq!(bench.table.doubt("10.20.0.10".parse().unwrap(), bench.now), Some(place));
    assert_eq!(bench.table.doubt(behind(), bench.now), None, "not so soon again");
}

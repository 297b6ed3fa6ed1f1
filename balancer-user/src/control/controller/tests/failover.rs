use super::*;
use crate::{
    api::types::{EndWord, ExplainDoc, ExplainQuestion, SetDrain},
    control::{Word, causes::Cause},
};
use balancer_common::state::{DrainEnd, Proto};
use std::time::Duration;

impl Bench {
    /// Connects so many clients; those that came to ws-1.
    fn clients_of_ws_1(&self, clients: u8) -> Vec<u8> {
        (1..=clients).filter(|client| self.connect(*client).as_deref() == Some("ws-1")).collect()
    }

    fn drain_with(&mut self, backend: &str, drain: SetDrain) -> crate::api::types::BackendDoc {
        let set = SetAdmin { drain: Some(drain), ..SetAdmin::to(Admin::Drain) };
        self.control.set_admin("ws", backend, set).unwrap()
    }

    /// Whose flows are reset within the next minutes, and whose resets go unanswered.
    fn reset_all(&mut self) -> Vec<Word> {
        let mut words = Vec::new();
        assert!(self.control.wants_sweep(), "nobody looks for the flows");
        self.control.sweep(Instant::now());
        while let Some(at) = self.control.next_reset() {
            assert!(at < after(600), "a turn that never comes");
            words.extend(self.control.reset(at));
        }
        words
    }

    fn resets(&self, backend: &str, cause: Cause) -> u64 {
        let samples = self.control.snapshot().backends;
        samples.into_iter().find(|it| it.backend == backend).unwrap().resets.of(cause)
    }
}

const fn within(deadline: u64) -> SetDrain {
    SetDrain { deadline: Some(deadline), end: None, keep_pins: false }
}

#[test]
fn silent_clients_of_a_dead_backend_hear_a_rst_and_three_probes() {
    let text = two_backends().replace("maglev_size", "reset_rate = 1_000_000\nmaglev_size");
    let mut bench = Bench::new(&text);
    let mine = bench.clients_of_ws_1(60);
    bench.judge("ws", "ws-1", Health::Down);
    assert_eq!(bench.state("ws-1").serving.0, Serving::RESETS);
    let words = bench.reset_all();
    for client in &mine {
        let to = |ends: &crate::dataplane::Ends| ends.client == peer(*client) && ends.service == vip();
        let rsts = words.iter().filter(|word| matches!(word, Word::Reset(ends) if to(ends))).count();
        let probes = words.iter().filter(|word| matches!(word, Word::Probe(ends) if to(ends))).count();
        assert_eq!((rsts, probes), (1, 3), "client {client}");
    }
    assert_eq!(words.len(), mine.len() * 4, "somebody else was spoken to");
    assert_eq!((bench.row("ws-1").flows, bench.row("ws-1").resets), (0, mine.len() as u64));
    assert_eq!(bench.resets("ws-1", Cause::Down), mine.len() as u64);
    assert_eq!(bench.control.snapshot().unconfirmed, mine.len() as u64, "nobody has answered");
}

#[test]
fn the_turns_of_a_dead_backends_flows_outlive_the_agent() {
    let text = two_backends().replace("maglev_size", "reset_rate = 1\nmaglev_size");
    let mut bench = Bench::new(&text);
    let mine = bench.clients_of_ws_1(60).len() as u32;
    bench.judge("ws", "ws-1", Health::Down);
    let number = bench.control.member("ws", "ws-1").unwrap().0;
    let schedule = bench.control.standing.backends[&number].schedule;
    assert_eq!(schedule.window(), mine * 250, "a second for each flow, at 250 Hz");
    let bench = bench.restart();
    assert_eq!(bench.control.standing.backends[&number].schedule, schedule);
}

#[test]
fn nobody_is_reset_while_nobody_could_take_him() {
    let mut bench = Bench::new(&two_backends());
    let client = bench.clients_of_ws_1(60)[0];
    bench
        .control
        .set_admin("ws", "ws-2", SetAdmin { yes: true, force: true, ..SetAdmin::to(Admin::Maint) })
        .unwrap();
    let sure = SetAdmin { yes: true, force: true, ..SetAdmin::to(Admin::Maint) };
    let document = bench.control.set_admin("ws", "ws-1", sure).unwrap();
    assert!(document.notes[0].contains("while no other"), "{:?}", document.notes);
    assert_eq!(bench.connect(client).as_deref(), Some("ws-1"), "its flow goes on");
    bench.set("ws-2", Admin::Ready).unwrap();
    assert_eq!(bench.state("ws-1").serving.0, Serving::RESETS);
}

#[test]
fn the_deadline_of_a_drain_ends_it() {
    let mut bench = Bench::new(&two_backends());
    let mine = bench.clients_of_ws_1(60).len() as u64;
    let document = bench.drain_with("ws-1", within(3600));
    assert!(document.notes[0].contains("is reset"), "{:?}", document.notes);
    bench.control.tick(after(0));
    assert_eq!((bench.state("ws-1").serving.0, bench.row("ws-1").flows), (Serving::FLOWS, mine));
    // Said anew: it is over now.
    bench.drain_with("ws-1", within(0));
    bench.control.tick(after(0));
    assert_eq!(bench.state("ws-1").serving.0, Serving::RESETS);
    bench.reset_all();
    assert_eq!((bench.row("ws-1").flows, bench.resets("ws-1", Cause::Drain)), (0, mine));
}

#[test]
fn an_overdue_drain_is_followed_once_while_nobody_could_take_its_clients() {
    let mut bench = Bench::new(&two_backends());
    let sure = |admin| SetAdmin { yes: true, force: true, ..SetAdmin::to(admin) };
    bench.control.set_admin("ws", "ws-2", sure(Admin::Maint)).unwrap();
    let drain = SetAdmin { drain: Some(within(3600)), ..sure(Admin::Drain) };
    bench.control.set_admin("ws", "ws-1", drain).unwrap();
    assert!(!bench.control.deadline_passed());
    let (number, _) = bench.control.member("ws", "ws-1").unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(7_200);
    bench.control.members.get_mut(&number).unwrap().draining_since = Some(long_ago);
    assert!(bench.control.deadline_passed());
    bench.control.tick(after(0));
    assert_eq!(bench.state("ws-1").serving.0, Serving::FLOWS, "who would take its clients?");
    assert!(!bench.control.deadline_passed(), "the next tick would do the same work again");
    bench.set("ws-2", Admin::Ready).unwrap();
    assert_eq!(bench.state("ws-1").serving.0, Serving::RESETS);
}

#[test]
fn a_drain_may_leave_what_is_left_and_may_keep_its_pins() {
    let mut bench = Bench::new(&two_backends());
    let client = bench.clients_of_ws_1(60)[0];
    let leave = SetDrain { end: Some(EndWord(DrainEnd::Leave)), keep_pins: true, ..within(0) };
    let document = bench.drain_with("ws-1", leave);
    assert_eq!(document.backend.drain_ends, None);
    bench.control.tick(after(0));
    assert_eq!(bench.state("ws-1").serving.0, Serving::FLOWS | Serving::PINNED);
    let again = SocketAddr::new(peer(client).ip(), 50_000);
    let number = bench.control.tables.connect(again, vip()).unwrap();
    assert_eq!(bench.control.backend_name(number), "ws-1", "its pin is kept");
    // The opposite verb forgets how it was drained.
    bench.set("ws-1", Admin::Ready).unwrap();
    bench.drain("ws-1").unwrap();
    assert_eq!(bench.state("ws-1").serving.0, Serving::FLOWS);
}

#[test]
fn a_deadline_is_a_moment_that_a_restart_does_not_move() {
    let mut bench = Bench::new(&two_backends());
    let ends = bench.drain_with("ws-1", within(3600)).backend.drain_ends.unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    let bench = bench.restart();
    assert_eq!(bench.row("ws-1").drain_ends, Some(ends));
}

#[test]
fn an_application_that_asks_is_drained_and_the_last_ones_are_not_heard() {
    let mut bench = Bench::new(&two_backends());
    bench.judge("ws", "ws-1", Health::Draining);
    assert_eq!(bench.state("ws-1").serving.0, Serving::FLOWS);
    assert!(bench.row("ws-1").drain_ends.is_some() && bench.row("ws-1").remaining.is_some());
    bench.judge("ws", "ws-2", Health::Draining);
    assert!(bench.state("ws-2").serving.new_clients(), "min_ready is 1");
    bench.judge("ws", "ws-1", Health::Up);
    assert!(bench.state("ws-1").serving.new_clients() && !bench.state("ws-2").serving.new_clients());
    assert_eq!(bench.row("ws-1").drain_ends, None);
}

#[test]
fn how_to_drain_is_said_with_drain_alone() {
    let mut bench = Bench::new(&two_backends());
    let set = SetAdmin { drain: Some(within(1)), ..SetAdmin::to(Admin::Maint) };
    assert_eq!(bench.control.set_admin("ws", "ws-1", set).unwrap_err().code, ErrorCode::Invalid);
}

impl Bench {
    /// What `explain` says of a client's flow; asking changes nothing.
    fn explain(&self, client: u8) -> ExplainDoc {
        let question = ExplainQuestion {
            source: peer(client).ip(),
            source_port: Some(peer(client).port()),
            destination: vip().ip(),
            port: vip().port(),
            proto: Proto::Tcp,
        };
        let state = || {
            (
                self.control.flows_doc(&Default::default()),
                self.control.pins_doc(&Default::default()),
                self.rows(),
            )
        };
        let before = state();
        let told = self.control.explain(&[question]).remove(0);
        assert_eq!(state(), before, "asking changed something");
        told
    }
}

fn detail<'a>(told: &'a ExplainDoc, step: &str) -> &'a str {
    &told.steps.iter().find(|it| it.step == step).unwrap().detail
}

#[test]
fn explain_says_that_a_flow_waits_for_its_reset_and_where_its_client_goes_then() {
    let mut bench = Bench::new(&two_backends().replace("maglev_size", "reset_rate = 1\nmaglev_size"));
    let mine = bench.clients_of_ws_1(60);
    bench.judge("ws", "ws-1", Health::Down);
    let told: Vec<_> = mine.iter().map(|client| bench.explain(*client)).collect();
    let waits: Vec<_> = told.iter().filter(|it| it.reason == "reset-waiting").collect();
    assert!(waits.len() + 3 > mine.len(), "{} of {}", waits.len(), mine.len());
    for told in waits {
        let decided = (told.backend.as_deref(), &*told.by, told.next_backend.as_deref());
        assert_eq!(decided, (None, "flow", Some("ws-2")));
        let flow = detail(told, "flow");
        assert!(flow.starts_with("fresh, to ws-1, which may not serve: it is down; "), "{flow}");
        assert!(
            flow.contains("its segments are dropped for another ") && flow.ends_with(" s, then it is reset"),
            "{flow}"
        );
        assert_eq!(detail(told, "next connection"), "to ws-2");
    }
}

type Change = fn(&mut Bench);

#[test]
fn explain_says_that_segments_are_answered_by_a_rst_and_why() {
    let quick = two_backends().replace("maglev_size", "reset_rate = 1_000_000\nmaglev_size");
    let ways: [(&str, Change); 3] = [
        ("it is down", |bench| bench.judge("ws", "ws-1", Health::Down)),
        ("it is in maintenance", |bench| {
            let sure = SetAdmin { yes: true, force: true, ..SetAdmin::to(Admin::Maint) };
            bench.control.set_admin("ws", "ws-1", sure).unwrap();
        }),
        ("the deadline of its drain has passed", |bench| {
            bench.drain_with("ws-1", within(0));
            bench.control.tick(after(0));
        }),
    ];
    for (why, cut_off) in ways {
        let mut bench = Bench::new(&quick);
        let client = bench.clients_of_ws_1(60)[0];
        assert_eq!(bench.explain(client).reason, "flow");
        cut_off(&mut bench);
        let told = bench.explain(client);
        let decided = (&*told.reason, told.backend.as_deref(), told.next_backend.as_deref());
        assert_eq!(decided, ("reset", None, Some("ws-2")), "{why}");
        let wanted =
            format!("fresh, to ws-1, which may not serve: {why}; its segments are answered by a RST");
        assert_eq!(detail(&told, "flow"), wanted);
        // And once it is cut, as long as that is remembered; though its backend serves again.
        bench.reset_all();
        bench.set("ws-1", Admin::Ready).unwrap();
        bench.judge("ws", "ws-1", Health::Up);
        assert_ne!(bench.explain(client).reason, "flow", "{why}");
    }
}

#[test]
fn explain_says_that_a_flow_goes_on_elsewhere() {
    let mut bench = Bench::new(&two_backends().replace("maglev_size", "on_down = \"rehash\"\nmaglev_size"));
    let client = bench.clients_of_ws_1(60)[0];
    bench.judge("ws", "ws-1", Health::Down);
    let told = bench.explain(client);
    assert_eq!(
        (&*told.reason, told.backend.as_deref(), &told.next_backend),
        ("rehashed", Some("ws-2"), &None)
    );
    assert!(detail(&told, "flow").ends_with("it is down; it goes on elsewhere"), "{:?}", told.steps);
}

#[test]
fn a_host_without_a_carrier_says_that_its_verdicts_are_frozen() {
    let mut bench = Bench::new(&two_backends());
    let link = bench.control.links["eth0"].clone();
    let mut becomes = |carrier| {
        let link = Some(Link { carrier, ..link.clone() });
        bench.control.on_link(LinkEvent { name: "eth0".to_owned(), link }).unwrap();
        (bench.control.is_cut_off(), bench.control.status_doc().frozen)
    };
    assert_eq!([becomes(false), becomes(true)], [(true, true), (false, false)]);
}

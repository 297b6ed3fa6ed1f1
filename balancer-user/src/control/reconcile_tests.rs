use super::*;
use balancer_common::{
    serve::Serving,
    state::{Admin, Health, Mode},
};

use crate::{
    control::{
        entries::{backend_identity, listener_entry, service_identity},
        judge::{Subject, judge},
        testing,
    },
    dataplane::Clock,
};

const SERVICE: u16 = 3;

fn subject(number: u16, admin: Admin, health: Health) -> Subject {
    Subject {
        number,
        identity: backend_identity("ws", &format!("ws-{number}")),
        name: format!("ws-{number}"),
        candidate: testing::candidate(admin, health),
        hop: NextHop::new([2, 0, 0, 0, 0, number as u8], 1),
        ways: [Way::default(); 2],
        mode: Mode::L2dsr,
        draining_since: None,
        max_flows: 0,
        full: false,
    }
}

fn wanted(subjects: &[Subject]) -> Wanted {
    let judged = judge(SERVICE, &testing::rules(), subjects);
    let service = testing::service("ws", vec![]);
    let clock = Clock::new(250, 0, std::time::Instant::now());
    let line = ServiceLine { identity: service_identity("ws"), affinity_timeout: 100 };
    Wanted {
        services: vec![WantedService { number: SERVICE, line, maglev: judged.maglev, retired: false }],
        backends: judged.backends,
        listeners: vec![listener_entry(&service, &service.listen[0], (5, SERVICE), &[7; 16], clock)],
        origins: vec![],
    }
}

/// Takes all steps; a word for each.
fn take(wanted: &Wanted, standing: &mut Standing) -> Vec<String> {
    let taken = steps(wanted, standing);
    taken
        .into_iter()
        .map(|step| {
            let word = match &step {
                Step::SetService(number, _) => format!("service {number}"),
                Step::SetNextHop(number, _) => format!("hop {number}"),
                Step::SetBackend(backend) => format!("backend {} {:?}", backend.number, backend.state.admin),
                Step::SetMaglev(number, _) => format!("maglev {number}"),
                Step::SetListeners(listeners, origins) => match origins.len() {
                    0 => format!("{} listeners", listeners.len()),
                    origins => format!("{} listeners, {origins} origins", listeners.len()),
                },
                Step::SetWay(number, v4, _) => format!("way {number} {}", if *v4 { "v4" } else { "v6" }),
                Step::ClearBackend(number) => format!("clear backend {number}"),
                Step::ClearService(number) => format!("clear service {number}"),
            };
            standing.took(step);
            word
        })
        .collect()
}

fn two_up() -> [Subject; 2] {
    [subject(1, Admin::Ready, Health::Up), subject(2, Admin::Ready, Health::Up)]
}

#[test]
fn a_fresh_start_opens_the_listener_when_all_behind_it_stands() {
    let mut standing = Standing::default();
    let order = take(&wanted(&two_up()), &mut standing);
    assert_eq!(
        order,
        ["service 3", "hop 1", "hop 2", "backend 1 Ready", "backend 2 Ready", "maglev 3", "1 listeners"]
    );
}

#[test]
fn what_stands_as_wanted_takes_no_step() {
    let mut standing = Standing::default();
    take(&wanted(&two_up()), &mut standing);
    assert!(steps(&wanted(&two_up()), &standing).is_empty());
}

#[test]
fn who_leaves_is_out_of_maglev_before_he_stops_taking_clients() {
    let mut standing = Standing::default();
    take(&wanted(&two_up()), &mut standing);
    let leaving = [subject(1, Admin::Drain, Health::Up), subject(2, Admin::Ready, Health::Up)];
    assert_eq!(take(&wanted(&leaving), &mut standing), ["maglev 3", "backend 1 Drain"]);
    assert_eq!(take(&wanted(&two_up()), &mut standing), ["backend 1 Ready", "maglev 3"]);
}

#[test]
fn one_comes_and_one_fails_at_once() {
    let mut standing = Standing::default();
    take(&wanted(&[subject(1, Admin::Ready, Health::Up)]), &mut standing);
    let changed = [subject(1, Admin::Ready, Health::Down), subject(2, Admin::Ready, Health::Up)];
    let order = take(&wanted(&changed), &mut standing);
    assert_eq!(order, ["hop 2", "backend 2 Ready", "maglev 3", "backend 1 Ready"]);
}

#[test]
fn when_nobody_takes_clients_the_last_table_stays() {
    let mut standing = Standing::default();
    take(&wanted(&two_up()), &mut standing);
    let drained = [subject(1, Admin::Drain, Health::Up), subject(2, Admin::Drain, Health::Up)];
    assert_eq!(take(&wanted(&drained), &mut standing), ["backend 1 Drain", "backend 2 Drain"]);
    assert_eq!(take(&wanted(&two_up()), &mut standing), ["backend 1 Ready", "backend 2 Ready"]);
}

#[test]
fn a_service_goes_behind_its_listener() {
    let mut standing = Standing::default();
    take(&wanted(&two_up()), &mut standing);
    let mut gone = wanted(&[subject(1, Admin::Gone, Health::Up), subject(2, Admin::Gone, Health::Up)]);
    gone.listeners.clear();
    gone.services[0].retired = true;
    gone.services[0].line.affinity_timeout = 0;
    let order = take(&gone, &mut standing);
    assert_eq!(order, ["0 listeners", "backend 1 Gone", "backend 2 Gone", "service 3"]);
    let order = take(&Wanted::default(), &mut standing);
    assert_eq!(order, ["clear backend 1", "clear backend 2", "clear service 3"]);
}

#[test]
fn a_changed_word_that_changes_nothing_for_packets_is_written_alone() {
    let mut standing = Standing::default();
    let panic = |health| [subject(1, Admin::Ready, health)];
    take(&wanted(&panic(Health::Up)), &mut standing);
    // The last one goes down: it goes on serving as if health were ignored.
    let order = take(&wanted(&panic(Health::Down)), &mut standing);
    assert_eq!(order, ["backend 1 Ready"]);
    assert!(Serving(standing.backends[&1].state.serving.0).new_clients());
}

fn translated(subjects: &[Subject]) -> Wanted {
    let mut wanted = wanted(subjects);
    let way = |number| Way { port: number, hop: NextHop(1), ..Way::default() };
    wanted.backends.iter_mut().for_each(|it| it.ways[0] = way(it.number));
    let origin = |number| OriginEntry {
        key: balancer_common::table::origin::key([0, u64::from(number)], 81, 6),
        sources: Default::default(),
        block: Default::default(),
        kept: [0; 4],
        mss: 0,
    };
    wanted.origins = subjects.iter().map(|subject| origin(subject.number)).collect();
    wanted
}

#[test]
fn ways_and_origins_stand_before_a_backend_takes_clients() {
    let mut standing = Standing::default();
    let one = translated(&[subject(1, Admin::Ready, Health::Up)]);
    let order = take(&one, &mut standing);
    assert_eq!(
        order,
        ["service 3", "way 1 v4", "hop 1", "backend 1 Ready", "maglev 3", "1 listeners, 1 origins"]
    );
    assert_eq!(
        take(&translated(&two_up()), &mut standing),
        ["way 2 v4", "hop 2", "1 listeners, 2 origins", "backend 2 Ready", "maglev 3"]
    );
    assert!(steps(&translated(&two_up()), &standing).is_empty());
}

#[test]
fn an_origin_goes_before_its_backends_number_is_free() {
    let mut standing = Standing::default();
    take(&translated(&two_up()), &mut standing);
    let one = translated(&[subject(1, Admin::Ready, Health::Up)]);
    let order = take(&one, &mut standing);
    assert_eq!(order, ["maglev 3", "1 listeners, 1 origins", "clear backend 2"]);
    assert_eq!(standing.ways.len(), 1, "what is cleared is written anew");
}

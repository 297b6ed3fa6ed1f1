//! Whole walks: what the packets of one connection, or of one client, come to on several CPUs.

use super::{MANY, ModelLine, SOME, explore};
use crate::{
    audit, sweeper,
    world::{Addresses, Counts, Cpu, FLOW_TICK, Shape, World, sizes},
};
use balancer_common::{
    env::Transition,
    parse::transport::{Segment, TcpFlags},
    serve::Serving,
    walk::{
        self,
        decision::Decision,
        family::{V4, V6},
    },
};
use shuttle::{rand::Rng as _, thread};
use std::sync::Arc;

const ONE_BUCKET: Shape = Shape { flows: sizes(1, 1, 1), pins: sizes(1, 1, 1), ..Shape::TINY };

/// Sends each packet on a CPU of its own, after `before` on one: what was decided for them.
fn send<F: Addresses>(
    shape: Shape,
    before: &[Segment<F::Address>],
    at_once: Vec<Segment<F::Address>>,
) -> (Vec<Decision>, Counts) {
    let world = Arc::new(World::<ModelLine>::of::<F>(shape));
    let first = Cpu::new(&world);
    for segment in before {
        walk::decide::<F, _>(&first, segment);
    }
    let threads: Vec<_> = at_once
        .into_iter()
        .map(|segment| {
            let cpu = Cpu::new(&world);
            thread::spawn(move || (walk::decide::<F, _>(&cpu, &segment), cpu.into_counts()))
        })
        .collect();
    let counts = first.into_counts();
    let decisions = threads
        .into_iter()
        .map(|thread| {
            let (decision, more) = thread.join().expect("no CPU panics");
            counts.add(&more);
            decision
        })
        .collect();
    audit::check(&world, &counts);
    (decisions, counts)
}

fn opened(counts: &Counts) -> u64 {
    (1..=2).map(|backend| counts.of(backend, Transition::Opened)).sum()
}

fn live(counts: &Counts) -> i64 {
    (1..=2).map(|backend| counts.live(backend)).sum()
}

/// The packet that completes a handshake comes twice, on two CPUs.
fn promoted_twice<F: Addresses>() {
    let ack = F::tcp(1, 4000, TcpFlags::ACK, 100);
    let (decisions, counts) = send::<F>(Shape::TINY, &[F::tcp(1, 4000, TcpFlags::SYN, 99)], vec![ack, ack]);
    assert_eq!(decisions[0].backend(), decisions[1].backend(), "one connection, two backends");
    assert_eq!(opened(&counts), 1, "the flow was opened once");
}

#[test]
fn a_connection_that_two_cpus_promote_is_opened_once() {
    explore(SOME, promoted_twice::<V4>);
    explore(SOME, promoted_twice::<V6>);
}

/// The same segment of a client's connections.
fn of_each(connections: u16, flags: u8, seq: u32) -> Vec<Segment<u32>> {
    (0..connections).map(|i| V4::tcp(1, 4000 + i, flags, seq)).collect()
}

/// Three connections of a client become flows at once, on three CPUs.
#[test]
fn the_first_flows_of_a_client_are_counted_in_one_pin() {
    explore(SOME, || {
        let shape = Shape { flows: sizes(2, 1, 2), ..Shape::TINY };
        let syns = of_each(3, TcpFlags::SYN, 99);
        let (decisions, counts) = send::<V4>(shape, &syns, of_each(3, TcpFlags::ACK, 100));
        assert!(
            decisions.iter().all(|one| one.backend() == decisions[0].backend()),
            "one client, two backends"
        );
        assert_eq!(opened(&counts), 3);
    });
}

/// Six flows of a client end at once: the pin hears of every end, however often its exchange is beaten.
#[test]
fn the_last_flows_of_a_client_all_leave_its_pin() {
    explore(MANY, || {
        let shape = Shape { flows: sizes(4, 1, 4), ..Shape::TINY };
        let handshakes = [of_each(6, TcpFlags::SYN, 99), of_each(6, TcpFlags::ACK, 100)].concat();
        let (_, counts) = send::<V4>(shape, &handshakes, of_each(6, TcpFlags::RST, 101));
        assert_eq!((opened(&counts), live(&counts)), (6, 0));
    });
}

/// A random packet of one of two clients.
fn any_packet<F: Addresses>() -> Segment<F::Address> {
    let mut rng = shuttle::rand::thread_rng();
    let (client, sport) = (rng.gen_range(0..2), 4000 + rng.gen_range(0..2));
    let flags = [TcpFlags::SYN, TcpFlags::ACK, TcpFlags::ACK, TcpFlags::ACK | TcpFlags::FIN, TcpFlags::RST];
    match rng.gen_range(0..=flags.len()) {
        5 => F::udp(client, sport),
        flag => F::tcp(client, sport, flags[flag], 99 + rng.gen_range(0..3)),
    }
}

/// Packets of a few clients on two CPUs, while time passes, the sweeper sweeps and a backend goes and comes.
fn anything<F: Addresses>() {
    let world = Arc::new(World::<ModelLine>::of::<F>(ONE_BUCKET));
    let mut threads: Vec<_> = (0..2)
        .map(|_| {
            let cpu = Cpu::new(&world);
            thread::spawn(move || {
                for _ in 0..10 {
                    walk::decide::<F, _>(&cpu, &any_packet::<F>());
                }
                cpu.into_counts()
            })
        })
        .collect();
    let agent = Cpu::new(&world);
    threads.push(thread::spawn(move || {
        for serving in [Serving::RESETS, 0, Serving::FLOWS | Serving::PINNED | Serving::NEW] {
            agent.world().serve(1, serving);
            agent.world().pass(FLOW_TICK * 5 / 2);
            sweeper::sweep::<F, _>(&agent);
        }
        agent.into_counts()
    }));
    let counts = Counts::default();
    threads.into_iter().for_each(|thread| counts.add(&thread.join().expect("no CPU panics")));
    audit::check(&world, &counts);
}

#[test]
fn whatever_comes_the_counts_equal_the_entries() {
    explore(SOME, anything::<V4>);
    explore(SOME, anything::<V6>);
}

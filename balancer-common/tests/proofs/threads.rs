//! Whole walks on real threads, with expiry, a sweeper and a backend that comes and goes, on tables that are too small.
//!
//! Three seconds, counted ten times in each; with `BALANCER_LONG=1` a minute.

use crate::{
    audit, sweeper,
    world::{Addresses, Counts, Cpu, Shape, World, sizes},
};
use balancer_common::{
    env::Transition,
    parse::transport::TcpFlags,
    serve::Serving,
    table::line::HostLine,
    walk::{
        self,
        family::{V4, V6},
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Threads that send packets.
const CPUS: u64 = 3;
/// Clients of each family, with two ports each: more connections than the tables hold.
const CLIENTS: u32 = 120;
const SHAPE: Shape =
    Shape { flows: sizes(40, 5, 12), pins: sizes(24, 3, 6), backends: 3, bound: 40, entries: 0 };

/// What a client may send; a FIN ends at 101, so only the last of the ACKs revives.
const SEGMENTS: &[(u8, u32)] = &[
    (TcpFlags::SYN, 99),
    (TcpFlags::ACK, 100),
    (TcpFlags::ACK, 100),
    (TcpFlags::ACK, 300),
    (TcpFlags::ACK | TcpFlags::FIN, 100),
    (TcpFlags::RST, 100),
];

/// A few packets in a row of one connection, half the time of one of the two clients that all CPUs hear of at once.
fn connection<F: Addresses>(cpu: &Cpu<HostLine>, rng: &mut SmallRng) {
    let clients = if rng.random() { 2 } else { CLIENTS };
    let client = rng.random_range(0..clients);
    let sport = rng.random_range(4000..4002);
    if rng.random_ratio(1, 4) {
        for _ in 0..rng.random_range(1..5) {
            walk::decide::<F, _>(cpu, &F::udp(client, sport));
        }
        return;
    }
    let from = rng.random_range(0..SEGMENTS.len());
    for (flags, seq) in &SEGMENTS[from..rng.random_range(from..=SEGMENTS.len())] {
        walk::decide::<F, _>(cpu, &F::tcp(client, sport, *flags, *seq));
    }
}

fn packets(cpu: Cpu<HostLine>, stop: &AtomicBool, seed: u64) -> Counts {
    let mut rng = SmallRng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        connection::<V4>(&cpu, &mut rng);
        connection::<V6>(&cpu, &mut rng);
    }
    cpu.into_counts()
}

/// The agent: time passes, the sweeper sweeps, and a backend goes and comes.
fn agent(cpu: Cpu<HostLine>, stop: &AtomicBool) -> Counts {
    const ALL: u8 = Serving::FLOWS | Serving::PINNED | Serving::NEW;
    for round in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        cpu.world().pass(1);
        if round.is_multiple_of(8) {
            sweeper::sweep::<V4, _>(&cpu);
            sweeper::sweep::<V6, _>(&cpu);
        }
        cpu.world().serve(1, [ALL, Serving::RESETS, ALL, 0][(round / 64 % 4) as usize]);
        thread::sleep(Duration::from_micros(20));
    }
    cpu.into_counts()
}

/// Everything that can happen did.
fn all_happened(counts: &Counts) {
    use Transition::{Closed, Expired, Opened, Reset, Revived};
    for transition in [Opened, Closed, Expired, Revived, Reset] {
        let times: u64 = (1..=SHAPE.backends).map(|backend| counts.of(backend, transition)).sum();
        // How often depends on the machine's speed.
        assert!(times > 0, "{transition:?} never");
    }
}

/// Packets and the agent for a tenth of a second, then rest.
fn round(world: &Arc<World<HostLine>>, number: u64, counts: &Counts) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let mut threads: Vec<_> = (0..CPUS)
            .map(|lag| {
                let cpu = Cpu::lagging(world, lag);
                scope.spawn(move || packets(cpu, stop, number * CPUS + lag))
            })
            .collect();
        let cpu = Cpu::lagging(world, 1);
        threads.push(scope.spawn(move || agent(cpu, stop)));
        thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| counts.add(&thread.join().expect("no thread panics")));
    });
}

#[test]
fn at_rest_the_counters_equal_the_entries() {
    let world = Arc::new(World::<HostLine>::new(SHAPE));
    let counts = Counts::default();
    for number in 0..if crate::long() { 600 } else { 30 } {
        round(&world, number, &counts);
        audit::check(&world, &counts);
    }
    all_happened(&counts);
}

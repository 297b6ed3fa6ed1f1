//! Flows that have run out: whoever frees them counts them, once.

use super::{ModelLine, SOME, explore};
use crate::{
    audit, sweeper,
    world::{AFFINITY, Addresses, Counts, Cpu, FLOW_TICK, Shape, TIMEOUTS, World, sizes},
};
use balancer_common::{
    env::Transition,
    parse::transport::TcpFlags,
    walk::{
        self,
        family::{V4, V6},
    },
};
use shuttle::thread;
use std::sync::Arc;

/// One bucket of each table: whoever inserts has to take what has run out.
const ONE_BUCKET: Shape = Shape { flows: sizes(1, 1, 1), pins: sizes(1, 1, 1), ..Shape::TINY };

fn connect<F: Addresses>(cpu: &Cpu<ModelLine>, client: u32) {
    walk::decide::<F, _>(cpu, &F::tcp(client, 4000, TcpFlags::SYN, 99));
    walk::decide::<F, _>(cpu, &F::tcp(client, 4000, TcpFlags::ACK, 100));
}

fn inserts_against_the_sweeper<F: Addresses>(old: u32) {
    let world = Arc::new(World::<ModelLine>::of::<F>(ONE_BUCKET));
    let counts = Counts::default();
    let before = Cpu::new(&world);
    (0..old).for_each(|client| connect::<F>(&before, client));
    counts.add(before.counts());
    world.pass(FLOW_TICK * (u64::from(TIMEOUTS.syn) + 1) + u64::from(AFFINITY));
    let new = |client| {
        let cpu = Cpu::new(&world);
        thread::spawn(move || {
            connect::<F>(&cpu, client);
            cpu.into_counts()
        })
    };
    let sweeper = Cpu::new(&world);
    let threads = [
        new(old),
        new(old + 1),
        thread::spawn(move || {
            sweeper::sweep::<F, _>(&sweeper);
            sweeper.into_counts()
        }),
    ];
    threads.into_iter().for_each(|thread| counts.add(&thread.join().expect("no CPU panics")));
    audit::check(&world, &counts);
    let expired: u64 = (1..=2).map(|backend| counts.of(backend, Transition::Expired)).sum();
    assert_eq!(expired, u64::from(old), "each flow that has run out is counted once");
}

#[test]
fn a_flow_that_an_insert_and_the_sweeper_want_to_free_expires_once() {
    explore(SOME, || inserts_against_the_sweeper::<V4>(3));
    explore(SOME, || inserts_against_the_sweeper::<V6>(2));
}

//! Clocks that are not quite equal: the agent reads the time on its own, and one CPU a moment after another.

use crate::{
    audit, sweeper,
    world::{Addresses, Counts, Cpu, FLOW_TICK, Shape, World},
};
use balancer_common::{
    env::Transition,
    parse::transport::TcpFlags,
    table::line::HostLine,
    walk::{
        self,
        family::{V4, V6},
    },
};
use std::sync::Arc;

fn a_late_clock<F: Addresses>() {
    let world = Arc::new(World::<HostLine>::of::<F>(Shape::TINY));
    let (cpu, late) = (Cpu::new(&world), Cpu::lagging(&world, 1));
    // The first jiffy of a tick: for the late one it is still the tick before.
    world.pass(FLOW_TICK * 3);
    walk::decide::<F, _>(&cpu, &F::tcp(1, 4000, TcpFlags::SYN, 99));
    walk::decide::<F, _>(&cpu, &F::tcp(1, 4000, TcpFlags::ACK, 100));
    walk::decide::<F, _>(&cpu, &F::tcp(2, 4000, TcpFlags::SYN, 99));
    walk::decide::<F, _>(&cpu, &F::tcp(2, 4000, TcpFlags::ACK, 100));
    walk::decide::<F, _>(&cpu, &F::tcp(2, 4000, TcpFlags::RST, 100));
    sweeper::sweep::<F, _>(&late);
    let counts = Counts::default();
    [cpu, late].into_iter().for_each(|cpu| counts.add(&cpu.into_counts()));
    audit::check(&world, &counts);
    let expired: u64 = (1..=2).map(|backend| counts.of(backend, Transition::Expired)).sum();
    assert_eq!(expired, 0, "a flow that was seen a moment ago ran out");
    assert_eq!(audit::entries::<F::Flows, _>(&world).len(), 2, "a flow that was seen a moment ago was freed");
    assert_eq!(audit::entries::<F::Pins, _>(&world).len(), 2, "a pin that was seen a moment ago was freed");
}

#[test]
fn a_clock_that_is_a_moment_late_lets_nothing_run_out() {
    a_late_clock::<V4>();
    a_late_clock::<V6>();
}

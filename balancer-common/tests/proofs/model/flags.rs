//! The flag that leads to the overflow, against the sweeper that clears it.

use super::{
    MANY, ModelLine,
    entry::{find, free, insert},
    explore,
};
use crate::{
    audit::{self, entries},
    sweeper,
    world::{Addresses, Counts, Cpu, Shape, World, sizes},
};
use balancer_common::{
    table::{key::Slots as _, words::SlotWord as _},
    walk::family::{Flows4, V4, V6},
};
use shuttle::thread;
use std::sync::Arc;

const ONE_BUCKET: Shape = Shape { flows: sizes(1, 1, 1), ..Shape::TINY };

/// The bucket is full, and its flag stands although nobody is in the overflow any more.
fn stale_flag<F: Addresses>(world: &Arc<World<ModelLine>>) {
    let cpu = Cpu::new(world);
    let full = F::FlowSlots::COUNT as u32;
    (0..=full).for_each(|client| assert!(insert::<F>(&cpu, client, 1).is_some()));
    free::<F>(&cpu, full);
}

fn insert_against_the_sweeper<F: Addresses>() {
    let world = Arc::new(World::<ModelLine>::of::<F>(ONE_BUCKET));
    stale_flag::<F>(&world);
    let (cpu, agent) = (Cpu::new(&world), Cpu::new(&world));
    let threads = [
        thread::spawn(move || {
            assert!(insert::<F>(&cpu, 9, 2).is_some_and(|(_, own)| own), "the overflow has room");
            for _ in 0..3 {
                assert!(
                    find::<F>(&cpu, 9).is_some(),
                    "a published flow is not found: its bucket's flag was cleared"
                );
            }
        }),
        thread::spawn(move || {
            sweeper::clear_overflow_flags::<F::Flows, _>(&agent);
            sweeper::clear_overflow_flags::<F::Flows, _>(&agent);
        }),
    ];
    threads.into_iter().for_each(|thread| thread.join().expect("no CPU panics"));
    audit::check(&world, &Counts::default());
}

#[test]
fn the_overflow_flag_stands_as_long_as_a_flow_needs_it() {
    explore(MANY, insert_against_the_sweeper::<V4>);
    explore(MANY, insert_against_the_sweeper::<V6>);
}

#[test]
fn an_overflow_flag_that_nobody_needs_is_cleared() {
    super::once(|| {
        let world = Arc::new(World::<ModelLine>::of::<V4>(ONE_BUCKET));
        stale_flag::<V4>(&world);
        let flagged = || entries::<Flows4, _>(&world).iter().any(|one| one.word.overflowed());
        assert!(flagged());
        sweeper::clear_overflow_flags::<Flows4, _>(&Cpu::new(&world));
        assert!(!flagged());
    });
}

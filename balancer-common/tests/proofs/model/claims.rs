//! Inserts of one key from several CPUs at once.

use super::{
    MANY, ModelLine,
    entry::{flow, free, insert},
    explore,
};
use crate::{
    audit,
    world::{Addresses, Cpu, Shape, World},
};
use balancer_common::walk::family::{V4, V6};
use shuttle::thread;
use std::sync::Arc;

/// Some CPUs insert the same key into a table that already has `others` entries, of which the first may be freed
/// meanwhile: one CPU publishes it, and whoever hears of an entry hears of that one.
fn one_key<F: Addresses>(cpus: u16, others: u32, free_first: bool) {
    let world = Arc::new(World::<ModelLine>::of::<F>(Shape::TINY));
    let agent = Cpu::new(&world);
    for client in 1..=others {
        insert::<F>(&agent, client, 7);
    }
    let threads: Vec<_> = (1..=cpus)
        .map(|backend| {
            let cpu = Cpu::new(&world);
            thread::spawn(move || insert::<F>(&cpu, 0, backend))
        })
        .collect();
    if free_first {
        // A place that is lower than those of some claims: the later claim may be the lower one.
        free::<F>(&agent, 1);
    }
    let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no CPU panics")).collect();
    let published = audit::flow_words::<F, _>(&world, &flow::<F>(0));
    assert_eq!(published.len(), 1, "the key stands {} times: {outcomes:?}", published.len());
    let own = outcomes.iter().flatten().filter(|(_, own)| *own).count();
    assert_eq!(own, 1, "one CPU's entry is its own: {outcomes:?}");
    for (followed, _) in outcomes.iter().flatten() {
        assert_eq!(followed.backend(), published[0].backend(), "all follow the same entry: {outcomes:?}");
    }
}

#[test]
fn two_cpus_that_insert_the_same_key_end_with_one_entry_and_follow_it() {
    explore(MANY, || one_key::<V4>(2, 0, false));
    explore(MANY, || one_key::<V6>(2, 3, false));
}

#[test]
fn three_cpus_that_insert_the_same_key_end_with_one_entry_and_follow_it() {
    explore(MANY, || one_key::<V4>(3, 4, false));
}

#[test]
fn a_claim_in_a_place_that_has_just_become_free_outranks_an_earlier_one() {
    explore(MANY, || one_key::<V4>(2, 1, true));
    explore(MANY, || one_key::<V6>(3, 2, true));
}

//! A refresh against a slot that is freed and given to another key meanwhile.

use super::{
    MANY, ModelLine,
    entry::{find, flow, free, insert, word},
    explore,
};
use crate::{
    audit,
    world::{Addresses, Cpu, Shape, World, sizes},
};
use balancer_common::{
    table::{
        bucket,
        key::{FlowSlots4, Slots},
        line::Line as _,
        words::{FlowWord, SlotWord as _},
    },
    walk::family::{V4, V6},
};
use shuttle::thread;
use std::sync::Arc;

/// One bucket, so that the second key gets the slot of the first.
const ONE_BUCKET: Shape = Shape { flows: sizes(1, 1, 1), ..Shape::TINY };

/// Sees a flow once more, as a packet does; what stands there must be this client's.
fn refresh<F: Addresses>(cpu: &Cpu<ModelLine>, client: u32, backend: u16) {
    if let Some(mut place) = find::<F>(cpu, client) {
        assert_eq!(place.word.backend(), backend, "a look-up returned the entry of another key");
        let seen = place.word.with_seen(place.word.seen() + 1);
        place.change::<F::FlowSlots>(seen);
    }
}

fn refresh_against_reuse<F: Addresses>() {
    let world = Arc::new(World::<ModelLine>::of::<F>(ONE_BUCKET));
    let cpu = Cpu::new(&world);
    for (client, backend) in (0..F::FlowSlots::COUNT as u32).zip([1, 7, 7]) {
        insert::<F>(&cpu, client, backend);
    }
    let packets: Vec<_> = (0..2)
        .map(|_| {
            let cpu = Cpu::new(&world);
            thread::spawn(move || refresh::<F>(&cpu, 0, 1))
        })
        .collect();
    let reuse = thread::spawn(move || {
        free::<F>(&cpu, 0);
        insert::<F>(&cpu, 9, 2)
    });
    packets.into_iter().for_each(|packet| packet.join().expect("the packets' CPUs do not panic"));
    let (written, own) = reuse.join().expect("the other CPU does not panic").expect("there is room");
    let stands = audit::flow_words::<F, _>(&world, &flow::<F>(9));
    assert!(own && stands == [written], "another key's entry was changed: {written:?} became {stands:?}");
}

#[test]
fn a_refresh_never_touches_the_entry_of_another_key_in_the_same_slot() {
    explore(MANY, refresh_against_reuse::<V4>);
    explore(MANY, refresh_against_reuse::<V6>);
}

/// Gives a published slot to another client's flow, step by step as an insert that takes it would: the new word.
fn hand_over<F: Addresses>(
    line: &ModelLine,
    slot: usize,
    old: FlowWord,
    client: u32,
    backend: u16,
) -> FlowWord {
    let place = F::FlowSlots::word(slot);
    let claimed = old.claim(0);
    assert!(line.compare_exchange(place, old.bits(), claimed.bits()));
    F::FlowSlots::write_key(line, slot, &flow::<F>(client));
    let new = word(backend).in_slot_of(claimed);
    assert!(line.compare_exchange(place, claimed.bits(), new.bits()));
    new
}

/// A slot goes from one key to another and back, while a packet of the first looks it up.
fn look_up_against_reuse<F: Addresses>() {
    let world = Arc::new(World::<ModelLine>::of::<F>(ONE_BUCKET));
    let cpu = Cpu::new(&world);
    insert::<F>(&cpu, 0, 1);
    let looker = Cpu::new(&world);
    let packet = thread::spawn(move || {
        let found = find::<F>(&looker, 0).map(|place| place.word.backend());
        assert!(found.is_none_or(|backend| backend == 1), "a look-up returned the entry of another key");
    });
    let place = find::<F>(&cpu, 0).expect("it was just inserted");
    let other = hand_over::<F>(place.line, place.slot, place.word, 9, 2);
    hand_over::<F>(place.line, place.slot, other, 0, 1);
    packet.join().expect("the packet's CPU does not panic");
}

#[test]
fn a_look_up_never_returns_the_entry_of_another_key_in_the_same_slot() {
    explore(2 * MANY, look_up_against_reuse::<V4>);
    explore(2 * MANY, look_up_against_reuse::<V6>);
}

/// The version has 8 bits: what a CPU read 256 claims of the same slot ago, within one packet, looks unchanged if all
/// else is equal too: backend, state, port and tick. The exchange then succeeds on another key's entry.
#[test]
fn a_word_that_is_256_claims_of_its_slot_old_passes_for_the_current_one() {
    super::once(|| {
        let world = Arc::new(World::<ModelLine>::of::<V4>(ONE_BUCKET));
        let cpu = Cpu::new(&world);
        insert::<V4>(&cpu, 0, 1);
        let mut stale = find::<V4>(&cpu, 0).expect("it was just inserted");
        let (line, slot, word) = (stale.line, stale.slot, stale.word);
        for claims in 1..=256_u32 {
            let last = find::<V4>(&cpu, claims - 1).expect("it was inserted in the round before");
            assert!(bucket::free::<FlowSlots4, _>(line, slot, last.word));
            let (now, _) = insert::<V4>(&cpu, claims, 1).expect("a slot is free");
            assert_eq!(now == word, claims == 256, "after {claims} claims");
            let seen = word.with_seen(word.seen() + 1);
            let changed = stale.change::<FlowSlots4>(seen);
            assert_eq!(changed, claims == 256, "after {claims} claims");
        }
    });
}

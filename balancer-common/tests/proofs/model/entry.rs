//! Flows as the models write them: straight into the table.

use super::ModelLine;
use crate::world::{Addresses, Cpu};
use balancer_common::{
    env::Env as _,
    table::{
        bucket::{self, KeyOf, Place},
        flow::EvictFlows,
        insert::{self, Inserted},
        key::Slots,
        words::{FlowState, FlowWord},
    },
};
use std::marker::PhantomData;

/// Key of a client's flow.
pub(super) fn flow<F: Addresses>(client: u32) -> KeyOf<F::Flows> {
    F::flow_key(F::client(client), 4000, F::LISTENER, 0)
}

/// Word of a flow in a state that nothing counts.
pub(super) fn word(backend: u16) -> FlowWord {
    FlowWord(0).with_backend(backend).with_state(FlowState::CLOSING)
}

/// Inserts a client's flow to a backend, seen now: its word, and whether the entry is the caller's own.
pub(super) fn insert<F: Addresses>(
    cpu: &Cpu<ModelLine>,
    client: u32,
    backend: u16,
) -> Option<(FlowWord, bool)> {
    let key = flow::<F>(client);
    let hash = F::FlowSlots::hash(&key, &cpu.settings().index_key);
    let word = word(backend).with_seen(cpu.now().flow);
    match insert::insert::<F::Flows, _, _>(cpu, hash, &key, word, 0, &EvictFlows::<F>(PhantomData)) {
        Inserted::New(place) => Some((place.word, true)),
        Inserted::Existing(place) => Some((place.word, false)),
        Inserted::Busy | Inserted::Full => None,
    }
}

/// Looks a client's flow up.
pub(super) fn find<F: Addresses>(
    cpu: &Cpu<ModelLine>,
    client: u32,
) -> Option<Place<'_, ModelLine, FlowWord>> {
    let key = flow::<F>(client);
    bucket::find::<F::Flows, _>(cpu, F::FlowSlots::hash(&key, &cpu.settings().index_key), &key)
}

/// Frees a client's flow, which nobody else frees; a refresh or a flag of the bucket may come between.
pub(super) fn free<F: Addresses>(cpu: &Cpu<ModelLine>, client: u32) {
    while let Some(place) = find::<F>(cpu, client) {
        bucket::free::<F::FlowSlots, _>(place.line, place.slot, place.word);
    }
}

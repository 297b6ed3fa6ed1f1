//! Counts the entries of a world one by one, at rest, and compares with what its CPUs counted.

use crate::world::{BACKENDS, Counts, Cpu, World};
use balancer_common::{
    env::{Env, Gauge},
    table::{
        TableId,
        bucket::{self, KeyOf, Table, WordOf},
        key::Slots,
        ledger,
        line::Line,
        listener,
        words::{FlowState, FlowWord, Phase, PinWord, SlotWord},
    },
    walk::family::{Family, V4, V6},
};
use std::{collections::HashMap, sync::Arc};

/// An entry of a table.
pub(crate) struct Entry<T: Table> {
    /// Its line.
    pub(crate) line: usize,
    /// Its key.
    pub(crate) key: KeyOf<T>,
    /// Its word.
    pub(crate) word: WordOf<T>,
}

/// All published entries of a table.
///
/// # Panics
/// If a slot was left claimed: everybody is at rest.
pub(crate) fn entries<T: Table, L: Line>(world: &World<L>) -> Vec<Entry<T>> {
    let mut entries = Vec::new();
    for (index, line) in world.lines(T::ID).iter().enumerate() {
        for slot in 0..T::Slots::COUNT {
            let word = WordOf::<T>::from_bits(line.load(T::Slots::word(slot)));
            match word.phase() {
                Phase::Free => {}
                Phase::Claimed => panic!("{:?}: slot {slot} of line {index} was left claimed", T::ID),
                Phase::Published => {
                    entries.push(Entry { line: index, key: T::Slots::key(line, slot, word), word });
                }
            }
        }
    }
    entries
}

/// Checks both families and the counters of all CPUs together.
///
/// # Panics
/// If anything does not add up.
pub(crate) fn check<L: Line>(world: &Arc<World<L>>, counts: &Counts) {
    let cpu = Cpu::new(world);
    let mut live = [0; BACKENDS];
    check_family::<V4, L>(&cpu, &mut live);
    check_family::<V6, L>(&cpu, &mut live);
    for backend in 1..BACKENDS as u16 {
        let counted = live[usize::from(backend)];
        assert_eq!(
            counts.live(backend),
            counted,
            "live flows of backend {backend}: counters against entries"
        );
        let line = &world.lines(TableId::Ledger)[usize::from(backend)];
        assert_eq!(
            line.load(ledger::WORD_LIVE) as i64,
            counted,
            "live flows of backend {backend}: the shared number against entries"
        );
    }
}

fn check_family<F: Family, L: Line>(cpu: &Cpu<L>, live: &mut [i64; BACKENDS]) {
    let flows = entries::<F::Flows, L>(cpu.world());
    for flow in flows.iter().filter(|flow| flow.word.live()) {
        live[usize::from(flow.word.backend())] += 1;
    }
    let of = |state| flows.iter().filter(|flow| flow.word.state() == state).count() as u64;
    assert_eq!(gauge(cpu, F::FRESH), of(FlowState::FRESH), "gauge of fresh flows");
    assert_eq!(gauge(cpu, F::UDP), of(FlowState::UDP), "gauge of UDP flows");
    check_pins::<F, L>(cpu, &flows);
    every_entry_is_found_once::<F::Flows, L>(cpu);
    every_entry_is_found_once::<F::Pins, L>(cpu);
}

/// The gauge as it stands, not as the path reads it: a negative one is an error here.
fn gauge<L: Line>(cpu: &Cpu<L>, gauge: Gauge) -> u64 {
    cpu.line(balancer_common::table::TableId::Gauges, 0).map_or(0, |line| line.load(gauge as usize))
}

/// A pin's count of live flows is the number of flows that say they are counted in it.
fn check_pins<F: Family, L: Line>(cpu: &Cpu<L>, flows: &[Entry<F::Flows>]) {
    let mut holding: HashMap<String, u16> = HashMap::new();
    for flow in flows.iter().filter(|flow| flow.word.counted()) {
        let listener = listener::by_number(cpu, F::listener_of(&flow.key)).expect("flows have a listener");
        let key = F::pin_key(F::mask(F::client_of(&flow.key), listener), listener.service());
        *holding.entry(format!("{key:?}")).or_default() += 1;
    }
    for pin in entries::<F::Pins, L>(cpu.world()) {
        let counted = holding.remove(&format!("{:?}", pin.key)).unwrap_or(0);
        assert_eq!(live_of(pin.word), counted, "live flows of pin {:?}: its word against the flows", pin.key);
    }
    assert!(holding.is_empty(), "flows are counted in pins that are not there: {holding:?}");
}

fn live_of(word: PinWord) -> u16 {
    word.live()
}

/// No key stands twice, and a look-up finds each where it stands.
fn every_entry_is_found_once<T: Table, L: Line>(cpu: &Cpu<L>) {
    let settings = cpu.settings();
    for entry in entries::<T, L>(cpu.world()) {
        let hash = T::Slots::hash(&entry.key, &settings.index_key);
        let Some(place) = bucket::find::<T, _>(cpu, hash, &entry.key) else {
            panic!("{:?}: {:?} stands in line {} and is not found", T::ID, entry.key, entry.line);
        };
        let found = (std::ptr::from_ref(place.line), place.word.bits());
        let stands = (std::ptr::from_ref(&cpu.world().lines(T::ID)[entry.line]), entry.word.bits());
        assert_eq!(found, stands, "{:?}: {:?} stands twice", T::ID, entry.key);
    }
}

/// The word of a flow that must be there.
pub(crate) fn flow_words<F: Family, L: Line>(world: &World<L>, key: &KeyOf<F::Flows>) -> Vec<FlowWord> {
    entries::<F::Flows, L>(world).into_iter().filter(|one| one.key == *key).map(|one| one.word).collect()
}

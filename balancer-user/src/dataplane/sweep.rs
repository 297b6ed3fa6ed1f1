//! The sweeper: frees what has run out earlier than an insert would, recounts, and clears overflow flags.

use super::{
    Dataplane,
    query::for_each,
    resets::{self, Doomed, ResetFamily},
    tables::Tables,
};
use balancer_common::{
    env::{Env, Transition},
    table::{
        TableId,
        bucket::{self, Table, WordOf},
        flow::{self, EvictExpired},
        key::Slots,
        line::Line,
        overflow,
        pin::{EvictPins, PinService},
        service,
        words::{FlowWord, Phase, PinWord, SlotWord},
    },
    walk::family::{Family, V4, V6},
};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

/// What one sweep saw.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Used and possible entries of each table of buckets.
    pub entries: Vec<(TableId, u64, u64)>,
    /// Live flows by backend number, counted one by one.
    pub live: HashMap<u16, u64>,
    /// Pins by backend number.
    pub pins: HashMap<u16, u64>,
    /// Entries that it freed.
    pub freed: u64,
    /// Counted one by one minus the counters, by backend; only for backends whose counters stood still meanwhile.
    pub drift: HashMap<u16, i64>,
    /// Flows that are to be reset, or are and nobody has confirmed it.
    pub doomed: Vec<Doomed>,
    /// Flows by backend number that were reset because they had run out.
    pub expired: HashMap<u16, u64>,
    /// Numbers that entries name.
    pub named: Named,
    /// How long it took.
    pub took: Duration,
}

/// Numbers that flows, embryonic flows and pins name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Backends.
    pub backends: HashSet<u16>,
    /// Listeners.
    pub listeners: HashSet<u16>,
    /// Services.
    pub services: HashSet<u16>,
}

impl Dataplane {
    /// Looks at every entry once. Takes some 100 ms with a million flows.
    pub fn sweep(&mut self) -> Sweep {
        let began = Instant::now();
        let known: Vec<u16> = super::adopt(&self.tables).backends.iter().map(|one| one.number).collect();
        let before: HashMap<u16, u64> =
            known.iter().map(|number| (*number, self.counts(*number).live())).collect();
        let mut sweep = Sweep::default();
        sweep_family::<V4>(&self.tables, &mut sweep);
        sweep_family::<V6>(&self.tables, &mut sweep);
        for number in known {
            let after = self.counts(number).live();
            let counted = sweep.live.get(&number).copied().unwrap_or(0);
            // What the sweep itself expired is in `after` and not in `counted`; a packet's change is in neither.
            if before[&number] == after || sweep.freed > 0 {
                sweep.drift.insert(number, counted.wrapping_sub(after) as i64);
            }
        }
        sweep.took = began.elapsed();
        sweep
    }
}

fn sweep_family<F: ResetFamily>(tables: &Tables, sweep: &mut Sweep) {
    sweep_flows::<F>(tables, sweep);
    sweep_embryonic::<F>(tables, sweep);
    sweep_pins::<F>(tables, sweep);
    clear_overflow_flags::<F::Flows>(tables);
    clear_overflow_flags::<F::Pins>(tables);
}

fn capacity<T: Table>(tables: &Tables) -> u64 {
    u64::from(T::lines(&tables.settings)) * T::Slots::COUNT as u64
}

fn sweep_flows<F: ResetFamily>(tables: &Tables, sweep: &mut Sweep) {
    let mut used = 0;
    for_each::<F::Flows>(tables, |line, slot, word: FlowWord| {
        let key = F::FlowSlots::key(line, slot, word);
        let hint = F::FlowSlots::hint(line, slot);
        let over = EvictExpired::is_over::<F, _>(tables, &key, word);
        if over && resets::expire::<F>(tables, &key, word) {
            *sweep.expired.entry(word.backend()).or_default() += 1;
            sweep.doomed.push(Doomed { flow: F::id(key), wait: 0 });
            sweep.freed += 1;
        } else if over && bucket::free::<F::FlowSlots, _>(line, slot, word) {
            flow::ended::<F, _>(tables, &key, word, Transition::Expired);
            flow::freed::<F, _>(tables, &key, hint);
            sweep.freed += 1;
            return true;
        } else if resets::is_stale(tables, word) && bucket::free::<F::FlowSlots, _>(line, slot, word) {
            flow::ended::<F, _>(tables, &key, word, Transition::Closed);
            flow::freed::<F, _>(tables, &key, hint);
            sweep.freed += 1;
            return true;
        }
        used += 1;
        sweep.named.backends.insert(word.backend());
        sweep.named.listeners.insert(F::listener_of(&key));
        if let Some(wait) = resets::wait::<F>(tables, &key, word).filter(|_| !over) {
            sweep.doomed.push(Doomed { flow: F::id(key), wait });
        }
        if word.live() && !over {
            *sweep.live.entry(word.backend()).or_default() += 1;
        }
        true
    });
    sweep.entries.push((F::Flows::ID, used, capacity::<F::Flows>(tables)));
}

fn sweep_embryonic<F: Family>(tables: &Tables, sweep: &mut Sweep) {
    let mut used = 0;
    for_each::<F::Embryonic>(tables, |line, slot, word: FlowWord| {
        let key = F::FlowSlots::key(line, slot, word);
        let hint = F::FlowSlots::hint(line, slot);
        if EvictExpired::is_over::<F, _>(tables, &key, word)
            && bucket::free::<F::FlowSlots, _>(line, slot, word)
        {
            flow::freed::<F, _>(tables, &key, hint);
            return true;
        }
        used += 1;
        sweep.named.backends.insert(word.backend());
        sweep.named.listeners.insert(F::listener_of(&key));
        true
    });
    sweep.entries.push((F::Embryonic::ID, used, capacity::<F::Embryonic>(tables)));
}

fn sweep_pins<F: Family>(tables: &Tables, sweep: &mut Sweep) {
    let mut used = 0;
    for_each::<F::Pins>(tables, |line, slot, word: PinWord| {
        let number = F::PinSlots::key(line, slot, word).service_number();
        // The flows of a service that is gone can no longer let go of its pins.
        let orphan = service_is_gone(tables, number);
        if (orphan || EvictPins::is_over(tables, number, word))
            && bucket::free::<F::PinSlots, _>(line, slot, word)
        {
            sweep.freed += 1;
            return true;
        }
        used += 1;
        *sweep.pins.entry(word.backend()).or_default() += 1;
        sweep.named.backends.insert(word.backend());
        sweep.named.services.insert(number);
        true
    });
    sweep.entries.push((F::Pins::ID, used, capacity::<F::Pins>(tables)));
    sweep_tentative::<F>(tables, sweep);
}

fn sweep_tentative<F: Family>(tables: &Tables, sweep: &mut Sweep) {
    let mut used = 0;
    let now = tables.now().pin;
    // No handshake takes longer than the flow clock's shortest promise of a minute or two.
    let lifetime = tables.clock.pin_ticks(Duration::from_secs(120));
    for_each::<F::Tentative>(tables, |line, slot, word: PinWord| {
        if word.idle(now) > lifetime && bucket::free::<F::PinSlots, _>(line, slot, word) {
            return true;
        }
        used += 1;
        sweep.named.backends.insert(word.backend());
        sweep.named.services.insert(F::PinSlots::key(line, slot, word).service_number());
        true
    });
    sweep.entries.push((F::Tentative::ID, used, capacity::<F::Tentative>(tables)));
}

fn service_is_gone(tables: &Tables, number: u16) -> bool {
    tables
        .line(TableId::Services, u32::from(number))
        .is_none_or(|line| line.load(service::WORD_IDENTITY) == 0)
}

/// Clears the flag of every bucket that nothing in the overflow belongs to.
fn clear_overflow_flags<T: Table>(tables: &Tables) {
    let main = T::main(&tables.settings) as usize;
    let lines = &tables.lines(T::ID)[..main];
    let mut flagged = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if overflow::doubt_overflowed::<T::Slots, _>(line) {
            flagged.push(index);
        }
    }
    if flagged.is_empty() {
        return;
    }
    let Some(owners) = owners::<T>(tables) else { return };
    for index in flagged.into_iter().filter(|index| !owners.contains(index)) {
        overflow::clear_doubted::<T::Slots, _>(&lines[index]);
    }
}

/// First buckets of all keys in the overflow; `None` if a key there is just being written.
fn owners<T: Table>(tables: &Tables) -> Option<HashSet<usize>> {
    let main = T::main(&tables.settings) as usize;
    let mut owners = HashSet::new();
    for line in &tables.lines(T::ID)[main..] {
        for slot in 0..T::Slots::COUNT {
            let word = WordOf::<T>::from_bits(line.load(T::Slots::word(slot)));
            match word.phase() {
                Phase::Free => {}
                Phase::Claimed => return None,
                Phase::Published => {
                    let key = T::Slots::key(line, slot, word);
                    let hash = T::Slots::hash(&key, &tables.settings.index_key);
                    owners.insert(T::index(&tables.settings, hash, 0) as usize);
                }
            }
        }
    }
    Some(owners)
}

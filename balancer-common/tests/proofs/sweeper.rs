//! What the agent's sweeper does to the tables, over a world of tests.

use crate::world::{Cpu, World};
use balancer_common::{
    env::{Env as _, Transition},
    table::{
        bucket::{self, Table, WordOf},
        flow::{self, EvictExpired},
        key::Slots,
        line::Line,
        overflow,
        pin::{EvictPins, PinService as _},
        words::{Phase, SlotWord as _},
    },
    walk::family::Family,
};
use std::collections::HashSet;

/// Frees what has run out, and clears the overflow flags that nobody needs.
pub(crate) fn sweep<F: Family, L: Line>(cpu: &Cpu<L>) {
    each::<F::Flows, L>(cpu.world(), |line, slot, word| {
        let key = F::FlowSlots::key(line, slot, word);
        let hint = F::FlowSlots::hint(line, slot);
        if EvictExpired::is_over::<F, _>(cpu, &key, word) && bucket::free::<F::FlowSlots, _>(line, slot, word)
        {
            flow::ended::<F, _>(cpu, &key, word, Transition::Expired);
            flow::freed::<F, _>(cpu, &key, hint);
        }
    });
    each::<F::Embryonic, L>(cpu.world(), |line, slot, word| {
        let key = F::FlowSlots::key(line, slot, word);
        let hint = F::FlowSlots::hint(line, slot);
        if EvictExpired::is_over::<F, _>(cpu, &key, word) && bucket::free::<F::FlowSlots, _>(line, slot, word)
        {
            flow::freed::<F, _>(cpu, &key, hint);
        }
    });
    each::<F::Pins, L>(cpu.world(), |line, slot, word| {
        if EvictPins::is_over(cpu, F::PinSlots::key(line, slot, word).service_number(), word) {
            bucket::free::<F::PinSlots, _>(line, slot, word);
        }
    });
    clear_overflow_flags::<F::Flows, L>(cpu);
    clear_overflow_flags::<F::Pins, L>(cpu);
}

fn each<T: Table, L: Line>(world: &World<L>, mut visit: impl FnMut(&L, usize, WordOf<T>)) {
    for line in world.lines(T::ID) {
        for slot in 0..T::Slots::COUNT {
            let word = WordOf::<T>::from_bits(line.load(T::Slots::word(slot)));
            if word.phase() == Phase::Published {
                visit(line, slot, word);
            }
        }
    }
}

/// Clears the flag of every bucket that nothing in the overflow belongs to.
pub(crate) fn clear_overflow_flags<T: Table, L: Line>(cpu: &Cpu<L>) {
    let (lines, beyond) = cpu.world().lines(T::ID).split_at(T::main(cpu.settings()) as usize);
    let doubted: Vec<usize> =
        (0..lines.len()).filter(|index| overflow::doubt_overflowed::<T::Slots, _>(&lines[*index])).collect();
    let Some(owners) = owners::<T, L>(cpu, beyond) else { return };
    for index in doubted.into_iter().filter(|index| !owners.contains(index)) {
        overflow::clear_doubted::<T::Slots, _>(&lines[index]);
    }
}

/// First buckets of all keys in the overflow; `None` if a key there is just being written.
fn owners<T: Table, L: Line>(cpu: &Cpu<L>, beyond: &[L]) -> Option<HashSet<usize>> {
    let mut owners = HashSet::new();
    for line in beyond {
        for slot in 0..T::Slots::COUNT {
            let word = WordOf::<T>::from_bits(line.load(T::Slots::word(slot)));
            match word.phase() {
                Phase::Free => {}
                Phase::Claimed => return None,
                Phase::Published => {
                    let hash = T::Slots::hash(&T::Slots::key(line, slot, word), &cpu.settings().index_key);
                    owners.insert(T::index(cpu.settings(), hash, 0) as usize);
                }
            }
        }
    }
    Some(owners)
}

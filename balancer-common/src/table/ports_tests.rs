use super::*;
use crate::{
    env::{Signal, Transition},
    settings::Settings,
    table::line::HostLine,
};
use bytemuck::Zeroable as _;
use core::cell::Cell;
use std::{collections::BTreeSet, vec::Vec};

const SHIFT: u32 = 14;
const BLOCK: Block = Block { base: 128, first: 1024, words: 4 };

/// Lines of ports, and a clock.
struct World {
    lines: Vec<HostLine>,
    settings: Settings,
    jiffies: Cell<u64>,
}

impl World {
    fn new() -> Self {
        let settings = Settings { port_rest_shift: SHIFT, ..Settings::zeroed() };
        Self {
            lines: (0..8).map(|_| HostLine::default()).collect(),
            settings,
            jiffies: Cell::new(7 << SHIFT),
        }
    }

    fn take(&self, hash: u64) -> Option<u32> {
        take(BLOCK, 2, hash, |word, from| take_in(self, TableId::Ports4, word, from))
    }

    fn pass_turns(&self, turns: u64) {
        self.jiffies.set(self.jiffies.get() + (turns << SHIFT));
    }

    fn take_all(&self) -> BTreeSet<u32> {
        core::iter::from_fn(|| self.take(1)).collect()
    }
}

impl Env for World {
    type Line = HostLine;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn line(&self, _table: TableId, index: u32) -> Option<&HostLine> {
        self.lines.get(index as usize)
    }

    fn jiffies(&self) -> u64 {
        self.jiffies.get()
    }

    fn may_speak(&self) -> bool {
        false
    }

    fn count_transition(&self, _backend: u16, _transition: Transition) {}

    fn micros(&self) -> u32 {
        0
    }

    fn signal(&self, _backend: u16, _signal: Signal, _amount: u64) {}

    fn forwarded(&self, _backend: u16, _reason: u32, _bytes: u32) {}

    fn count_index(&self, _index: u32) {}
}

#[test]
fn every_port_of_every_source_is_given_once_and_then_none() {
    let world = World::new();
    let all = world.take_all();
    assert_eq!(all, (128..128 + 2 * 256).collect());
    assert_eq!(world.take(0xdead_beef_0000_0000), None);
}

#[test]
fn a_search_begins_where_the_hash_says() {
    let world = World::new();
    assert_eq!(world.take(0), Some(128));
    assert_eq!(world.take(63), Some(128 + 63));
    assert_eq!(world.take(63), Some(128 + 1), "round the word");
    assert_eq!(world.take(1 << 63), Some(128 + 256), "the second source");
}

#[test]
fn a_port_that_was_given_back_rests_for_a_whole_turn_and_at_most_two() {
    let world = World::new();
    let all = world.take_all();
    let (a, b) = (130, 400);
    give_back(&world, TableId::Ports4, a);
    assert_eq!(world.take(1), None);
    world.pass_turns(1);
    assert_eq!(world.take(1), None, "a turn that was half over");
    give_back(&world, TableId::Ports4, b);
    world.pass_turns(1);
    assert_eq!((world.take(1), world.take(1)), (Some(a), None));
    world.pass_turns(1);
    assert_eq!((world.take(1), world.take(1)), (Some(b), None));
    for port in all {
        give_back(&world, TableId::Ports4, port);
    }
    world.pass_turns(1);
    assert_eq!(world.take(1), None);
    world.pass_turns(1);
    assert_eq!(world.take_all().len(), 512);
}

#[test]
fn a_word_that_nobody_looked_at_for_long_has_nothing_resting() {
    let world = World::new();
    world.take_all();
    give_back(&world, TableId::Ports4, 200);
    world.pass_turns(1);
    give_back(&world, TableId::Ports4, 201);
    assert_eq!(uses(&world, TableId::Ports4, 3).resting.count_ones(), 2);
    world.pass_turns(9);
    assert_eq!(uses(&world, TableId::Ports4, 3).taken.count_ones(), 62);
    assert_eq!(world.take_all(), BTreeSet::from([200, 201]));
}

#[test]
fn a_port_of_no_block_has_no_entry() {
    assert_eq!(BLOCK.entry(0, 1023), None);
    assert_eq!((BLOCK.entry(0, 1024), BLOCK.entry(1, 1279)), (Some(128), Some(128 + 511)));
    assert_eq!(BLOCK.entry(0, 1280), None);
    assert_eq!(Block::from_bits(BLOCK.bits()), BLOCK);
}

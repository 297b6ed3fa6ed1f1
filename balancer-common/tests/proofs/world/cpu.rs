//! Who acts in a world: a CPU that sends packets through it, or the agent.

use super::{BACKENDS, World};
use balancer_common::{
    env::{Env, Signal, Transition},
    reason::Reason,
    settings::Settings,
    table::{TableId, line::Line},
    walk::steps::Steps,
};
use std::{
    cell::Cell,
    sync::{Arc, atomic::Ordering},
};

/// One CPU, or the agent: the tables, a view of the clock, and counters of its own.
#[derive(Debug)]
pub(crate) struct Cpu<L> {
    world: Arc<World<L>>,
    lag: u64,
    counts: Counts,
}

/// What a CPU counted.
#[derive(Debug)]
pub(crate) struct Counts {
    transitions: [[Cell<u64>; 5]; BACKENDS],
    reasons: [Cell<u64>; Reason::COUNT],
}

impl Default for Counts {
    fn default() -> Self {
        Self { transitions: Default::default(), reasons: std::array::from_fn(|_| Cell::new(0)) }
    }
}

impl Counts {
    /// How often a backend saw this transition.
    pub(crate) fn of(&self, backend: u16, transition: Transition) -> u64 {
        self.transitions[usize::from(backend)][transition as usize].get()
    }

    /// Live flows of a backend by these counters alone; those of one CPU may be negative.
    pub(crate) fn live(&self, backend: u16) -> i64 {
        let of = |transition| self.of(backend, transition) as i64;
        let ended = [Transition::Closed, Transition::Expired, Transition::Reset].map(of);
        of(Transition::Opened) + of(Transition::Revived) - ended.iter().sum::<i64>()
    }

    /// Packets that were counted under this reason.
    pub(crate) fn reason(&self, reason: Reason) -> u64 {
        self.reasons[reason.index() as usize].get()
    }

    /// Adds another CPU's counters.
    pub(crate) fn add(&self, other: &Self) {
        let add = |own: &Cell<u64>, other: &Cell<u64>| own.set(own.get() + other.get());
        self.transitions
            .as_flattened()
            .iter()
            .zip(other.transitions.as_flattened())
            .for_each(|(a, b)| add(a, b));
        self.reasons.iter().zip(&other.reasons).for_each(|(a, b)| add(a, b));
    }
}

impl<L> Cpu<L> {
    /// A CPU that sees the clock as it is.
    pub(crate) fn new(world: &Arc<World<L>>) -> Self {
        Self::lagging(world, 0)
    }

    /// As [`Cpu::new`], with a clock that is this many jiffies late.
    pub(crate) fn lagging(world: &Arc<World<L>>, lag: u64) -> Self {
        Self { world: Arc::clone(world), lag, counts: Counts::default() }
    }

    /// The tables.
    pub(crate) fn world(&self) -> &World<L> {
        &self.world
    }

    /// What it counted.
    pub(crate) fn into_counts(self) -> Counts {
        self.counts
    }

    /// What it has counted so far.
    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl<L: Line> Env for Cpu<L> {
    type Line = L;

    fn settings(&self) -> &Settings {
        &self.world.settings
    }

    fn line(&self, table: TableId, index: u32) -> Option<&L> {
        self.world.lines(table).get(index as usize)
    }

    fn jiffies(&self) -> u64 {
        self.world.jiffies.load(Ordering::SeqCst) - self.lag
    }

    fn may_speak(&self) -> bool {
        true
    }

    fn count_transition(&self, backend: u16, transition: Transition) {
        let count = &self.counts.transitions[usize::from(backend)][transition as usize];
        count.set(count.get() + 1);
    }

    fn micros(&self) -> u32 {
        0
    }

    fn signal(&self, _backend: u16, _signal: Signal, _amount: u64) {}

    fn forwarded(&self, _backend: u16, reason: u32, _bytes: u32) {
        self.count_index(reason);
    }

    fn count_index(&self, index: u32) {
        let count = &self.counts.reasons[index as usize];
        count.set(count.get() + 1);
    }
}

impl<L: Line> Steps for Cpu<L> {}

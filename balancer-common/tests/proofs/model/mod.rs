//! The protocol of the buckets under a scheduler that decides at every access to shared memory who comes next.
//!
//! Random schedules and priority schedules, from fixed seeds: a failure comes back, and prints how to replay it.

mod claims;
mod entry;
mod expiry;
mod flags;
mod refresh;
mod walks;

use crate::world::TestLine;
use balancer_common::table::line::Line;
use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler},
    sync::atomic::{AtomicU64, Ordering},
};
use std::sync::atomic;

/// Schedules of each kind for a model of a few steps.
pub(super) const MANY: usize = 500;
/// Schedules of each kind for a model of whole walks.
pub(super) const SOME: usize = 120;
/// Changes of priority in a schedule of the second kind.
const DEPTH: usize = 4;
const SEED: u64 = 20_240_229;

/// Runs a model under so many schedules of each kind; forty times as many in a long run.
pub(super) fn explore(schedules: usize, model: impl Fn() + Send + Sync + Copy + 'static) {
    let schedules = if crate::long() { schedules * 40 } else { schedules };
    let mut config = Config::new();
    config.silence_warnings = true;
    config.stack_size = 0x4_0000;
    Runner::new(RandomScheduler::new_from_seed(SEED, schedules), config.clone()).run(model);
    Runner::new(PctScheduler::new_from_seed(SEED, DEPTH, schedules), config).run(model);
}

/// Runs something that needs the scheduler's memory, and has no schedule: one CPU.
pub(super) fn once(model: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(model, 1);
}

/// A line of which every access is a point where the scheduler may switch, unless only the agent writes it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has few lines, and all of them in place")]
pub(super) enum ModelLine {
    Shared([AtomicU64; 8]),
    Fixed([atomic::AtomicU64; 8]),
}

impl TestLine for ModelLine {
    fn shared() -> Self {
        Self::Shared(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    fn fixed() -> Self {
        Self::Fixed(Default::default())
    }
}

impl Line for ModelLine {
    fn load(&self, word: usize) -> u64 {
        match self {
            Self::Shared(words) => words[word].load(Ordering::SeqCst),
            Self::Fixed(words) => words[word].load(Ordering::SeqCst),
        }
    }

    fn store(&self, word: usize, value: u64) {
        match self {
            Self::Shared(words) => words[word].store(value, Ordering::SeqCst),
            Self::Fixed(words) => words[word].store(value, Ordering::SeqCst),
        }
    }

    fn load_half(&self, half: usize) -> u32 {
        (self.load(half / 2) >> (half % 2 * 32)) as u32
    }

    fn store_half(&self, half: usize, value: u32) {
        let shift = half % 2 * 32;
        let with = |word: u64| Some(word & !(0xffff_ffff << shift) | u64::from(value) << shift);
        let _ = match self {
            Self::Shared(words) => words[half / 2].fetch_update(Ordering::SeqCst, Ordering::SeqCst, with),
            Self::Fixed(words) => words[half / 2].fetch_update(Ordering::SeqCst, Ordering::SeqCst, with),
        };
    }

    fn load_quarter(&self, quarter: usize) -> u16 {
        (self.load(quarter / 4) >> (quarter % 4 * 16)) as u16
    }

    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> bool {
        match self {
            Self::Shared(words) => {
                words[word].compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
            }
            Self::Fixed(words) => {
                words[word].compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
            }
        }
    }

    fn add(&self, word: usize, delta: u64) {
        match self {
            Self::Shared(words) => words[word].fetch_add(delta, Ordering::SeqCst),
            Self::Fixed(words) => words[word].fetch_add(delta, Ordering::SeqCst),
        };
    }
}

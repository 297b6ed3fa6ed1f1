//! What `flows = N` promises: N live flows in steady churn, hardly any of them untracked.

use crate::world::{Addresses, Cpu, Shape, World};
use balancer_common::{
    env::Env as _,
    layout,
    settings::Sizes,
    table::{
        bucket,
        insert::{Evict, Inserted, insert},
        key::Slots,
        line::HostLine,
        words::{FlowState, FlowWord},
    },
    walk::family::{V4, V6},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{marker::PhantomData, sync::Arc};

/// Live flows that the tables are made for.
const FLOWS: u32 = 65_536;
/// Loads, in percent of it.
const LOADS: [u32; 4] = [50, 66, 85, 100];
/// Flows that end and begin at each load, per live flow: then hardly any is left that came at another load.
const TURNOVERS: u32 = 4;
/// Untracked flows of all that begin, at most, in parts of a million: 0.01 %.
const ALLOWED: f64 = 100.0;

/// Who frees a flow that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freed {
    /// The sweeper, at once.
    BySweeper,
    /// Nobody but an insert that wants the slot: the agent is stopped.
    ByInserts,
}

/// Backend of flows that live, and of those that have ended and still stand there.
const LIVE: u16 = 1;
const ENDED: u16 = 2;

struct TakesEnded;

impl<S: Slots<Word = FlowWord>> Evict<S, Cpu<HostLine>> for TakesEnded {
    fn may_take(&self, _env: &Cpu<HostLine>, _line: &HostLine, _slot: usize, word: FlowWord) -> bool {
        word.backend() == ENDED
    }

    fn taken(&self, _env: &Cpu<HostLine>, _line: &HostLine, _slot: usize, _word: FlowWord) {}
}

struct Churn<'w, F> {
    cpu: &'w Cpu<HostLine>,
    freed: Freed,
    /// Numbers of the clients with a live flow.
    live: Vec<u32>,
    next: u32,
    rng: SmallRng,
    family: PhantomData<F>,
}

impl<F: Addresses> Churn<'_, F> {
    /// A flow begins; whether it is tracked.
    fn begin(&mut self) -> bool {
        let client = self.next;
        self.next += 1;
        let key = F::flow_key(F::client(client), 4000, F::LISTENER, 0);
        let hash = F::FlowSlots::hash(&key, &self.cpu.settings().index_key);
        let word = FlowWord(0).with_backend(LIVE).with_state(FlowState::ESTABLISHED);
        let tracked =
            matches!(insert::<F::Flows, _, _>(self.cpu, hash, &key, word, 0, &TakesEnded), Inserted::New(_));
        if tracked {
            self.live.push(client);
        }
        tracked
    }

    /// A random flow ends.
    fn end(&mut self) {
        let at = self.rng.random_range(0..self.live.len());
        let client = self.live.swap_remove(at);
        let key = F::flow_key(F::client(client), 4000, F::LISTENER, 0);
        let hash = F::FlowSlots::hash(&key, &self.cpu.settings().index_key);
        let mut place = bucket::find::<F::Flows, _>(self.cpu, hash, &key).expect("a tracked flow is found");
        assert!(match self.freed {
            Freed::BySweeper => bucket::free::<F::FlowSlots, _>(place.line, place.slot, place.word),
            Freed::ByInserts => place.change::<F::FlowSlots>(place.word.with_backend(ENDED)),
        });
    }

    /// So many live flows, in churn: untracked ones per million that begin.
    fn at_load(&mut self, live: u32) -> f64 {
        while self.live.len() < live as usize {
            assert!(self.next < 10 * FLOWS * TURNOVERS, "the table does not take {live} flows");
            self.begin();
        }
        let mut untracked = 0;
        for _ in 0..live * TURNOVERS {
            if self.live.len() >= live as usize {
                self.end();
            }
            untracked += u32::from(!self.begin());
        }
        f64::from(untracked) * 1e6 / f64::from(live * TURNOVERS)
    }
}

/// Untracked flows per million at each load.
fn churn<F: Addresses>(flows: Sizes, freed: Freed) -> [f64; 4] {
    let cpu = Cpu::new(&Arc::new(World::<HostLine>::of::<F>(Shape { flows, ..Shape::TINY })));
    let rng = SmallRng::seed_from_u64(1);
    let mut churn = Churn::<F> { cpu: &cpu, freed, live: Vec::new(), next: 0, rng, family: PhantomData };
    let untracked = LOADS.map(|percent| churn.at_load(FLOWS / 100 * percent + FLOWS % 100 * percent / 100));
    let bytes = f64::from((flows.main + flows.overflow + flows.small) * 64) / f64::from(FLOWS);
    let family = if F::IS_V4 { "v4" } else { "v6" };
    let rows = LOADS.iter().zip(untracked).map(|(load, share)| format!(" {load} %: {share:.1}"));
    println!(
        "{family}, {bytes:.1} bytes a flow, freed {freed:?}, untracked of a million at{}",
        rows.collect::<String>()
    );
    untracked
}

#[test]
fn so_many_flows_as_promised_are_tracked_in_steady_churn() {
    for untracked in [
        churn::<V4>(layout::flows4(FLOWS), Freed::BySweeper),
        churn::<V6>(layout::flows6(FLOWS), Freed::BySweeper),
    ] {
        assert!(untracked.iter().all(|one| *one <= ALLOWED), "more than 0.01 % untracked");
    }
}

#[test]
fn a_stopped_agent_does_not_let_the_tables_fill_up() {
    for untracked in [
        churn::<V4>(layout::flows4(FLOWS), Freed::ByInserts),
        churn::<V6>(layout::flows6(FLOWS), Freed::ByInserts),
    ] {
        assert!(untracked.iter().all(|one| *one <= ALLOWED), "more than 0.01 % untracked");
    }
}

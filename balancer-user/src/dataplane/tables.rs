//! The tables as the agent holds them: every line, the settings, and the shared code's world over both.

use super::{clock::Clock, counts};
use crate::sys::Region;
use balancer_common::{
    env::{Env, Signal, Transition},
    hash::HashKey,
    layout::{self, Dimensions},
    settings::{Settings, port_rest_shift},
    table::{
        TableId,
        line::{HostLine, Line},
    },
    walk::steps::Steps,
};

/// Words of the root line behind the root word itself: what the maps were made with.
const ROOT_INDEX_SEED: usize = 1;
const ROOT_DIMENSIONS: usize = 3;
const ROOT_HASH_SEED: usize = 4;
const ROOT_NAT: usize = 6;

/// Every table, and what the program was loaded with.
#[derive(Debug)]
pub(super) struct Tables {
    regions: Vec<Region>,
    pub(super) dimensions: Dimensions,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
}

impl Tables {
    /// From the regions in the order of [`TableId::ALL`]. Fresh ones get their seeds and dimensions written;
    /// others keep theirs. Whether they were fresh.
    pub(super) fn new(
        regions: Vec<Region>,
        wished: Dimensions,
        hash_seed: [u8; 16],
        clock: Clock,
    ) -> (Self, bool) {
        let root = &regions[position(TableId::Root)].lines()[0];
        let fresh = root.load(ROOT_DIMENSIONS) == 0;
        if fresh {
            store_seed(root, ROOT_INDEX_SEED, &rand::random());
            root.store(ROOT_DIMENSIONS, u64::from(wished.flows) | u64::from(wished.pins) << 32);
            root.store(ROOT_NAT, u64::from(wished.nat4) | u64::from(wished.nat6) << 32);
        }
        store_seed(root, ROOT_HASH_SEED, &hash_seed);
        let sizes = root.load(ROOT_DIMENSIONS);
        let maglev_lines = regions[position(TableId::Maglev)].lines().len() as u32;
        let nat = root.load(ROOT_NAT);
        let dimensions = Dimensions {
            flows: sizes as u32,
            pins: (sizes >> 32) as u32,
            maglev_lines,
            nat4: nat as u32,
            nat6: (nat >> 32) as u32,
        };
        let settings = settings(&dimensions, &load_seed(root, ROOT_INDEX_SEED), &hash_seed, &clock);
        (Self { regions, dimensions, settings, clock }, fresh)
    }

    /// All lines of a table.
    pub(super) fn lines(&self, table: TableId) -> &[HostLine] {
        self.regions[position(table)].lines()
    }

    /// The seed that the maps' Maglev tables were made with.
    pub(super) fn hash_seed(&self) -> [u8; 16] {
        load_seed(&self.lines(TableId::Root)[0], ROOT_HASH_SEED)
    }
}

fn position(table: TableId) -> usize {
    table as usize
}

fn store_seed(line: &HostLine, word: usize, seed: &[u8; 16]) {
    let seed = u128::from_le_bytes(*seed);
    line.store(word, seed as u64);
    line.store(word + 1, (seed >> 64) as u64);
}

fn load_seed(line: &HostLine, word: usize) -> [u8; 16] {
    (u128::from(line.load(word)) | u128::from(line.load(word + 1)) << 64).to_le_bytes()
}

/// What the program is loaded with, for maps of these dimensions.
fn settings(dimensions: &Dimensions, index_seed: &[u8; 16], hash_seed: &[u8; 16], clock: &Clock) -> Settings {
    Settings {
        index_key: HashKey::from_seed(index_seed),
        maglev_key: HashKey::from_seed(hash_seed),
        flows4: layout::flows4(dimensions.flows),
        flows6: layout::flows6(dimensions.flows),
        pins4: layout::pins4(dimensions.pins),
        pins6: layout::pins6(dimensions.pins),
        flow_tick_shift: clock.flow_shift,
        pin_tick_shift: clock.pin_shift,
        // Forged handshakes and forged datagrams may each fill a quarter of what was promised.
        fresh_limit: dimensions.flows / 4,
        udp_limit: dimensions.flows / 4,
        port_rest_shift: port_rest_shift(clock.hz),
        reserved: 0,
    }
}

impl Env for Tables {
    type Line = HostLine;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn line(&self, table: TableId, index: u32) -> Option<&HostLine> {
        self.lines(table).get(index as usize)
    }

    fn jiffies(&self) -> u64 {
        self.clock.jiffies()
    }

    fn count_transition(&self, backend: u16, transition: Transition) {
        if let Some(line) = self.line(TableId::Ledger, u32::from(backend)) {
            counts::note(line, transition);
        }
    }

    // The agent sends no packets.
    fn may_speak(&self) -> bool {
        false
    }

    fn micros(&self) -> u32 {
        0
    }

    fn signal(&self, _backend: u16, _signal: Signal, _amount: u64) {}

    fn forwarded(&self, _backend: u16, _reason: u32, _bytes: u32) {}

    fn count_index(&self, _index: u32) {}
}

impl Steps for Tables {}

//! The host's side of a fixture: the same tables in heap memory, for the same code.

use crate::fixture::{DROP, Fixture, INGRESS, PASS, REDIRECT, Run, SEED, TX};
use anyhow::Result;
use aya::maps::{Array, Map, MapData};
use balancer_common::{
    env::{Env, Signal, Transition},
    hash::HashKey,
    layout,
    packet::SlicePacket,
    reason::Reason,
    settings::{Settings, port_rest_shift},
    table::{TableId, line::HostLine},
    walk::{decision::Verdict, steps::Steps, walk},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::Path,
};

/// Tables that the packet path itself writes.
const WRITTEN: [TableId; 14] = [
    TableId::Flows4,
    TableId::Flows6,
    TableId::Embryonic4,
    TableId::Embryonic6,
    TableId::Pins4,
    TableId::Pins6,
    TableId::Tentative4,
    TableId::Tentative6,
    TableId::Gauges,
    TableId::Ledger,
    TableId::Ports4,
    TableId::Ports6,
    TableId::Nat4,
    TableId::Nat6,
];

/// Bytes that a frame may grow by.
const HEADROOM: usize = 256;

/// Transitions of flows: opened, closed, expired, revived, reset.
pub(crate) type Transitions = [u64; 5];

/// A copy of a fixture's tables, and what was counted.
pub(crate) struct World {
    settings: Settings,
    tables: Vec<Vec<HostLine>>,
    jiffies: Cell<u64>,
    /// An ICMP message may be sent.
    pub(crate) speaks: Cell<bool>,
    reasons: RefCell<Vec<Reason>>,
    transitions: RefCell<BTreeMap<u16, Transitions>>,
}

impl World {
    /// A copy of what the program sees.
    pub(crate) fn of(fixture: &mut Fixture) -> Result<Self> {
        let dimensions = fixture.plane().dimensions();
        let clock = fixture.plane().clock();
        let maps = fixture.maps();
        let tables: Vec<Vec<HostLine>> =
            TableId::ALL.iter().map(|table| read(&maps, *table)).collect::<Result<_>>()?;
        let [_, low, high, ..] = tables[TableId::Root as usize][0].snapshot();
        let index_seed = (u128::from(low) | u128::from(high) << 64).to_le_bytes();
        let settings = Settings {
            index_key: HashKey::from_seed(&index_seed),
            maglev_key: HashKey::from_seed(&SEED),
            flows4: layout::flows4(dimensions.flows),
            flows6: layout::flows6(dimensions.flows),
            pins4: layout::pins4(dimensions.pins),
            pins6: layout::pins6(dimensions.pins),
            flow_tick_shift: clock.flow_shift,
            pin_tick_shift: clock.pin_shift,
            fresh_limit: dimensions.flows / 4,
            udp_limit: dimensions.flows / 4,
            port_rest_shift: port_rest_shift(clock.hz),
            reserved: 0,
        };
        let (jiffies, speaks, reasons, transitions) = Default::default();
        Ok(Self { settings, tables, jiffies, speaks, reasons, transitions })
    }

    /// Copies the backends anew.
    pub(crate) fn copy_backends(&mut self, fixture: &Fixture) -> Result<()> {
        self.tables[TableId::Backends as usize] = read(&fixture.maps(), TableId::Backends)?;
        Ok(())
    }

    /// Walks a frame at this count of jiffies.
    pub(crate) fn run(&self, frame: &[u8], jiffies: u64) -> Run {
        self.jiffies.set(jiffies);
        let mut bytes = [&[0; HEADROOM], frame].concat();
        let mut packet = SlicePacket::with_headroom(&mut bytes, HEADROOM, INGRESS);
        let verdict = match walk(self, &mut packet) {
            Verdict::PASS => PASS,
            Verdict::DROP => DROP,
            Verdict::TX => TX,
            _ => REDIRECT,
        };
        Run { verdict, frame: packet.frame().to_vec(), reasons: self.reasons.take() }
    }

    /// Lines that stand otherwise in the fixture's maps: table, number, here and there.
    pub(crate) fn differences(&self, fixture: &Fixture) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for table in WRITTEN {
            let there = read(&fixture.maps(), table)?;
            for (number, (here, there)) in self.tables[table as usize].iter().zip(&there).enumerate() {
                let (here, there) = (comparable(table, here), comparable(table, there));
                if here != there {
                    found.push(format!("{table:?} {number}: host {here:x?}, kernel {there:x?}"));
                }
            }
        }
        Ok(found)
    }

    /// A backend's transitions.
    pub(crate) fn transitions(&self, backend: u16) -> Transitions {
        self.transitions.borrow().get(&backend).copied().unwrap_or_default()
    }
}

/// A line without the microseconds at which connections were begun, which only the kernel knows.
fn comparable(table: TableId, line: &HostLine) -> [u64; 8] {
    let mut words = line.snapshot();
    if matches!(table, TableId::Nat4 | TableId::Nat6) {
        words[2] &= !0xffff_ffff;
    }
    if table == TableId::Nat4 {
        words[6] &= !0xffff_ffff;
    }
    words
}

/// All lines of a map that is kept in bpffs.
fn read(maps: &Path, table: TableId) -> Result<Vec<HostLine>> {
    let map: Array<MapData, [u64; 8]> =
        Map::from_map_data(MapData::from_pin(maps.join(table.name()))?)?.try_into()?;
    map.iter()
        .map(|words| {
            let line = HostLine::default();
            line.restore(&words?);
            Ok(line)
        })
        .collect()
}

impl Env for World {
    type Line = HostLine;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn line(&self, table: TableId, index: u32) -> Option<&HostLine> {
        self.tables[table as usize].get(index as usize)
    }

    fn jiffies(&self) -> u64 {
        self.jiffies.get()
    }

    fn may_speak(&self) -> bool {
        self.speaks.get()
    }

    fn count_transition(&self, backend: u16, transition: Transition) {
        self.transitions.borrow_mut().entry(backend).or_default()[transition as usize] += 1;
    }

    fn micros(&self) -> u32 {
        0
    }

    fn signal(&self, _backend: u16, _signal: Signal, _amount: u64) {}

    fn forwarded(&self, _backend: u16, reason: u32, _bytes: u32) {
        self.count_index(reason);
    }

    fn count_index(&self, index: u32) {
        self.reasons.borrow_mut().push(Reason::from_index(index).expect("every index is a reason's"));
    }
}

impl Steps for World {}

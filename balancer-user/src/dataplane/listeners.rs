//! Writes the listeners: a perfect hash in the idle half, then one store that switches.

use super::{Dataplane, DataplaneError, tables::Tables};
use crate::sys;
use balancer_common::{
    hash::HashKey,
    table::{
        NUMBERS_PER_LINE, TableId, interface,
        line::{HostLine, Line},
        listener::{
            self, INDEX_PLACES, Listener, ListenerEntry, ListenerKey, MAX_LISTENERS, Root, WideAddress,
        },
        origin::{ORIGIN, OriginEntry},
    },
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

/// Seeds that are tried; with the places chosen below a few thousand suffice.
const SEEDS: u32 = 1 << 22;
const MAX_LOG2_PLACES: u32 = INDEX_PLACES.ilog2();
const MIN_LOG2_PLACES: u32 = 6;

/// Every listener of the current half, without the bare addresses.
pub(super) fn current(tables: &Tables) -> Vec<(u16, ListenerKey, u16)> {
    let half = listener::root(tables).half() as usize * MAX_LISTENERS as usize;
    tables.lines(TableId::Listeners)[half..half + MAX_LISTENERS as usize]
        .iter()
        .map(Listener)
        .filter(|one| one.number() != 0 && one.service() != 0)
        .map(|one| (one.number(), one.key(), one.service()))
        .collect()
}

/// The address of a listener.
pub(super) fn address(key: &ListenerKey) -> IpAddr {
    let address: [u8; 16] = bytemuck::cast(key.address);
    Ipv6Addr::from(address).to_canonical()
}

impl Dataplane {
    /// Replaces all listeners at once. The bare service addresses are entered beside them, under numbers from the
    /// upper end of the number space, and below them the origins: backends whose answers are translated back.
    ///
    /// # Errors
    /// If there is no room, or the kernel cannot say when the last reader has left.
    pub fn set_listeners(
        &mut self,
        listeners: &[ListenerEntry],
        origins: &[OriginEntry],
    ) -> Result<(), DataplaneError> {
        let entries = with_origins(with_addresses(listeners)?, origins)?;
        let old = listener::root(&self.tables);
        let half = 1 - old.half();
        let key = &self.tables.settings.index_key;
        let root = perfect(&entries, key, half).ok_or(DataplaneError::NoSeed { keys: entries.len() })?;
        // Packets that still read this half since the switch before.
        sys::wait_for_readers().map_err(DataplaneError::Membarrier)?;
        self.write_half(&entries, root);
        self.tables.lines(TableId::Root)[0].store(0, root.0);
        self.publish_root();
        Ok(())
    }

    /// Copies the root to where packets read it, each line by one store. Also at the start: an agent that was killed
    /// between two of them has left a packet's way to the half that will be written next.
    pub(super) fn publish_root(&self) {
        let root = listener::root(&self.tables);
        for line in self.tables.lines(TableId::Interfaces) {
            line.store(interface::WORD_ROOT, root.0);
        }
    }

    fn write_half(&self, entries: &[Entry], root: Root) {
        let half = root.half() as usize;
        let lines = MAX_LISTENERS as usize;
        let lines = &self.tables.lines(TableId::Listeners)[half * lines..(half + 1) * lines];
        let places = (INDEX_PLACES / NUMBERS_PER_LINE) as usize;
        let index = &self.tables.lines(TableId::Index)[half * places..(half + 1) * places];
        for line in lines.iter().chain(index) {
            line.restore(&[0; 8]);
        }
        for entry in entries {
            lines[usize::from(entry.number)].restore(&entry.words);
            let place = entry.key.place(&self.tables.settings.index_key, root);
            store_number(&index[(place / NUMBERS_PER_LINE) as usize], place, entry.number);
        }
    }
}

/// Writes one packed 16-bit number.
pub(super) fn store_number(line: &HostLine, place: u32, number: u16) {
    let place = (place % NUMBERS_PER_LINE) as usize;
    let shift = place % 4 * 16;
    let word = line.load(place / 4) & !(0xffff << shift) | u64::from(number) << shift;
    line.store(place / 4, word);
}

/// What the index leads to: a listener, a service address, or an origin.
struct Entry {
    key: ListenerKey,
    number: u16,
    words: [u64; 8],
}

impl Entry {
    fn of(listener: &ListenerEntry) -> Self {
        Self { key: listener.key, number: listener.listener, words: listener.words() }
    }

    const fn is_origin(&self) -> bool {
        self.key.proto & ORIGIN != 0
    }
}

/// The listeners, and an entry for each of their addresses.
fn with_addresses(listeners: &[ListenerEntry]) -> Result<Vec<Entry>, DataplaneError> {
    let addresses: BTreeSet<WideAddress> = listeners.iter().map(|one| one.key.address).collect();
    if listeners.len().max(addresses.len()) >= MAX_LISTENERS as usize / 2 {
        return Err(DataplaneError::TooManyListeners { listeners: listeners.len() });
    }
    let mut entries: Vec<_> = listeners.iter().map(Entry::of).collect();
    for (address, number) in addresses.into_iter().zip((0..MAX_LISTENERS as u16).rev()) {
        let Some(any) = listeners.iter().find(|one| one.key.address == address) else { continue };
        let key = ListenerKey::address_itself(address);
        entries.push(Entry::of(&ListenerEntry { key, listener: number, service: 0, ..*any }));
    }
    Ok(entries)
}

/// The entries, and one for each origin, under the highest numbers that are left.
fn with_origins(mut entries: Vec<Entry>, origins: &[OriginEntry]) -> Result<Vec<Entry>, DataplaneError> {
    let taken: BTreeSet<u16> = entries.iter().map(|entry| entry.number).collect();
    let mut numbers = (1..MAX_LISTENERS as u16).rev().filter(|number| !taken.contains(number));
    for origin in origins {
        let room = DataplaneError::TooManyListeners { listeners: entries.len() };
        let number = numbers.next().ok_or(room)?;
        entries.push(Entry { key: origin.key, number, words: origin.words(number) });
    }
    Ok(entries)
}

/// A root whose seed keeps all keys apart.
fn perfect(entries: &[Entry], key: &HashKey, half: u32) -> Option<Root> {
    let wildcards = entries.iter().any(|one| one.key.port == 0 && one.key.proto != 0);
    let origins = entries.iter().any(Entry::is_origin);
    // About four pairs meet under a random seed: one seed in e^4 keeps all apart.
    let places = (entries.len() * entries.len() / 8).max(1).next_power_of_two().ilog2();
    let log2 = places.clamp(MIN_LOG2_PLACES, MAX_LOG2_PLACES);
    let mut taken = vec![u32::MAX; 1 << log2];
    let roots = (0..SEEDS).map(|seed| Root::new(half, wildcards, log2, seed).with_origins(origins));
    roots.into_iter().find(|root| {
        entries.iter().all(|entry| {
            let place = &mut taken[entry.key.place(key, *root) as usize];
            std::mem::replace(place, root.seed()) != root.seed()
        })
    })
}

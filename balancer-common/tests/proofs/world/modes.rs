//! The index of listeners and origins, and backends' next hops.

use balancer_common::table::{
    NUMBERS_PER_LINE, TableId,
    backend::{self, NextHop},
    interface,
    listener::{ListenerKey, Root},
    origin::OriginEntry,
};

use super::{INGRESS, TestLine, World, listeners, store_number};

/// Lines for listeners and origins.
pub(super) const LISTENERS: u32 = 32;

impl<L: TestLine> World<L> {
    /// Writes the listeners, whose clients are translated if `nat`, and the origins, under a seed that keeps them apart.
    pub(crate) fn listen(&self, nat: bool, origins: &[OriginEntry]) {
        let entries = entries(nat, origins);
        let place = |key: &ListenerKey, root| key.place(&self.settings.index_key, root);
        let root = (0..)
            .map(|seed| Root::new(0, true, 6, seed).with_origins(!origins.is_empty()))
            .find(|root| {
                let mut places: Vec<u32> = entries.iter().map(|(key, ..)| place(key, *root)).collect();
                places.sort_unstable();
                places.windows(2).all(|two| two[0] != two[1])
            })
            .expect("so few keys find places of their own among 64");
        for line in self.lines(TableId::Index) {
            (0..8).for_each(|word| line.store(word, 0));
        }
        for (key, number, words) in &entries {
            let line = self.at(TableId::Listeners, usize::from(*number));
            words.iter().enumerate().for_each(|(word, value)| line.store(word, *value));
            let place = place(key, root);
            store_number(self.at(TableId::Index, (place / NUMBERS_PER_LINE) as usize), place, *number);
        }
        self.at(TableId::Root, 0).store(0, root.0);
        self.at(TableId::Interfaces, INGRESS as usize).store(interface::WORD_ROOT, root.0);
    }

    /// The next hop of a backend.
    pub(crate) fn hop(&self, number: u16) -> NextHop {
        NextHop::new([2, 0, 0, 0, 1, number as u8], INGRESS as u16)
    }

    /// Writes the next hop of a backend, with its mode.
    pub(crate) fn reach(&self, number: u16, hop: NextHop) {
        self.at(TableId::Backends, usize::from(number)).store(backend::WORD_NEXT_HOP, hop.0);
    }
}

/// Key, number and line of everything that stands in the index.
fn entries(nat: bool, origins: &[OriginEntry]) -> Vec<(ListenerKey, u16, [u64; 8])> {
    let mut entries: Vec<_> = listeners()
        .into_iter()
        .map(|mut entry| {
            entry.nat = nat;
            (entry.key, entry.listener, entry.words())
        })
        .collect();
    let numbers = entries.len() as u16 + 1..;
    entries.extend(numbers.zip(origins).map(|(number, origin)| (origin.key, number, origin.words(number))));
    entries
}

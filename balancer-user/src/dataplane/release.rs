//! Pins let go of, so that their clients are placed anew.

use std::net::IpAddr;

use balancer_common::{
    table::{
        bucket::{self, KeyOf},
        key::Slots as _,
        line::HostLine,
        pin::{EvictPins, PinService as _},
        words::PinWord,
    },
    walk::family::{V4, V6},
};

use super::{
    Dataplane,
    query::{HostFamily, for_each},
};

/// What became of a service's pins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Removed: no flow of their clients lived.
    pub idle: u64,
    /// Left where they are.
    pub kept: u64,
}

impl Dataplane {
    /// Removes a client's pin; whether there was one. Its live flows stay where they are.
    pub fn delete_pin(&mut self, service: u16, client: IpAddr) -> bool {
        self.delete_pin_in::<V4>(service, client) || self.delete_pin_in::<V6>(service, client)
    }

    fn delete_pin_in<F: HostFamily>(&self, service: u16, client: IpAddr) -> bool {
        // A packet may change the word between look and exchange: look again.
        (0..16).any(|_| {
            self.find_pin::<F>(service, client)
                .is_some_and(|(key, place)| self.free_pin::<F>(&key, place.line, place.slot, place.word))
        })
    }

    /// Removes each pin of a service whose client has no live flow.
    ///
    /// A client that begins a flow meanwhile keeps its pin: the word has then changed, and is not exchanged.
    pub fn release_idle(&mut self, service: u16) -> Released {
        let mut released = Released::default();
        self.release_idle_in::<V4>(service, &mut released);
        self.release_idle_in::<V6>(service, &mut released);
        released
    }

    fn release_idle_in<F: HostFamily>(&self, service: u16, released: &mut Released) {
        for_each::<F::Pins>(&self.tables, |line, slot, word: PinWord| {
            let key = F::PinSlots::key(line, slot, word);
            if key.service_number() == service && !EvictPins::is_over(&self.tables, service, word) {
                let gone = word.live() == 0 && self.free_pin::<F>(&key, line, slot, word);
                *(if gone { &mut released.idle } else { &mut released.kept }) += 1;
            }
            true
        });
    }

    /// Frees a pin whose word was `word`; whether it was still so. Its client's tentative pin goes with it: for as long as
    /// a handshake may take, that one would speak for the same backend.
    fn free_pin<F: HostFamily>(
        &self,
        key: &KeyOf<F::Pins>,
        line: &HostLine,
        slot: usize,
        word: PinWord,
    ) -> bool {
        let freed = bucket::free::<F::PinSlots, _>(line, slot, word);
        let hash = F::PinSlots::hash(key, &self.tables.settings.index_key);
        if let Some(place) = bucket::find::<F::Tentative, _>(&self.tables, hash, key).filter(|_| freed) {
            // If it has changed, then a connection is just being placed anew.
            bucket::free::<F::PinSlots, _>(place.line, place.slot, place.word);
        }
        freed
    }
}

//! Pins: one client of one service stays with one backend.
//!
//! A pin counts the live flows of its client and does not run out while there is one; its timeout runs from the
//! last packet of the last flow.

use super::{
    backend,
    bucket::{self, KeyOf},
    insert::{Evict, Inserted, insert},
    key::Slots,
    service,
    words::{PinWord, SlotWord},
};
use crate::{
    env::{Env, Gauge},
    walk::family::Family,
};

/// Tries of a change that another CPU may win meanwhile.
const TRIES: u32 = 3;
/// Tries of a release: one that is lost for good would hold the pin for ever. Each needs another CPU that won.
const RELEASE_TRIES: u32 = 64;

/// The backend that a client is pinned to, valid or not, and whether the pin is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Number of the backend.
    pub backend: u16,
    /// It serves new connections of its pinned clients.
    pub serves: bool,
    /// The pin stays although its backend does not serve now.
    pub kept: bool,
}

#[inline(always)]
fn judge<E: Env>(env: &E, word: PinWord) -> Pinned {
    let serving = backend::serving(env, word.backend());
    Pinned { backend: word.backend(), serves: serving.pinned(), kept: serving.keeps_pins() }
}

/// Looks a client's pin up; `None` if there is none or it has run out (`timeout` in pin ticks).
#[inline(always)]
pub fn look_up<F: Family, E: Env>(env: &E, key: &KeyOf<F::Pins>, timeout: u32) -> Option<Pinned> {
    let hash = F::PinSlots::hash(key, &env.settings().index_key);
    let place = bucket::find::<F::Pins, E>(env, hash, key)?;
    if place.word.expired(env.now().pin, timeout) {
        return None;
    }
    Some(judge(env, place.word))
}

/// Looks a client's tentative pin up; `None` if there is none, or it is older than `lifetime` pin ticks.
#[inline(always)]
pub fn look_up_tentative<F: Family, E: Env>(
    env: &E,
    key: &KeyOf<F::Tentative>,
    lifetime: u32,
) -> Option<Pinned> {
    let hash = F::PinSlots::hash(key, &env.settings().index_key);
    let place = bucket::find::<F::Tentative, E>(env, hash, key)?;
    if place.word.idle(env.now().pin) > lifetime {
        return None;
    }
    Some(judge(env, place.word))
}

/// Remembers tentatively where a client's first connection went, so that those beside it go there too.
#[inline(always)]
pub fn note_tentative<F: Family, E: Env>(env: &E, key: &KeyOf<F::Tentative>, backend: u16) {
    let hash = F::PinSlots::hash(key, &env.settings().index_key);
    let word = PinWord::published(backend, 0, env.now().pin);
    if let Some(mut place) = bucket::find::<F::Tentative, E>(env, hash, key) {
        let word = word.in_slot_of(place.word);
        place.change::<F::PinSlots>(word);
        return;
    }
    insert::<F::Tentative, E, _>(env, hash, key, word, 0, &super::flow::OldestGivesWay);
}

/// Counts a new flow to `backend` in its client's pin, which is made if there is none, and otherwise left as it is,
/// unless its backend may not serve, or could not when the flow began: that is what a tentative pin to another backend
/// beside it says (`lifetime` in pin ticks). So a client that a failure moved stays where it went although the old
/// backend returned meanwhile. Whether the flow is counted.
#[inline(always)]
pub fn hold<F: Family, E: Env>(
    env: &E,
    key: &KeyOf<F::Pins>,
    backend: u16,
    timeout: u32,
    lifetime: u32,
) -> bool {
    let hash = F::PinSlots::hash(key, &env.settings().index_key);
    let now = env.now().pin;
    let Some(mut place) = bucket::find::<F::Pins, E>(env, hash, key) else {
        return create::<F, E>(env, hash, key, PinWord::published(backend, 1, now));
    };
    let moved = match look_up_tentative::<F, E>(env, key, lifetime) {
        Some(tentative) => tentative.backend == backend,
        None => false,
    };
    for _ in 0..TRIES {
        let old = place.word;
        let pinned = judge(env, old);
        let moves = moved || old.expired(now, timeout) || !(pinned.serves || pinned.kept);
        let counted = old.live() < PinWord::MAX_LIVE;
        let new = old
            .with_backend(if moves { backend } else { old.backend() })
            .with_live(if counted { old.live() + 1 } else { old.live() })
            .with_seen(now);
        if place.change::<F::PinSlots>(new) {
            return counted;
        }
        if !place.reload::<F::PinSlots>() {
            return false;
        }
    }
    false
}

#[inline(always)]
fn create<F: Family, E: Env>(env: &E, hash: u64, key: &KeyOf<F::Pins>, word: PinWord) -> bool {
    match insert::<F::Pins, E, _>(env, hash, key, word, 0, &EvictPins) {
        Inserted::New(_) => true,
        Inserted::Existing(mut place) => {
            // Six first connections at once: the pin that won stays; this flow is counted in it.
            let counted = place.word.live() < PinWord::MAX_LIVE;
            let new = place.word.with_live(place.word.live() + u16::from(counted));
            place.change::<F::PinSlots>(new) && counted
        }
        // The connection that makes the pin is another one: this flow does without.
        Inserted::Busy => false,
        Inserted::Full => {
            env.gauge(Gauge::PinsLost, 1);
            false
        }
    }
}

/// A flow that was counted in its client's pin is over: the pin's timeout runs from now.
#[inline(always)]
pub fn release<F: Family, E: Env>(env: &E, key: &KeyOf<F::Pins>) {
    let hash = F::PinSlots::hash(key, &env.settings().index_key);
    let Some(mut place) = bucket::find::<F::Pins, E>(env, hash, key) else { return };
    // Read late: what is not needed for the search need not lie on the stack meanwhile.
    let now = env.now().pin;
    for _ in 0..RELEASE_TRIES {
        let old = place.word;
        let new = old.with_live(old.live().saturating_sub(1)).with_seen(now);
        if place.change::<F::PinSlots>(new) || !place.reload::<F::PinSlots>() {
            return;
        }
    }
}

/// Takes slots of pins that have run out, and those of services that are no more.
#[derive(Clone, Copy, Debug)]
pub struct EvictPins;

impl EvictPins {
    /// Whether a pin of this service has run out.
    #[inline(always)]
    pub fn is_over<E: Env>(env: &E, service: u16, word: PinWord) -> bool {
        word.expired(env.now().pin, service::affinity_timeout(env, service))
    }
}

/// The service that a pin key belongs to.
pub trait PinService {
    /// Its number.
    fn service_number(&self) -> u16;
}

impl PinService for super::key::PinKey4 {
    #[inline(always)]
    fn service_number(&self) -> u16 {
        self.service()
    }
}

impl PinService for super::key::PinKey6 {
    #[inline(always)]
    fn service_number(&self) -> u16 {
        self.service()
    }
}

impl<S: Slots<Word = PinWord>, E: Env> Evict<S, E> for EvictPins
where
    S::Key: PinService,
{
    #[inline(always)]
    fn may_take(&self, env: &E, line: &E::Line, slot: usize, word: PinWord) -> bool {
        Self::is_over(env, S::key(line, slot, word).service_number(), word)
    }

    #[inline(always)]
    fn taken(&self, _env: &E, _line: &E::Line, _slot: usize, _word: PinWord) {}
}

//! Flows: when one runs out, and what has to be counted when it ends.

use super::{
    bucket::KeyOf,
    insert::Evict,
    listener::{self, Listener, TimeoutTicks},
    nat::{self, Entry},
    pin, ports,
    words::{FlowState, FlowWord},
};
use crate::{
    env::{Env, Transition},
    walk::{family::Family, steps::Steps},
};

/// Idle timeout of a flow in this state, in flow ticks.
#[inline(always)]
#[must_use]
pub const fn timeout(state: u8, timeouts: &TimeoutTicks) -> u16 {
    match state {
        FlowState::ESTABLISHED => timeouts.established,
        FlowState::CLOSING | FlowState::RESET => timeouts.closing,
        FlowState::UDP => timeouts.udp,
        _ => timeouts.syn,
    }
}

/// Whether a flow has been silent for longer than its state allows.
#[inline(always)]
#[must_use]
pub const fn expired(word: FlowWord, now: u16, timeouts: &TimeoutTicks) -> bool {
    word.idle(now) > timeout(word.state(), timeouts)
}

/// Counts the end of a flow whose word was just exchanged away: its backend's transition, the bounds, its pin.
#[inline(always)]
pub fn ended<F: Family, E: Env>(env: &E, key: &KeyOf<F::Flows>, word: FlowWord, how: Transition) {
    if word.live() {
        env.transition(word.backend(), how);
    }
    leave_bounds::<F, E>(env, word);
    if word.counted() {
        release_pin::<F, E>(env, key);
    }
}

/// Takes a flow out of the bound that its state counts in.
#[inline(always)]
pub fn leave_bounds<F: Family, E: Env>(env: &E, word: FlowWord) {
    match word.state() {
        FlowState::FRESH => env.gauge(F::FRESH, -1),
        FlowState::UDP => env.gauge(F::UDP, -1),
        _ => {}
    }
}

/// Takes a flow out of its client's pin.
#[inline(always)]
pub fn release_pin<F: Family, E: Env>(env: &E, key: &KeyOf<F::Flows>) {
    if let Some(listener) = listener::by_number(env, F::listener_of(key)) {
        let client = F::mask(F::client_of(key), listener);
        pin::release::<F, E>(env, &F::pin_key(client, listener.service()));
    }
}

/// A flow's slot is free, or another's: gives its port back, if it had one. `hint` is what stood beside it.
#[inline(always)]
pub fn freed<F: Family, E: Env>(env: &E, key: &KeyOf<F::Flows>, hint: u32) {
    if let Some(entry) = entry_of::<F, E>(env, key, hint) {
        entry.set_unheard();
        ports::give_back(env, F::PORTS, hint);
    }
}

/// What a backend says to this flow is to be looked at, as something has happened to it. `hint` is what stands beside it.
#[inline(always)]
pub fn unheard<F: Family, E: Env>(env: &E, key: &KeyOf<F::Flows>, hint: u32) {
    if let Some(entry) = entry_of::<F, E>(env, key, hint) {
        entry.set_unheard();
    }
}

/// The entry of a flow, if it is translated: what stands beside it is the number then.
#[inline(always)]
fn entry_of<'a, F: Family, E: Env>(
    env: &'a E,
    key: &KeyOf<F::Flows>,
    hint: u32,
) -> Option<Entry<'a, E::Line>> {
    let listener = listener::by_number(env, F::listener_of(key))?;
    if hint != nat::NONE && listener.nat() { F::entry(env, hint) } else { None }
}

/// Takes slots of flows that have run out, and those of listeners that are no more.
#[derive(Clone, Copy, Debug)]
pub struct EvictExpired;

impl EvictExpired {
    /// Whether a flow with this key and word has run out.
    #[inline(always)]
    pub fn is_over<F: Family, E: Env>(env: &E, key: &KeyOf<F::Flows>, word: FlowWord) -> bool {
        match listener::by_number(env, F::listener_of(key)) {
            Some(listener) => is_expired_for(env, listener, word),
            None => true,
        }
    }
}

#[inline(always)]
fn is_expired_for<E: Env>(env: &E, listener: Listener<'_, E::Line>, word: FlowWord) -> bool {
    expired(word, env.now().flow, &listener.timeouts())
}

/// [`EvictExpired`] for the flows of one family.
#[derive(Debug)]
pub struct EvictFlows<F>(pub core::marker::PhantomData<F>);

impl<F: Family, E: Steps> Evict<F::FlowSlots, E> for EvictFlows<F> {
    #[inline(always)]
    fn may_take(&self, env: &E, line: &E::Line, slot: usize, word: FlowWord) -> bool {
        use super::key::Slots;
        EvictExpired::is_over::<F, E>(env, &F::FlowSlots::key(line, slot, word), word)
    }

    #[inline(always)]
    fn taken(&self, env: &E, line: &E::Line, slot: usize, word: FlowWord) {
        use super::key::Slots;
        let key = F::FlowSlots::key(line, slot, word);
        env.ended::<F>(&key, word, Transition::Expired);
        env.freed::<F>(&key, F::FlowSlots::hint(line, slot));
    }
}

/// [`OldestGivesWay`] for the embryonic flows of one family, which may have a port.
#[derive(Debug)]
pub struct OldestFlow<F>(pub core::marker::PhantomData<F>);

impl<F: Family, E: Steps> Evict<F::FlowSlots, E> for OldestFlow<F> {
    #[inline(always)]
    fn may_take(&self, _env: &E, _line: &E::Line, _slot: usize, _word: FlowWord) -> bool {
        false
    }

    #[inline(always)]
    fn taken(&self, env: &E, line: &E::Line, slot: usize, word: FlowWord) {
        use super::key::Slots;
        env.freed::<F>(&F::FlowSlots::key(line, slot, word), F::FlowSlots::hint(line, slot));
    }
}

/// A small table's inserts take the oldest slot; nothing is counted.
#[derive(Clone, Copy, Debug)]
pub struct OldestGivesWay;

impl<S: super::key::Slots, E: Env> Evict<S, E> for OldestGivesWay {
    #[inline(always)]
    fn may_take(&self, _env: &E, _line: &E::Line, _slot: usize, _word: S::Word) -> bool {
        false
    }

    #[inline(always)]
    fn taken(&self, _env: &E, _line: &E::Line, _slot: usize, _word: S::Word) {}
}

//! A packet of a known flow.

use super::{decision::Decision, embryonic, family::Family, steps::Steps};
use crate::{
    env::{Env, Transition},
    parse::{
        PROTO_TCP,
        transport::{Segment, TcpFlags},
    },
    reason::Reason,
    state::Mode,
    table::{
        backend::{self, NextHop},
        bucket::{self, KeyOf, Place},
        flow, hint,
        key::Slots,
        listener::Listener,
        nat,
        words::{FlowState, FlowWord},
    },
};

/// Tries of a state change that another CPU may win meanwhile; a lost refresh is simply dropped.
const TRIES: u32 = 3;

/// A flow's slot.
pub type FlowPlace<'a, L> = Place<'a, L, FlowWord>;

/// The fast path: one packet more of a settled flow whose backend may serve, that backend's next hop, and what stands
/// beside a flow that is translated. `None` if there is more to it.
#[inline(always)]
pub fn settled<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    mut place: FlowPlace<'_, E::Line>,
) -> Option<(Decision, NextHop, u32)> {
    let word = place.word;
    let special = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
    let steady = matches!(word.state(), FlowState::ESTABLISHED | FlowState::UDP);
    if !steady || segment.flags.any(special) {
        return None;
    }
    let (serving, hop) = backend::serving_and_hop(env, word.backend());
    if !serving.flows() {
        return None;
    }
    let now = env.now().flow;
    if word.seen() != now {
        if flow::expired(word, now, &listener.timeouts()) {
            return None;
        }
        // A refresh that another CPU's change beats is dropped: the next packet does it.
        place.change::<F::FlowSlots>(word.with_seen(now));
    }
    let decision = Decision::forward(word.backend(), Reason::Flow);
    if hop.mode() == Mode::Nat as u8 {
        // Its ack is noted with the translation.
        return Some((decision.noting_ack(), hop, F::FlowSlots::hint(place.line, place.slot)));
    }
    if let Some(ack) = hint::advanced(segment, F::FlowSlots::hint(place.line, place.slot)) {
        F::FlowSlots::write_hint(place.line, place.slot, ack);
    }
    Some((decision, hop, nat::NONE))
}

/// Notes the client's ack.
#[inline(always)]
pub(super) fn note_ack<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    place: &FlowPlace<'_, E::Line>,
) {
    if let Some(ack) = hint::advanced(segment, hint::read::<F, E>(env, listener, place)) {
        hint::write::<F, E>(env, listener, place, ack);
    }
}

/// What to do with a packet of a known flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// As if no flow knew it.
    Unknown,
    /// Advance the flow's state.
    Touch,
    /// Its backend may not serve: choose anew.
    Reroute,
    /// It is reset, or is to be.
    Fail,
    /// A SYN on a live flow.
    SynOnFlow,
}

/// Everything that is not a packet of a settled flow to a serving backend. [`Decision::UNKNOWN`] where the packet
/// belongs to a new connection, or the flow has run out; [`Decision::REROUTE`] or [`Decision::FAIL`] where its backend may not serve.
#[inline(always)]
pub fn unsteady<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    let key = F::segment_key(segment, listener);
    let hash = F::FlowSlots::hash(&key, &env.settings().index_key);
    let Some(mut place) = bucket::find::<F::Flows, E>(env, hash, &key) else { return Decision::UNKNOWN };
    match act::<F, E>(env, segment, listener, &key, place.word) {
        Act::Unknown => Decision::UNKNOWN,
        Act::Touch => touch::<F, E>(env, segment, listener, &key, &mut place),
        Act::Reroute => Decision::REROUTE,
        Act::Fail => Decision::FAIL,
        Act::SynOnFlow => Decision::forward(place.word.backend(), Reason::SynOnFlow),
    }
}

/// Decides that for a packet of the flow with this key and word; changes nothing.
#[inline(always)]
pub fn act<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    key: &KeyOf<F::Flows>,
    word: FlowWord,
) -> Act {
    if flow::expired(word, env.now().flow, &listener.timeouts()) {
        return Act::Unknown;
    }
    let serving = backend::serving(env, word.backend());
    let reset = word.state() == FlowState::RESET;
    let serves = serving.flows() && !reset;
    let syn = segment.flags.any(TcpFlags::SYN);
    let closing = word.state() == FlowState::CLOSING;
    let tcp = segment.proto == PROTO_TCP;
    // A new connection on the same ports begins with a SYN, and is there once its handshake fits.
    let replaceable = tcp && (closing || !serves);
    if replaceable && (syn || embryonic::completes::<F, E>(env, segment, listener, key)) {
        return Act::Unknown;
    }
    if tcp && (reset || !serves && serving.resets()) {
        return Act::Fail;
    }
    match (serves, syn) {
        (false, _) => Act::Reroute,
        (true, true) => Act::SynOnFlow,
        (true, false) => Act::Touch,
    }
}

/// Advances the flow's state, and sees it.
#[inline(always)]
fn touch<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    key: &KeyOf<F::Flows>,
    place: &mut FlowPlace<'_, E::Line>,
) -> Decision {
    let now = env.now().flow;
    for _ in 0..TRIES {
        let old = place.word;
        let new = next_word::<F, E>(env, segment, listener, place, now);
        if new == old || place.change::<F::FlowSlots>(new) {
            if new != old {
                crossed::<F, E>(env, segment, listener, key, place, old, new);
            }
            break;
        }
        if !place.reload::<F::FlowSlots>() {
            break;
        }
    }
    if place.word.state() != FlowState::CLOSING {
        note_ack::<F, E>(env, segment, listener, place);
    }
    Decision::forward(place.word.backend(), Reason::Flow)
}

/// The word after this segment.
#[inline(always)]
fn next_word<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    place: &FlowPlace<'_, E::Line>,
    now: u16,
) -> FlowWord {
    let old = place.word;
    let ends = segment.flags.any(TcpFlags::FIN | TcpFlags::RST);
    let state = match old.state() {
        FlowState::FRESH | FlowState::ESTABLISHED if ends => FlowState::CLOSING,
        // Only a packet at least one tick later shows that the handshake was no accident.
        FlowState::FRESH if old.seen() != now => FlowState::ESTABLISHED,
        FlowState::CLOSING if !ends && revives::<F, E>(env, segment, listener, place) => {
            FlowState::ESTABLISHED
        }
        same => same,
    };
    let live = !matches!(state, FlowState::CLOSING);
    let new = old.with_state(state);
    // A fresh flow's last-seen stands still until it is established, or closes.
    let new = if state == FlowState::FRESH { new } else { new.with_seen(now) };
    if live { new } else { new.with_counted(false) }
}

/// Whether a segment without FIN or RST shows that a closing flow is alive: it lies beyond the end that the FIN
/// announced (remembered in place of the ack), or so far before it that the FIN was not of this connection.
#[inline(always)]
fn revives<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    place: &FlowPlace<'_, E::Line>,
) -> bool {
    let end = segment.seq.wrapping_add(segment.span);
    let remembered = hint::read::<F, E>(env, listener, place);
    let behind = remembered.wrapping_sub(end);
    behind >= 1 << 30
}

/// Counts what an exchange did.
#[inline(always)]
fn crossed<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    key: &KeyOf<F::Flows>,
    place: &FlowPlace<'_, E::Line>,
    old: FlowWord,
    new: FlowWord,
) {
    if old.state() == FlowState::FRESH && new.state() == FlowState::ESTABLISHED {
        flow::leave_bounds::<F, E>(env, old);
    }
    if new.state() == FlowState::CLOSING && old.state() != FlowState::CLOSING {
        // From now on the hint is the end that the client announced.
        hint::write::<F, E>(env, listener, place, segment.seq.wrapping_add(segment.span));
        env.ended::<F>(key, old, Transition::Closed);
    }
    if old.state() == FlowState::CLOSING && new.state() == FlowState::ESTABLISHED {
        hint::write::<F, E>(env, listener, place, segment.ack);
        env.transition(new.backend(), Transition::Revived);
    }
}

/// The flow's backend may not serve: chooses anew and moves the flow. A TCP client hears from the new backend,
/// which knows no such connection and resets it.
#[inline(always)]
pub fn reroute<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    let decision = env.place_new::<F>(segment, listener.0);
    let backend = decision.backend();
    if backend == 0 {
        return decision;
    }
    let key = F::segment_key(segment, listener);
    let hash = F::FlowSlots::hash(&key, &env.settings().index_key);
    if let Some(mut place) = bucket::find::<F::Flows, E>(env, hash, &key) {
        let old = place.word;
        let number = match listener.nat() {
            true => env.take_port::<F>(segment, listener.number(), backend),
            false => 0,
        };
        if number == nat::NONE {
            return no_port(segment);
        }
        let hint = F::FlowSlots::hint(place.line, place.slot);
        let new = old.with_backend(backend).with_seen(env.now().flow).with_counted(false);
        let moved = place.change::<F::FlowSlots>(new);
        if listener.nat() {
            if moved {
                F::FlowSlots::write_hint(place.line, place.slot, number);
            }
            env.freed::<F>(&key, if moved { hint } else { number });
        }
        if moved {
            move_counts::<F, E>(env, listener, &key, &mut place, old);
        }
    }
    Decision::forward(backend, Reason::Rehashed)
}

/// A segment of a flow that would move to a backend for which there is no port. Nobody answers a RST.
#[inline(always)]
const fn no_port<A>(segment: &Segment<A>) -> Decision {
    match segment.proto == PROTO_TCP && segment.flags.any(TcpFlags::RST) {
        true => Decision::drop(Reason::NatStray),
        false => Decision::answer(Reason::NatExhausted),
    }
}

/// Counts a moved flow at its new backend, and in the pin, which moves with it.
#[inline(always)]
fn move_counts<F: Family, E: Steps>(
    env: &E,
    listener: Listener<'_, E::Line>,
    key: &KeyOf<F::Flows>,
    place: &mut FlowPlace<'_, E::Line>,
    old: FlowWord,
) {
    if old.live() {
        env.transition(old.backend(), Transition::Closed);
        env.transition(place.word.backend(), Transition::Opened);
    }
    if old.counted() {
        env.release_pin::<F>(key);
        let counted = env.hold_pin::<F>(key, listener.0, place.word.backend());
        let word = place.word;
        if counted && !place.change::<F::FlowSlots>(word.with_counted(true)) {
            env.release_pin::<F>(key);
        }
    }
}

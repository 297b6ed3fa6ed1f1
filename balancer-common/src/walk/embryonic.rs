//! Connections that are not yet flows: what must be seen before a flow and a pin are made.
//!
//! | packet | writes |
//! |---|---|
//! | SYN | an embryonic flow, and a tentative pin |
//! | fitting segment after a SYN | promotion: flow, and pin |
//! | segment of an unknown connection, first UDP datagram | an embryonic flow |
//! | the next fitting segment, the third datagram | promotion |

use super::{decision::Decision, family::Family, place, steps::Steps};
use crate::{
    env::{Env, Transition},
    parse::{
        PROTO_TCP,
        transport::{Segment, TcpFlags},
    },
    reason::Reason,
    table::{
        backend,
        bucket::{self, KeyOf, Place},
        flow::{self, EvictFlows, OldestFlow},
        hint,
        insert::{Inserted, insert},
        key::Slots,
        listener::Listener,
        nat, pin,
        words::{FlowState, FlowWord, SlotWord},
    },
};
use core::marker::PhantomData;

/// How far behind the initial sequence number a segment may lie to show that its sender saw the answer.
const WINDOW: u32 = 65_536;

type Embryo<'a, E> = Place<'a, <E as Env>::Line, FlowWord>;

#[inline(always)]
fn find<'a, F: Family, E: Env>(env: &'a E, key: &KeyOf<F::Flows>) -> Option<Embryo<'a, E>> {
    let hash = F::FlowSlots::hash(key, &env.settings().index_key);
    bucket::find::<F::Embryonic, E>(env, hash, key)
}

/// Decides for a packet that no flow knows; [`Decision::PROMOTE`] if it makes the connection a flow,
/// [`Decision::PLACE`] if it has to be placed.
#[inline(always)]
pub fn decide<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    let key = &F::segment_key(segment, listener);
    let Some(mut embryo) = find::<F, E>(env, key) else { return Decision::PLACE };
    let over = flow::expired(embryo.word, env.now().flow, &listener.timeouts());
    let syn = segment.flags.any(TcpFlags::SYN);
    if over || !backend::serving(env, embryo.word.backend()).flows() {
        return Decision::PLACE;
    }
    if fits::<F, E>(env, segment, listener, &embryo) {
        return advance::<F::FlowSlots, E>(env, &mut embryo);
    }
    if syn && !backend::serving(env, embryo.word.backend()).pinned() {
        return Decision::PLACE;
    }
    if syn && hint::read::<F, E>(env, listener, &embryo) != segment.seq {
        // A new attempt from the same port: its own initial sequence number counts.
        hint::write::<F, E>(env, listener, &embryo, segment.seq);
    }
    Decision::forward(embryo.word.backend(), Reason::Embryonic)
}

/// Whether a packet completes the handshake of an embryonic connection with this key.
#[inline(always)]
pub fn completes<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    key: &KeyOf<F::Flows>,
) -> bool {
    let Some(embryo) = find::<F, E>(env, key) else { return false };
    embryo.word.state() == FlowState::SYN
        && !flow::expired(embryo.word, env.now().flow, &listener.timeouts())
        && backend::serving(env, embryo.word.backend()).flows()
        && fits::<F, E>(env, segment, listener, &embryo)
}

/// Whether a packet carries an embryonic connection on.
#[inline(always)]
fn fits<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    embryo: &Embryo<'_, E>,
) -> bool {
    if segment.proto != PROTO_TCP {
        return true;
    }
    let offset = segment.seq.wrapping_sub(hint::read::<F, E>(env, listener, embryo));
    segment.flags.any(TcpFlags::ACK)
        && !segment.flags.any(TcpFlags::SYN | TcpFlags::RST)
        && (1..=WINDOW).contains(&offset)
}

/// Places a packet that begins a connection, or one whose backend may not serve it any more, and remembers where.
#[inline(always)]
pub fn place<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    let decision = if segment.proto != PROTO_TCP || segment.flags.any(TcpFlags::SYN) {
        env.place_new::<F>(segment, listener.0)
    } else if listener.nat() {
        // Nobody knows where its backend would have it come from.
        return match segment.flags.any(TcpFlags::RST) {
            true => Decision::drop(Reason::NatStray),
            false => Decision::answer(Reason::NatUnknown),
        };
    } else {
        env.place_unknown::<F>(segment, listener.0)
    };
    let leaves_trace = !segment.flags.any(TcpFlags::FIN | TcpFlags::RST);
    if decision.backend() != 0 && leaves_trace {
        let number = match listener.nat() {
            true => env.take_port::<F>(segment, listener.number(), decision.backend()),
            false => nat::NONE,
        };
        env.remember::<F>(segment, listener.0, decision.backend(), number);
        if listener.nat() && number == nat::NONE {
            // Its client may have had a connection from the same port, which is not all gone: that one's is not its.
            return Decision::answer(Reason::NatExhausted);
        }
    }
    decision
}

/// Remembers where the first packet of a connection went: in the slot that it has, or in one of its own. `number` is its
/// entry's, if it is translated.
#[inline(always)]
pub fn remember<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    backend: u16,
    number: u32,
) {
    let key = F::segment_key(segment, listener);
    let word = first_word::<F>(segment).with_backend(backend).with_seen(env.now().flow);
    let word = if listener.wildcard() { word.with_dport(segment.dport) } else { word };
    let hint = first_hint::<F>(segment);
    if listener.nat() {
        return remember_port::<F, E>(env, &key, word, hint, number);
    }
    if let Some(mut embryo) = find::<F, E>(env, &key) {
        embryo.change::<F::FlowSlots>(word.in_slot_of(embryo.word));
        F::FlowSlots::write_hint(embryo.line, embryo.slot, hint);
        return;
    }
    let hash = F::FlowSlots::hash(&key, &env.settings().index_key);
    insert::<F::Embryonic, E, _>(env, hash, &key, word, hint, &OldestFlow::<F>(PhantomData));
}

/// As [`remember`], of a connection that is translated, by the entry with this number. One that has none is not
/// remembered.
#[inline(always)]
fn remember_port<F: Family, E: Steps>(
    env: &E,
    key: &KeyOf<F::Flows>,
    word: FlowWord,
    hint: u32,
    number: u32,
) {
    if let Some(entry) = F::entry(env, number) {
        entry.set_client_ack(hint);
    }
    if let Some(mut embryo) = find::<F, E>(env, key) {
        let (old, before) = (F::FlowSlots::hint(embryo.line, embryo.slot), embryo.word);
        let changed = match number {
            nat::NONE => bucket::free::<F::FlowSlots, _>(embryo.line, embryo.slot, before),
            _ => embryo.change::<F::FlowSlots>(word.in_slot_of(before)),
        };
        if changed && number != nat::NONE {
            F::FlowSlots::write_hint(embryo.line, embryo.slot, number);
        }
        env.freed::<F>(key, if changed { old } else { number });
        return;
    }
    if number == nat::NONE {
        return;
    }
    let hash = F::FlowSlots::hash(key, &env.settings().index_key);
    let evict = OldestFlow::<F>(PhantomData);
    match insert::<F::Embryonic, E, _>(env, hash, key, word, number, &evict) {
        Inserted::New(_) => {}
        // Another CPU has just remembered the same one.
        Inserted::Existing(_) | Inserted::Busy | Inserted::Full => env.freed::<F>(key, number),
    }
}

#[inline(always)]
fn first_word<F: Family>(segment: &Segment<F::Address>) -> FlowWord {
    let state = if segment.proto != PROTO_TCP {
        FlowState::UDP_ONE
    } else if segment.flags.any(TcpFlags::SYN) {
        FlowState::SYN
    } else {
        FlowState::UNKNOWN
    };
    FlowWord(0).with_state(state)
}

/// What the next segment must lie behind: the initial sequence number, or one before a segment in mid-stream.
#[inline(always)]
fn first_hint<F: Family>(segment: &Segment<F::Address>) -> u32 {
    if segment.flags.any(TcpFlags::SYN) { segment.seq } else { segment.seq.wrapping_sub(1) }
}

/// One step further: the second datagram only counts, everything else promotes.
#[inline(always)]
fn advance<S: Slots<Word = FlowWord>, E: Env>(env: &E, embryo: &mut Embryo<'_, E>) -> Decision {
    let word = embryo.word;
    if word.state() != FlowState::UDP_ONE {
        return Decision::PROMOTE;
    }
    embryo.change::<S>(word.with_state(FlowState::UDP_TWO).with_seen(env.now().flow));
    Decision::forward(word.backend(), Reason::Embryonic)
}

/// Makes a flow of an embryonic connection. Where there is no room it lives on as it is, as long as its packets keep
/// it from being the oldest.
#[inline(always)]
pub fn promote<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    let key = &F::segment_key(segment, listener);
    let Some(mut embryo) = find::<F, E>(env, key) else {
        // Another CPU was faster, or it gave way to a younger one: as for a packet in mid-stream.
        return env.place_unknown::<F>(segment, listener.0);
    };
    let word = embryo.word;
    let number = F::FlowSlots::hint(embryo.line, embryo.slot);
    let hint = if listener.nat() { number } else { segment.ack };
    if make_flow::<F, E>(env, segment, listener, key, word, hint) {
        if listener.nat() {
            note_first_ack::<F, E>(env, number, segment.ack);
        }
        bucket::free::<F::FlowSlots, _>(embryo.line, embryo.slot, word);
        return Decision::forward(word.backend(), Reason::Promoted);
    }
    embryo.change::<F::FlowSlots>(word.with_seen(env.now().flow));
    if word.state() == FlowState::UNKNOWN {
        F::FlowSlots::write_hint(embryo.line, embryo.slot, segment.seq.wrapping_sub(1));
    }
    Decision::forward(word.backend(), Reason::Embryonic)
}

/// From now on the hint in the entry of a translated flow is its client's ack.
#[inline(always)]
fn note_first_ack<F: Family, E: Env>(env: &E, number: u32, ack: u32) {
    if let Some(entry) = F::entry(env, number) {
        entry.set_client_ack(ack);
    }
}

/// Holds the client's pin and writes the flow; whether the connection is tracked now.
#[inline(always)]
fn make_flow<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
    key: &KeyOf<F::Flows>,
    embryo: FlowWord,
    hint: u32,
) -> bool {
    let tcp = segment.proto == PROTO_TCP;
    let (gauge, limit, state) = if tcp {
        (F::FRESH, env.settings().fresh_limit, FlowState::FRESH)
    } else {
        (F::UDP, env.settings().udp_limit, FlowState::UDP)
    };
    if env.gauge_value(gauge) >= limit {
        env.gauge(F::UNTRACKED, 1);
        return false;
    }
    let counted = env.hold_pin::<F>(key, listener.0, embryo.backend());
    let word = FlowWord(0)
        .with_backend(embryo.backend())
        .with_state(state)
        .with_counted(counted)
        .with_dport(embryo.dport())
        .with_seen(env.now().flow);
    if env.record::<F>(key, word.bits(), hint) {
        env.gauge(gauge, 1);
        env.transition(word.backend(), Transition::Opened);
        return true;
    }
    if counted {
        env.release_pin::<F>(key);
    }
    false
}

/// Counts the flow in its client's pin, which is made or moved if need be.
#[inline(always)]
pub fn hold_pin<F: Family, E: Env>(
    env: &E,
    key: &KeyOf<F::Flows>,
    listener: Listener<'_, E::Line>,
    backend: u16,
) -> bool {
    if !listener.by_client() {
        return false;
    }
    let client = F::mask(F::client_of(key), listener);
    let lifetime = place::tentative_lifetime(env.settings(), listener);
    let key = F::pin_key(client, listener.service());
    pin::hold::<F, E>(env, &key, backend, listener.affinity_timeout(), lifetime)
}

/// Writes the flow: in place of an old one with the same key, or in a slot of its own.
#[inline(always)]
pub fn record<F: Family, E: Steps>(env: &E, key: &KeyOf<F::Flows>, word: u64, hint: u32) -> bool {
    let word = FlowWord(word);
    let hash = F::FlowSlots::hash(key, &env.settings().index_key);
    if let Some(mut old) = bucket::find::<F::Flows, E>(env, hash, key) {
        let before = old.word;
        // Equal but for the pin: another CPU has just made the same flow.
        let made = before.with_counted(word.counted()).bits() == word.in_slot_of(before).bits();
        if made || !old.change::<F::FlowSlots>(word.in_slot_of(before)) {
            return false;
        }
        let given_up = F::FlowSlots::hint(old.line, old.slot);
        F::FlowSlots::write_hint(old.line, old.slot, hint);
        env.freed::<F>(key, given_up);
        env.ended::<F>(key, before, Transition::Expired);
        return true;
    }
    let evict = EvictFlows::<F>(PhantomData);
    match insert::<F::Flows, E, _>(env, hash, key, word, hint, &evict) {
        Inserted::New(_) => true,
        Inserted::Existing(_) | Inserted::Busy => false,
        Inserted::Full => {
            env.gauge(F::UNTRACKED, 1);
            false
        }
    }
}

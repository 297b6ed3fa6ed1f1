//! Address translation, towards the client: what a backend answers comes from the service address.
//!
//! The answer's own source tells the backend's [origin]. Where the client's address is kept, it is the answer's
//! destination; else the port that the answer is for names an entry, and that its client.

use super::{
    decision::Verdict,
    family::Family,
    forward,
    rewrite::{Headers, rewrite},
    steps::Steps,
    translate::find,
};
use crate::{
    env::{Env, Signal, Transition},
    packet::Packet,
    parse::{
        PROTO_TCP,
        transport::{Segment, TcpFlags},
    },
    reason::Reason,
    table::{
        backend::NextHop,
        bucket::{self, KeyOf, Place},
        key::Slots,
        line::Line,
        listener::{self, Listener, Root},
        nat::{self, Entry},
        origin::{self, Origin},
        words::{FlowState, FlowWord},
    },
};

type Flow<'a, E> = Place<'a, <E as Env>::Line, FlowWord>;

/// Key of the flow of this client, whose listener's line this is.
#[inline(always)]
pub(super) fn key_of<F: Family, L: Line>(
    client: F::Address,
    port: u16,
    listener: Listener<'_, L>,
    asked: u16,
) -> KeyOf<F::Flows> {
    let dport = if listener.wildcard() { asked } else { 0 };
    F::flow_key(client, port, listener.number(), dport)
}

/// Whether an answer from this port may be to a client of a listener: where an origin leaves its port open, it is the one
/// that was asked.
#[inline(always)]
pub(super) fn is_asked<L: Line>(open: bool, listener: Listener<'_, L>, port: u16) -> bool {
    !open || listener.wildcard() || listener.port() == port
}

/// What an answer comes to before it is sent.
pub mod answer {
    /// It is no answer.
    pub const NONE: u32 = u32::MAX;
    /// Its connection is no more: its sender is to be told.
    pub const REFUSE: u32 = u32::MAX - 1;
    /// Its connection is no more, and nobody is told.
    pub const STRAY: u32 = u32::MAX - 2;
}

/// The number of the entry of a backend's answer, of which it takes note; or one of [`answer`]. The flow is looked at once a
/// tick, as long as nothing happens to it.
#[inline(always)]
pub fn entry_of<F: Family, E: Steps>(env: &E, segment: &Segment<F::Address>, root: Root) -> u32 {
    let key = origin::key(F::wide(segment.source), segment.sport, segment.proto);
    let Some(origin) = origin::find(env, root, &key) else { return answer::NONE };
    let number = match origin.entry(F::words(segment.destination), F::IS_V4, segment.dport) {
        Some(number) => number,
        None => kept::<F, E>(env, origin, (segment.destination, segment.dport), segment.sport),
    };
    let Some(entry) = F::entry(env, number) else { return answer::NONE };
    let special = TcpFlags::SYN | TcpFlags::RST;
    if !segment.flags.any(special) && entry.heard(env.now().flow, segment.proto, segment.sport) {
        if segment.flags.any(TcpFlags::ACK) {
            entry.set_backend_ack(segment.ack);
        }
        return number;
    }
    let (client, port, listener) = F::owner(entry);
    let Some(listener) = listener::by_number(env, listener) else { return stray(segment) };
    let key = key_of::<F, _>(client, port, listener, segment.sport);
    let Some(place) = having::<F, E>(env, &key, number) else { return stray(segment) };
    // Segments and datagrams share the ports of a block.
    let belongs = listener.is_of(segment.proto) && is_asked(origin.open(), listener, segment.sport);
    if !listener.nat() || !belongs || place.word.state() == FlowState::RESET {
        return stray(segment);
    }
    seen::<F, E>(env, segment, &key, place, entry);
    if !segment.flags.any(TcpFlags::RST) {
        entry.set_heard(env.now().flow, segment.proto, segment.sport);
    }
    number
}

/// Sends a backend's answer to the client that has this entry. `ingress` is the end that it came in by.
#[inline(always)]
pub fn back<F: Family, E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    segment: &Segment<F::Address>,
    number: u32,
    ingress: NextHop,
) -> Verdict {
    let Some(entry) = F::entry(env, number) else { return forward::dropped(env, Reason::TableError) };
    let (_, port, listener) = F::owner(entry);
    let Some(listener) = listener::by_number(env, listener) else {
        return forward::dropped(env, Reason::NatStray);
    };
    let sport = if listener.wildcard() { segment.sport } else { listener.port() };
    let hop = entry.hop();
    if hop.mac() == 0 {
        return forward::dropped(env, Reason::NoNeighbour);
    }
    let at = Headers::of(segment);
    if F::hops(packet, at.ip) <= 1 {
        return forward::dropped(env, Reason::TtlExpired);
    }
    let service = || F::narrow(listener.key().address);
    match forward::egress(env, ingress, hop) {
        Some((verdict, mac))
            if rewrite::<F, P>(packet, at, service, || F::owner(entry).0, (sport, port))
                && packet.store_macs(hop.mac(), mac) =>
        {
            env.count(Reason::Back);
            verdict
        }
        _ => forward::dropped(env, Reason::TableError),
    }
}

/// The flow with this key that has this entry, or the embryonic one: both are there while a new connection takes the
/// place of an old one.
#[inline(always)]
pub(super) fn having<'a, F: Family, E: Env>(
    env: &'a E,
    key: &KeyOf<F::Flows>,
    number: u32,
) -> Option<Flow<'a, E>> {
    let hash = F::FlowSlots::hash(key, &env.settings().index_key);
    if let Some(place) = bucket::find::<F::Flows, E>(env, hash, key)
        && F::FlowSlots::hint(place.line, place.slot) == number
    {
        return Some(place);
    }
    let place = bucket::find::<F::Embryonic, E>(env, hash, key)?;
    (F::FlowSlots::hint(place.line, place.slot) == number).then_some(place)
}

/// The entry of an answer to a client whose address was kept; [`nat::NONE`] if it is none.
#[inline(always)]
pub(super) fn kept<F: Family, E: Env>(
    env: &E,
    origin: Origin<'_, E::Line>,
    client: (F::Address, u16),
    asked: u16,
) -> u32 {
    let mut numbers = origin.kept();
    for _ in 0..origin::KEPT {
        if let Some(listener) = listener::by_number(env, numbers as u16)
            && is_asked(origin.open(), listener, asked)
        {
            let key = key_of::<F, _>(client.0, client.1, listener, asked);
            if let Some(place) = find::<F, E>(env, &key) {
                return F::FlowSlots::hint(place.line, place.slot);
            }
        }
        numbers >>= 16;
    }
    nat::NONE
}

/// A packet to a port of translated flows that belongs to none: its sender is told, if it is TCP's.
#[inline(always)]
const fn stray<A>(segment: &Segment<A>) -> u32 {
    match segment.proto == PROTO_TCP && !segment.flags.any(TcpFlags::RST) {
        true => answer::REFUSE,
        false => answer::STRAY,
    }
}

/// Takes note of what a backend says.
#[inline(always)]
fn seen<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    key: &KeyOf<F::Flows>,
    mut place: Flow<'_, E>,
    entry: Entry<'_, E::Line>,
) {
    let word = place.word;
    let now = env.now().flow;
    let live = matches!(word.state(), FlowState::FRESH | FlowState::ESTABLISHED);
    if segment.flags.any(TcpFlags::ACK) {
        entry.set_backend_ack(segment.ack);
    }
    if segment.flags.any(TcpFlags::RST) {
        env.signal(word.backend(), Signal::Reset, 1);
        let new = word.with_state(FlowState::CLOSING).with_counted(false).with_seen(now);
        if live && place.change::<F::FlowSlots>(new) {
            // What its client sent before it heard does not revive it.
            entry.set_client_ack(entry.backend_ack());
            env.ended::<F>(key, word, Transition::Closed);
        }
        return;
    }
    if segment.flags.any(TcpFlags::SYN) {
        let begun = entry.take_begun();
        if begun != 0 {
            env.signal(word.backend(), Signal::Accepted, 1);
            env.signal(word.backend(), Signal::AcceptedAfter, u64::from(env.micros().wrapping_sub(begun)));
        }
    }
    // A fresh flow's last-seen stands still until its client's next packet.
    if word.seen() != now && word.state() != FlowState::FRESH {
        place.change::<F::FlowSlots>(word.with_seen(now));
    }
}

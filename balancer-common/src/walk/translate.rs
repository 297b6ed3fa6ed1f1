//! Address translation (mode `nat`), towards the backend: its address and port take the service's place, and one of the
//! balancer's own takes the client's, unless the client's is kept.
//!
//! A connection has an entry from its first packet on, whose number says the port (see [`ports`]). It is found by what
//! stands beside the flow, or the embryonic one.

use super::{
    decision::{Decision, Verdict},
    family::Family,
    forward,
    rewrite::{Headers, rewrite},
    steps::Steps,
};
use crate::{
    env::{Env, Signal},
    packet::Packet,
    parse::{
        PROTO_TCP, link,
        transport::{Segment, TcpFlags},
    },
    reason::Reason,
    table::{
        backend::NextHop,
        bucket::{self, KeyOf, Place},
        hint,
        key::Slots,
        line::Line,
        listener::{self, ListenerKey},
        nat, ports,
        way::{self, WayLine, Words},
        words::FlowWord,
    },
};

/// Takes a port for a segment's connection to a backend, and writes whose it is: the number of its entry, or
/// [`nat::NONE`] if no port is free.
#[inline(always)]
pub fn take_port<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: u16,
    backend: u16,
) -> u32 {
    let Some(way) = way::find(env, backend, F::IS_V4) else { return nat::NONE };
    let block = way.block();
    if block.words == 0 {
        return nat::NONE;
    }
    let sources = 1u32 << (way.facts().host_bits() & 31);
    let [a, b, c, d] = F::words(segment.source);
    let ends = u32::from(segment.sport) | u32::from(listener) << 16;
    let hash = env.settings().index_key.start().piece::<0>(a ^ b ^ c ^ d).piece::<1>(ends).finish();
    let look = |word, from| match env.take_in::<F>(word, from) {
        nat::NONE => None,
        number => Some(number),
    };
    let Some(number) = ports::take(block, sources, hash, look) else {
        env.signal(backend, Signal::OutOfPorts, 1);
        return nat::NONE;
    };
    let Some(entry) = F::entry(env, number) else { return nat::NONE };
    let place = number - block.base;
    let (source, port) = (place / block.ports(), block.first as u32 + place % block.ports());
    let syn = segment.proto == PROTO_TCP && segment.flags.any(TcpFlags::SYN);
    let begun = if syn { env.micros() | nat::BEGUN } else { 0 };
    F::own(entry, segment.source, segment.sport, listener);
    entry.set_port_and_source(port as u16, source as u16, begun);
    entry.set_backend_ack(0);
    entry.set_hop(NextHop(0));
    if syn {
        env.signal(backend, Signal::Began, 1);
    }
    number
}

/// A flow or an embryonic one with this key.
#[inline(always)]
pub(super) fn find<'a, F: Family, E: Env>(
    env: &'a E,
    key: &KeyOf<F::Flows>,
) -> Option<Place<'a, E::Line, FlowWord>> {
    let hash = F::FlowSlots::hash(key, &env.settings().index_key);
    match bucket::find::<F::Flows, E>(env, hash, key) {
        Some(place) => Some(place),
        None => bucket::find::<F::Embryonic, E>(env, hash, key),
    }
}

/// The number of the entry of a segment's connection to a backend; [`nat::NONE`] if it has none. While a new connection
/// takes the place of an old one with the same ports, it is the new one's.
#[inline(always)]
pub fn entry_of<F: Family, E: Env>(env: &E, segment: &Segment<F::Address>, backend: u16) -> u32 {
    let wanted =
        ListenerKey { address: F::wide(segment.destination), port: segment.dport, proto: segment.proto };
    let Some((_, listener)) = listener::find_for_packet(env, listener::root(env), &wanted) else {
        return nat::NONE;
    };
    let key = F::segment_key(segment, listener);
    let hash = F::FlowSlots::hash(&key, &env.settings().index_key);
    if let Some(place) = bucket::find::<F::Embryonic, E>(env, hash, &key)
        && place.word.backend() == backend
    {
        return F::FlowSlots::hint(place.line, place.slot);
    }
    match bucket::find::<F::Flows, E>(env, hash, &key) {
        Some(place) if place.word.backend() == backend => F::FlowSlots::hint(place.line, place.slot),
        _ => nat::NONE,
    }
}

/// Where the client's packets come from, for the way back.
#[inline(always)]
fn last_hop<P: Packet>(packet: &P, ingress: NextHop) -> NextHop {
    link::source(packet).map_or(NextHop(0), |mac| NextHop(mac | u64::from(ingress.interface()) << 48))
}

/// The source address with this number.
#[inline(always)]
pub(super) fn source<F: Family, L: Line>(way: WayLine<'_, L>, number: u16) -> F::Address {
    let mut words: Words = [way.source(0), 0, 0, 0];
    if F::IS_V4 {
        words[0] |= (number as u32).to_be();
    } else {
        words = [way.source(0), way.source(1), way.source(2), way.source(3) | (number as u32).to_be()];
    }
    F::of_words(words)
}

/// The backend's address.
#[inline(always)]
pub(super) fn destination<F: Family, L: Line>(way: WayLine<'_, L>) -> F::Address {
    if F::IS_V4 {
        return F::of_words([way.destination(0), 0, 0, 0]);
    }
    F::of_words([way.destination(0), way.destination(1), way.destination(2), way.destination(3)])
}

/// Sends a packet on to its backend, translated by the entry of its connection. `ingress` is the end
/// that it came in by.
#[inline(always)]
pub fn forth<F: Family, E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    segment: &Segment<F::Address>,
    decision: Decision,
    number: u32,
    ingress: NextHop,
) -> Verdict {
    // First of all: behind checks of what stands further on, the compiler finds this one's superfluous.
    let from = last_hop(packet, ingress);
    let (Some(way), Some(entry)) = (way::find(env, decision.backend(), F::IS_V4), F::entry(env, number))
    else {
        return forward::dropped(env, Reason::TableError);
    };
    let hop = way.hop();
    if hop.mac() == 0 {
        return forward::dropped(env, Reason::NoNeighbour);
    }
    let at = Headers::of(segment);
    let facts = way.facts();
    if F::hops(packet, at.ip) <= 1 {
        return forward::dropped(env, Reason::TtlExpired);
    }
    if facts.mtu() != 0 && F::size(packet, at.ip).is_none_or(|size| size > u32::from(facts.mtu())) {
        return Verdict::too_big(u32::from(facts.mtu()));
    }
    // Of others the hint is something else, or was noted with the flow's state.
    if decision.notes_ack()
        && let Some(ack) = hint::advanced(segment, entry.client_ack())
    {
        entry.set_client_ack(ack);
    }
    if entry.hop() != from {
        entry.set_hop(from);
    }
    let (port, number) = entry.port_and_source();
    let own = || if facts.keep() { segment.source } else { source::<F, _>(way, number) };
    let sport = if facts.keep() { segment.sport } else { port };
    let dport = if facts.port() == 0 { segment.dport } else { facts.port() };
    let bytes = packet.length();
    match forward::egress(env, ingress, hop) {
        Some((verdict, mac))
            if rewrite::<F, P>(packet, at, own, || destination::<F, _>(way), (sport, dport))
                && packet.store_macs(hop.mac(), mac) =>
        {
            env.forwarded(decision.backend(), decision.reason_index(), bytes);
            verdict
        }
        _ => forward::dropped(env, Reason::TableError),
    }
}

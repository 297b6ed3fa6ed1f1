//! ICMP errors about packets that were translated: they quote what nobody else knows, so that the quote is translated too
//! (RFC 5508, 4).
//!
//! Towards the backend: an error to the service address, about what the service sent to a client. Towards the client: an
//! error to an address of the balancer's, or to the client where its address is kept, about what was sent to a
//! backend. The error's own source becomes the address that its receiver knows. The checksum of the quoted segment stays:
//! nobody checks it, and mostly it is cut off.

use super::{
    back as answers,
    decision::Verdict,
    family::Family,
    forward,
    rewrite::both,
    steps::Steps,
    translate::{self, destination, source},
};
use crate::{
    checksum::ChecksumUpdate,
    env::Env,
    packet::{Packet, View as _},
    parse::{IpHeader, icmp, link},
    reason::Reason,
    table::{
        backend::{self, NextHop},
        interface,
        key::Slots,
        listener::{self, ListenerKey},
        nat, origin, way,
    },
};

/// Which way an error goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// To the backend.
    Backend,
    /// To the client.
    Client,
}

/// Where the parts of an error stand, in one register: IP header 8 · protocol number of the quoted packet 8 · ICMP header
/// 16 · quoted IP header 16 · ports behind that 16. 0 = it is no error that quotes ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts(pub u64);

impl Parts {
    /// Of the error in a frame.
    #[inline(always)]
    pub fn of<F: Family, P: Packet>(packet: &P) -> Self {
        const NONE: Parts = Parts(0);
        let Some(link) = link::parse(packet) else { return NONE };
        let Some(IpHeader { payload: Ok(icmp), .. }) = F::parse(packet, link.next) else { return NONE };
        let Some(quoted) = icmp::quoted(packet, icmp) else { return NONE };
        let Some(IpHeader { payload: Ok(inner), .. }) = F::parse_quoted(packet, quoted) else { return NONE };
        if icmp::quoted_ports(packet, icmp, inner).is_none() {
            return NONE;
        }
        let places =
            (icmp.at & 0xffff) as u64 | ((quoted & 0xffff) as u64) << 16 | ((inner.at & 0xffff) as u64) << 32;
        Self(link.next as u64 | (inner.proto as u64) << 8 | places << 16)
    }

    const fn ip(self) -> u32 {
        self.0 as u32 & 0xff
    }

    const fn proto(self) -> u8 {
        (self.0 >> 8) as u8
    }

    const fn icmp(self) -> u32 {
        (self.0 >> 16) as u32 & 0xffff
    }

    const fn quoted(self) -> u32 {
        (self.0 >> 32) as u32 & 0xffff
    }

    const fn ports(self) -> u32 {
        (self.0 >> 48) as u32
    }
}

/// The connection that an error is about, in one register: number of its entry 32 · backend 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About(pub u64);

impl About {
    /// Nothing that is known.
    pub const NOTHING: Self = Self(nat::NONE as u64);

    const fn entry(self) -> u32 {
        self.0 as u32
    }

    const fn backend(self) -> u16 {
        (self.0 >> 32) as u16
    }
}

/// Source and destination port at `at`.
#[inline(always)]
fn ports<P: Packet>(packet: &P, at: u32) -> Option<(u16, u16)> {
    let ports = packet.view::<4>(at)?.be32(0);
    Some(((ports >> 16) as u16, ports as u16))
}

/// The connection that an error is about.
#[inline(always)]
pub fn about<F: Family, E: Env, P: Packet>(env: &E, packet: &P, at: Parts, towards: Towards) -> About {
    let Some((sport, dport)) = ports(packet, at.ports()) else { return About::NOTHING };
    let Some(source) = F::address_at(packet, at.quoted() + F::PLACES.source) else { return About::NOTHING };
    let Some(destination) = F::address_at(packet, at.quoted() + F::PLACES.destination) else {
        return About::NOTHING;
    };
    let root = listener::root(env);
    let (number, asked, open) = match towards {
        Towards::Client => {
            let key = origin::key(F::wide(destination), dport, at.proto());
            let Some(origin) = origin::find(env, root, &key) else { return About::NOTHING };
            let number = match origin.entry(F::words(source), F::IS_V4, sport) {
                Some(number) => number,
                None => answers::kept::<F, E>(env, origin, (source, sport), dport),
            };
            (number, dport, origin.open())
        }
        Towards::Backend => {
            let key = ListenerKey { address: F::wide(source), port: sport, proto: at.proto() };
            let Some((_, listener)) = listener::find_for_packet(env, root, &key) else {
                return About::NOTHING;
            };
            let key = answers::key_of::<F, _>(destination, dport, listener, sport);
            let number = translate::find::<F, E>(env, &key)
                .map_or(nat::NONE, |place| F::FlowSlots::hint(place.line, place.slot));
            (number, sport, true)
        }
    };
    // A port of nobody's, or of another connection by now: the flow says whether it is still its own.
    match backend_of::<F, E>(env, number, (asked, open), at.proto()) {
        0 => About::NOTHING,
        backend => About(number as u64 | (backend as u64) << 32),
    }
}

/// The number of the backend of the flow that has this entry; 0 if it is no more, or is not of this protocol. `asked` is the
/// port that the client asked, if the backend's is `open`.
#[inline(always)]
fn backend_of<F: Family, E: Env>(env: &E, number: u32, (asked, open): (u16, bool), proto: u8) -> u16 {
    let Some(entry) = F::entry(env, number) else { return 0 };
    let (client, port, listener) = F::owner(entry);
    let Some(listener) = listener::by_number(env, listener) else { return 0 };
    if !listener.is_of(proto) || !answers::is_asked(open, listener, asked) {
        return 0;
    }
    let key = answers::key_of::<F, _>(client, port, listener, asked);
    answers::having::<F, E>(env, &key, number).map_or(0, |place| place.word.backend())
}

/// Sends an error on to the backend, translated.
#[inline(always)]
pub fn forth<F: Family, E: Steps, P: Packet>(env: &E, packet: &mut P, at: Parts, about: About) -> Verdict {
    let (Some(entry), Some(way)) = (F::entry(env, about.entry()), way::find(env, about.backend(), F::IS_V4))
    else {
        return forward::dropped(env, Reason::TableError);
    };
    // As of any other packet: nobody else knows the connection.
    if !backend::serving(env, about.backend()).flows() {
        return forward::dropped(env, Reason::NoBackend);
    }
    let Some((sport, dport)) = ports(packet, at.ports()) else {
        return forward::dropped(env, Reason::TableError);
    };
    let (facts, (own_port, own)) = (way.facts(), entry.port_and_source());
    let sport = if facts.port() == 0 { sport } else { facts.port() };
    let ports = both(sport, if facts.keep() { dport } else { own_port });
    let ours = || if facts.keep() { F::owner(entry).0 } else { source::<F, _>(way, own) };
    let bytes = at.ip() + F::size(packet, at.ip()).unwrap_or(0);
    match leave::<F, E, P>(env, packet, way.hop(), at) {
        Verdict::DROP => Verdict::DROP,
        verdict
            if rewrite::<F, E, P>(env, packet, at, ports, !facts.keep(), ours, || {
                destination::<F, _>(way)
            }) =>
        {
            env.forwarded(about.backend(), Reason::IcmpError.index(), bytes);
            verdict
        }
        _ => forward::dropped(env, Reason::TableError),
    }
}

/// Sends an error on to the client, translated.
#[inline(always)]
pub fn back<F: Family, E: Steps, P: Packet>(env: &E, packet: &mut P, at: Parts, about: About) -> Verdict {
    let Some(entry) = F::entry(env, about.entry()) else { return forward::dropped(env, Reason::TableError) };
    let (_, port, listener) = F::owner(entry);
    let (Some(listener), Some((_, dport))) = (listener::by_number(env, listener), ports(packet, at.ports()))
    else {
        return forward::dropped(env, Reason::TableError);
    };
    let ports = both(port, if listener.wildcard() { dport } else { listener.port() });
    let service = || F::narrow(listener.key().address);
    match leave::<F, E, P>(env, packet, entry.hop(), at) {
        Verdict::DROP => Verdict::DROP,
        verdict if rewrite::<F, E, P>(env, packet, at, ports, true, service, || F::owner(entry).0) => {
            env.count(Reason::IcmpErrorBack);
            verdict
        }
        _ => forward::dropped(env, Reason::TableError),
    }
}

/// Readies the frame for its next hop.
#[inline(always)]
fn leave<F: Family, E: Env, P: Packet>(env: &E, packet: &mut P, hop: NextHop, at: Parts) -> Verdict {
    if hop.mac() == 0 {
        return forward::dropped(env, Reason::NoNeighbour);
    }
    if F::hops(packet, at.ip()) <= 1 {
        return forward::dropped(env, Reason::TtlExpired);
    }
    let ingress = interface::find(env, packet.ingress());
    match ingress.and_then(|ingress| forward::egress(env, ingress.end(), hop)) {
        Some((verdict, own)) if packet.store_macs(hop.mac(), own) => verdict,
        _ => forward::dropped(env, Reason::TableError),
    }
}

/// Puts the ends into an error that its receiver knows: it comes `from` (if that changes) and goes `to`, and so the
/// quoted packet goes the other way.
#[inline(always)]
fn rewrite<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    at: Parts,
    ports: u32,
    changes_source: bool,
    from: impl Fn() -> F::Address,
    to: impl Fn() -> F::Address,
) -> bool {
    let mut outer = ChecksumUpdate::none();
    if changes_source {
        let Some(sum) = env.put::<F, P>(packet, at.ip() + F::PLACES.source, from()) else { return false };
        outer = sum;
    }
    let Some(sum) = env.put::<F, P>(packet, at.ip() + F::PLACES.destination, to()) else { return false };
    outer = outer.and(sum);
    let Some(sum) = env.put::<F, P>(packet, at.quoted() + F::PLACES.source, to()) else { return false };
    let mut inner = sum;
    let Some(sum) = env.put::<F, P>(packet, at.quoted() + F::PLACES.destination, from()) else {
        return false;
    };
    inner = inner.and(sum);
    let Some(old) = packet.view::<4>(at.ports()).map(|view| view.u32(0)) else { return false };
    let changed = ChecksumUpdate::none().remove_u32(old).add_u32(ports);
    // Of a quoted IPv4 header the sum stays what it was, its own checksum included; ICMPv6 sums up the addresses of both
    // headers (RFC 4443, 2.3).
    let changed = if F::IS_V4 { changed } else { changed.and(outer).and(inner) };
    packet.store_words(at.ports(), &[ports])
        && F::mend_quoted(packet, at.quoted(), inner)
        && mend(packet, at.icmp() + 2, changed)
        && F::age(packet, at.ip(), outer)
}

/// Mends the checksum at `at`.
#[inline(always)]
pub(super) fn mend<P: Packet>(packet: &mut P, at: u32, changed: ChecksumUpdate) -> bool {
    let Some(old) = packet.view::<2>(at).map(|view| view.be16(0).to_be()) else { return false };
    packet.store_u16(at, ChecksumUpdate::new(old).and(changed).finish())
}

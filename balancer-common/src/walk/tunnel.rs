//! Puts a packet into an IP tunnel to its backend (mode `ipip`): RFC 2003 and 4213 where the outer header is IPv4, RFC 2473
//! where it is IPv6.
//!
//! - The inner TTL or hop limit is one less, as of any packet that is sent on (RFC 2003, 3.1): a loop comes to an end.
//! - Outer ToS or traffic class: the inner one, ECN included (RFC 6040, 4.1, normal mode).
//! - DF: the inner one (RFC 2003, 3.1); of an IPv6 packet, which nobody on the way may fragment: set.
//! - Outer source: the hash of the flow in the bits that may be anything, so that a receiver's queues share the flows;
//!   with IPv6 in the flow label too (RFC 6438).

use super::{
    answer::EMPTY,
    decision::{Decision, Verdict},
    family::Family,
    forward,
};
use crate::{
    checksum::ChecksumUpdate,
    env::Env,
    packet::{Packet, View},
    parse::{
        PROTO_TCP, PROTO_UDP,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    },
    reason::Reason,
    table::{backend::NextHop, line::Line, way::WayLine},
};

/// Protocol number of IPv4 in IP.
pub const PROTO_IPIP: u8 = 4;
/// Protocol number of IPv6 in IP.
pub const PROTO_IPV6: u8 = 41;
/// TTL and hop limit of the outer header (RFC 2003, 3.1; RFC 2473, 6.3).
const TTL: u8 = 64;
/// Don't fragment, in the IPv4 header's word of flags and fragment offset.
const DONT_FRAGMENT: u16 = 0x4000;
/// Bytes of the link-layer header without tags.
const UNTAGGED: u32 = 14;

/// What the outer header needs to know of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Inner {
    /// Bytes of the packet, its header included.
    pub length: u32,
    /// ToS or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Identification, host order, and whether it may be fragmented; an IPv6 packet may not.
    pub id: Option<u16>,
    /// Hash of its flow.
    pub spread: u32,
}

/// Hash of a flow, from the words that tell it apart.
#[inline(always)]
const fn spread(a: u32, b: u32, ports: u32) -> u32 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = ((a ^ b.rotate_left(16)) as u64 ^ (ports as u64) << 32).wrapping_mul(MIX);
    // Once more: the lower bits of a product know nothing of the upper ones of its factors.
    ((mixed ^ mixed >> 32).wrapping_mul(MIX) >> 32) as u32
}

/// The ports behind an IP header.
#[inline(always)]
fn ports<P: Packet>(packet: &P, proto: u8, at: u32) -> u32 {
    match proto {
        PROTO_TCP | PROTO_UDP => packet.view::<4>(at).map_or(0, |ports| ports.u32(0)),
        _ => 0,
    }
}

/// Reads the IPv4 header at `at`.
#[inline(always)]
pub(super) fn inner4<P: Packet>(packet: &P, at: u32) -> Option<Inner> {
    let header = packet.view::<20>(at)?;
    let ports = ports(packet, header.u8(9), at + u32::from(header.u8(0) & 0xf) * 4);
    Some(Inner {
        length: u32::from(header.be16(2)),
        tos: header.u8(1),
        ttl: header.u8(8),
        id: (header.be16(6) & DONT_FRAGMENT == 0).then_some(header.be16(4)),
        spread: spread(header.u32(12), header.u32(16), ports),
    })
}

/// Reads the IPv6 header at `at`.
#[inline(always)]
pub(super) fn inner6<P: Packet>(packet: &P, at: u32) -> Option<Inner> {
    let header = packet.view::<40>(at)?;
    let ports = ports(packet, header.u8(6), at + 40);
    let (high, low) = (header.u64(8), header.u64(16));
    let source = high ^ low;
    Some(Inner {
        length: 40 + u32::from(header.be16(4)),
        tos: header.u8(0) << 4 | header.u8(1) >> 4,
        ttl: header.u8(7),
        id: None,
        spread: spread(source as u32, (source >> 32) as u32, ports),
    })
}

/// Bytes of the outer header.
#[inline(always)]
const fn outer_length(v6: bool) -> u32 {
    if v6 { 40 } else { 20 }
}

/// Wraps a packet and sends it on its way; [`Verdict::too_big`] if it does not fit.
#[inline(always)]
pub fn wrap<F: Family, E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    decision: Decision,
    way: WayLine<'_, E::Line>,
    ingress: NextHop,
) -> Verdict {
    let bytes = packet.length();
    let Some(link) = link::parse(packet) else { return forward::dropped(env, Reason::TableError) };
    let Some(inner) = F::inner(packet, link.next) else { return forward::dropped(env, Reason::TableError) };
    if inner.ttl <= 1 {
        return forward::dropped(env, Reason::TtlExpired);
    }
    let facts = way.facts();
    let outer = outer_length(facts.v6());
    if facts.mtu() != 0 && inner.length + outer > u32::from(facts.mtu()) {
        return Verdict::too_big(u32::from(facts.mtu()) - outer);
    }
    let Some((verdict, own)) = forward::egress(env, ingress, way.hop()) else {
        return forward::dropped(env, Reason::TableError);
    };
    let done = F::age(packet, link.next, ChecksumUpdate::none())
        && grow(packet, bytes, link.next, outer, facts.v6())
        && packet.store_macs(way.hop().mac(), own)
        && match facts.v6() {
            false => packet.store_words(link.next, &header4::<F, _>(way, &inner)),
            true => packet.store_words(link.next, &header6::<F, _>(way, &inner)),
        };
    if !done {
        return forward::dropped(env, Reason::TableError);
    }
    env.forwarded(decision.backend(), decision.reason_index(), bytes);
    verdict
}

/// Makes room for an outer header behind the link-layer header, which it moves. The MAC addresses are left to the caller.
#[inline(always)]
fn grow<P: Packet>(packet: &mut P, bytes: u32, next: u32, outer: u32, v6: bool) -> bool {
    let ethertype = if v6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
    if next == UNTAGGED {
        return packet.resize(bytes + outer) && packet.store_u16(UNTAGGED - 2, ethertype.to_be());
    }
    // Tags and ethertype, and up to four bytes behind them, which the outer header overwrites.
    let Some(view) = packet.view::<12>(12) else { return false };
    let tags = [view.u32(0), view.u32(4), view.u32(8)];
    packet.resize(bytes + outer)
        && packet.store_words(12, &tags)
        && packet.store_u16(next - 2, ethertype.to_be())
}

/// Two numbers of 16 bits in network order, in memory order.
#[inline(always)]
const fn pair(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

#[inline(always)]
const fn protocol<F: Family>() -> u8 {
    if F::IS_V4 { PROTO_IPIP } else { PROTO_IPV6 }
}

/// The outer IPv4 header.
#[inline(always)]
fn header4<F: Family, L: Line>(way: WayLine<'_, L>, inner: &Inner) -> [u32; 5] {
    let mask = (1u32 << (way.facts().host_bits() & 31)) - 1;
    let source = way.source(0) | (inner.spread & mask).to_be();
    let destination = way.destination(0);
    let first = pair(0x4500 | inner.tos as u16, (inner.length + outer_length(false)) as u16);
    let fragments = match inner.id {
        Some(id) => pair(id, 0),
        None => pair(0, DONT_FRAGMENT),
    };
    let ttl = u16::from_be_bytes([TTL, protocol::<F>()]);
    let sum = ChecksumUpdate::new(EMPTY)
        .add_u32(first)
        .add_u32(fragments)
        .add_u16(ttl.to_be())
        .add_u32(source)
        .add_u32(destination)
        .finish();
    [first, fragments, pair(ttl, u16::from_be(sum)), source, destination]
}

/// The outer IPv6 header.
#[inline(always)]
fn header6<F: Family, L: Line>(way: WayLine<'_, L>, inner: &Inner) -> [u32; 10] {
    let mask = (1u32 << (way.facts().host_bits() & 31)) - 1;
    let label = inner.spread >> 12;
    let first = (6 << 28 | (inner.tos as u32) << 20 | label).to_be();
    let second = pair(inner.length as u16, u16::from_be_bytes([protocol::<F>(), TTL]));
    let source = |word: usize| way.source(word);
    let destination = |word: usize| way.destination(word);
    let last = source(3) | (inner.spread & mask).to_be();
    [
        first,
        second,
        source(0),
        source(1),
        source(2),
        last,
        destination(0),
        destination(1),
        destination(2),
        destination(3),
    ]
}

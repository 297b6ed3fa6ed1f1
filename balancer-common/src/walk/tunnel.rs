//! Puts a packet into an IP tunnel to its backend (mode `ipip`): RFC 2003 and 4213 where the outer header is IPv4, RFC 2473
//! where it is IPv6.
//!
//! - The inner TTL or hop limit is one less, as of any packet that is sent on (RFC 2003, 3.1): a loop comes to an end.
//! - Outer ToS or traffic class: the inner one, ECN included (RFC 6040, 4.1, normal mode).
//! - DF: the inner one (RFC 2003, 3.1); of an IPv6 packet, which nobody on the way may fragment: set.
//! - Outer source: the hash of the flow in the bits that may be anything, so that a receiver's queues share the flows;
//!   with IPv6 in the flow label too (RFC 6438).

pub mod outer;

use super::{
    decision::{Decision, Verdict},
    family::Family,
    forward,
};
use crate::{
    env::Env,
    packet::{Packet, View},
    parse::link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    reason::Reason,
    table::{backend::NextHop, line::Line, way::WayLine},
};

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

/// Reads the IPv4 header at `at` of a packet of the flow with these ports.
#[inline(always)]
pub(super) fn inner4<P: Packet>(packet: &P, at: u32, ports: u32) -> Option<Inner> {
    let header = packet.view::<20>(at)?;
    Some(Inner {
        length: u32::from(header.be16(2)),
        tos: header.u8(1),
        ttl: header.u8(8),
        id: (header.be16(6) & DONT_FRAGMENT == 0).then_some(header.be16(4)),
        spread: spread(header.u32(12), header.u32(16), ports),
    })
}

/// As [`inner4`], of an IPv6 header.
#[inline(always)]
pub(super) fn inner6<P: Packet>(packet: &P, at: u32, ports: u32) -> Option<Inner> {
    let header = packet.view::<40>(at)?;
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

/// Wraps a packet whose IP header is at `at` and sends it on its way (`ports` are its flow's, 0 if it is of none); [`Verdict::too_big`] if it does not fit.
#[inline(always)]
pub fn wrap<F: Family, E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    (at, ports): (u32, u32),
    decision: Decision,
    way: WayLine<'_, E::Line>,
    ingress: NextHop,
) -> Verdict {
    let bytes = packet.length();
    let Some(inner) = F::inner(packet, at, ports) else { return forward::dropped(env, Reason::TableError) };
    if inner.ttl <= 1 {
        return forward::dropped(env, Reason::TtlExpired);
    }
    let facts = way.facts();
    let outer = outer::length(facts.v6());
    if facts.mtu() != 0 && inner.length + outer > u32::from(facts.mtu()) {
        return Verdict::too_big(u32::from(facts.mtu()) - outer);
    }
    let Some((verdict, own)) = forward::egress(env, ingress, way.hop()) else {
        return forward::dropped(env, Reason::TableError);
    };
    let macs = (way.hop().mac(), own);
    let done = F::hop(packet, at)
        && match facts.v6() {
            false => put(packet, at, macs, ETHERTYPE_IPV4, || header4::<F, _>(way, &inner)),
            true => put(packet, at, macs, ETHERTYPE_IPV6, || header6::<F, _>(way, &inner)),
        };
    if !done {
        return forward::dropped(env, Reason::TableError);
    }
    env.forwarded(decision.backend(), decision.reason_index(), bytes);
    verdict
}

/// Puts an outer header between the link-layer header, which moves, and what is at `at`; whether there is room. The header
/// is asked for when there is: until then its parts are fewer.
#[inline(always)]
fn put<P: Packet, const N: usize>(
    packet: &mut P,
    at: u32,
    macs: (u64, u64),
    ethertype: u16,
    header: impl FnOnce() -> [u32; N],
) -> bool {
    let length = packet.length() + 4 * N as u32;
    if at == UNTAGGED {
        return packet.resize(length) && packet.store_front(macs, ethertype.to_be(), &header());
    }
    // Tags and ethertype, and up to four bytes behind them, which the outer header overwrites.
    let Some(view) = packet.view_anew::<12>(12) else { return false };
    let tags = [view.u32(0), view.u32(4), view.u32(8)];
    packet.resize(length)
        && packet.store_words(12, &tags)
        && packet.store_u16(at - 2, ethertype.to_be())
        && packet.store_macs(macs.0, macs.1)
        && packet.store_words(at, &header())
}

/// The outer IPv4 header, from one of the way's sources.
#[inline(always)]
fn header4<F: Family, L: Line>(way: WayLine<'_, L>, inner: &Inner) -> [u32; 5] {
    outer::header4(way.source(0) | own_bits(way, inner), way.destination(0), F::IS_V4, inner)
}

/// The outer IPv6 header, from one of the way's sources.
#[inline(always)]
fn header6<F: Family, L: Line>(way: WayLine<'_, L>, inner: &Inner) -> [u32; 10] {
    let source = [way.source(0), way.source(1), way.source(2), way.source(3) | own_bits(way, inner)];
    let destination = [way.destination(0), way.destination(1), way.destination(2), way.destination(3)];
    outer::header6(source, destination, F::IS_V4, inner)
}

/// What a flow has of the bits of a source that may be anything.
#[inline(always)]
fn own_bits<L: Line>(way: WayLine<'_, L>, inner: &Inner) -> u32 {
    let mask = (1u32 << (way.facts().host_bits() & 31)) - 1;
    (inner.spread & mask).to_be()
}

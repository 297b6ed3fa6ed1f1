//! The outer header: of clients' packets, and of the health checks that go their way.

use super::{DONT_FRAGMENT, Inner, TTL};
use crate::{checksum::ChecksumUpdate, walk::answer::EMPTY};

/// Protocol number of IPv4 in IP.
pub const PROTO_IPIP: u8 = 4;
/// Protocol number of IPv6 in IP.
pub const PROTO_IPV6: u8 = 41;

/// Bytes of the header.
#[inline(always)]
#[must_use]
pub const fn length(v6: bool) -> u32 {
    if v6 { 40 } else { 20 }
}

/// Protocol number of an inner packet of IPv4, or of IPv6.
#[inline(always)]
const fn protocol(v4: bool) -> u8 {
    if v4 { PROTO_IPIP } else { PROTO_IPV6 }
}

/// Two numbers of 16 bits in network order, in memory order.
#[inline(always)]
const fn pair(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// The outer IPv4 header of an inner packet of IPv4, or of IPv6; addresses in memory order.
#[inline(always)]
#[must_use]
pub const fn header4(source: u32, destination: u32, v4: bool, inner: &Inner) -> [u32; 5] {
    let first = pair(0x4500 | inner.tos as u16, (inner.length + length(false)) as u16);
    let fragments = match inner.id {
        Some(id) => pair(id, 0),
        None => pair(0, DONT_FRAGMENT),
    };
    let ttl = u16::from_be_bytes([TTL, protocol(v4)]);
    let sum = ChecksumUpdate::new(EMPTY)
        .add_u32(first)
        .add_u32(fragments)
        .add_u16(ttl.to_be())
        .add_u32(source)
        .add_u32(destination)
        .finish();
    [first, fragments, pair(ttl, u16::from_be(sum)), source, destination]
}

/// The outer IPv6 header; its flow label is of the inner packet's flow (RFC 6438).
#[inline(always)]
#[must_use]
pub const fn header6(source: [u32; 4], destination: [u32; 4], v4: bool, inner: &Inner) -> [u32; 10] {
    let [a, b, c, d] = source;
    let [e, f, g, h] = destination;
    let label = inner.spread >> 12;
    let first = (6 << 28 | (inner.tos as u32) << 20 | label).to_be();
    let second = pair(inner.length as u16, u16::from_be_bytes([protocol(v4), TTL]));
    [first, second, a, b, c, d, e, f, g, h]
}

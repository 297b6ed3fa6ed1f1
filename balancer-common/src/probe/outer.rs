//! The outer header of a check that goes through a tunnel, as clients' packets get it on that way (see `walk::tunnel`): of the inner
//! packet's own family.

use crate::{
    checksum::ChecksumUpdate,
    walk::tunnel::{PROTO_IPIP, PROTO_IPV6},
};

/// TTL and hop limit (RFC 2003, 3.1; RFC 2473, 6.3).
const TTL: u8 = 64;
/// Checksum of nothing.
const EMPTY: u16 = 0xffff;

/// Bytes of the header.
#[must_use]
pub const fn length(v6: bool) -> u32 {
    if v6 { 40 } else { 20 }
}

/// Around an IPv4 packet of so many bytes; addresses in memory order.
#[inline(always)]
#[must_use]
pub fn header4(source: u32, destination: u32, tos: u8, inner: u16) -> [u32; 5] {
    let [high, low] = inner.wrapping_add(length(false) as u16).to_be_bytes();
    let first = u32::from_ne_bytes([0x45, tos, high, low]);
    // Not to be fragmented, as the kernel's own segments are not.
    let second = u32::from_ne_bytes([0, 0, 0x40, 0]);
    let third = u32::from_ne_bytes([TTL, PROTO_IPIP, 0, 0]);
    let sum = ChecksumUpdate::new(EMPTY);
    let sum = sum.add_u32(first).add_u32(second).add_u32(third).add_u32(source).add_u32(destination);
    let [a, b] = sum.finish().to_ne_bytes();
    [first, second, u32::from_ne_bytes([TTL, PROTO_IPIP, a, b]), source, destination]
}

/// Around an IPv6 packet of so many bytes.
#[inline(always)]
#[must_use]
pub fn header6(source: [u32; 4], destination: [u32; 4], class: u8, inner: u16) -> [u32; 10] {
    let [high, low] = inner.to_be_bytes();
    let [a, b, c, d] = source;
    let [e, f, g, h] = destination;
    let first = u32::from_ne_bytes([0x60 | class >> 4, class << 4, 0, 0]);
    [first, u32::from_ne_bytes([high, low, PROTO_IPV6, TTL]), a, b, c, d, e, f, g, h]
}

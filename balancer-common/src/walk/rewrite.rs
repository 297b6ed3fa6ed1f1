//! Puts other addresses and ports into a packet that is sent on, and mends its checksums by the difference (RFC 1624).

use super::family::Family;
use crate::{
    checksum::ChecksumUpdate,
    packet::{Packet, View},
    parse::{PROTO_TCP, PROTO_UDP, transport::Segment},
};

/// Where the headers of a packet stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Offset of the IP header.
    pub ip: u32,
    /// Offset of the transport header.
    pub transport: u32,
    /// IP protocol number of that.
    pub proto: u8,
}

impl Headers {
    /// Of a segment.
    #[inline(always)]
    pub fn of<A>(segment: &Segment<A>) -> Self {
        Self { ip: u32::from(segment.ip), transport: segment.at, proto: segment.proto }
    }
}

/// Offsets of the addresses in an IP header.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The source's.
    pub source: u32,
    /// The destination's.
    pub destination: u32,
}

/// Puts an IPv4 address in another's place, at `at`: what that does to a sum.
#[inline(always)]
pub(super) fn put4<P: Packet>(packet: &mut P, at: u32, new: u32) -> Option<ChecksumUpdate> {
    let old = packet.view::<4>(at)?.u32(0);
    packet.store_words(at, &[new]).then_some(ChecksumUpdate::none().remove_u32(old).add_u32(new))
}

/// Puts an IPv6 address in another's place, at `at`: what that does to a sum.
#[inline(always)]
pub(super) fn put6<P: Packet>(packet: &mut P, at: u32, new: [u64; 2]) -> Option<ChecksumUpdate> {
    let old = packet.view::<16>(at)?;
    let (words, sum) = replaced6(old, 0, new);
    packet.store_words(at, &words).then_some(sum)
}

/// The same `place` bytes behind the beginning of the IPv6 header at `at`.
#[inline(always)]
fn replace6<P: Packet>(packet: &mut P, at: u32, place: u32, new: [u64; 2]) -> Option<ChecksumUpdate> {
    let header = packet.view::<40>(at)?;
    let (words, sum) = replaced6(header, place as usize, new);
    packet.store_words(at + place, &words).then_some(sum)
}

#[inline(always)]
fn replaced6(old: impl View, place: usize, [high, low]: [u64; 2]) -> ([u32; 4], ChecksumUpdate) {
    let words = [high as u32, (high >> 32) as u32, low as u32, (low >> 32) as u32];
    let mut sum = ChecksumUpdate::none();
    for (number, word) in words.iter().enumerate() {
        sum = sum.remove_u32(old.u32(place + 4 * number)).add_u32(*word);
    }
    (words, sum)
}

/// Puts other addresses into the IPv4 header at `at`, with one hop fewer: what the addresses do to a sum.
#[inline(always)]
pub(super) fn readdress4<P: Packet>(
    packet: &mut P,
    at: u32,
    source: u32,
    destination: u32,
) -> Option<ChecksumUpdate> {
    let header = packet.view::<20>(at)?;
    let addresses = ChecksumUpdate::none()
        .remove_u32(header.u32(12))
        .remove_u32(header.u32(16))
        .add_u32(source)
        .add_u32(destination);
    let [ttl, proto, a, b] = header.u32(8).to_ne_bytes();
    let word = with_ttl([ttl, proto, a, b], ttl.wrapping_sub(1), addresses);
    // One store for three fields: each asks for the frame's bounds anew.
    packet.store_words(at + 8, &[word, source, destination]).then_some(addresses)
}

/// Puts other addresses into the IPv6 header at `at`, with one hop fewer: what the addresses do to a sum. They are asked
/// for one after the other: both at once are more than a step's stack has room for.
#[inline(always)]
pub(super) fn readdress6<P: Packet>(
    packet: &mut P,
    at: u32,
    source: impl FnOnce() -> [u64; 2],
    destination: impl FnOnce() -> [u64; 2],
) -> Option<ChecksumUpdate> {
    let one = replace6(packet, at, 8, source())?;
    let other = replace6(packet, at, 24, destination())?;
    age6(packet, at).then_some(one.and(other))
}

/// Takes one off the TTL of the IPv4 header at `at`, whose addresses have changed the sum so; whether it is there.
#[inline(always)]
pub(super) fn age4<P: Packet>(packet: &mut P, at: u32, addresses: ChecksumUpdate) -> bool {
    let Some(ttl) = packet.view::<20>(at).map(|header| header.u8(8)) else { return false };
    set_ttl(packet, at, ttl.wrapping_sub(1), addresses)
}

/// Takes one off the TTL of the IPv4 header at `at`, of which nothing else changes; whether it is there.
#[inline(always)]
pub(super) fn hop4<P: Packet>(packet: &mut P, at: u32) -> bool {
    let Some(header) = packet.view::<20>(at) else { return false };
    let word = with_one_less(header.u32(8));
    packet.store_words(at + 8, &[word])
}

/// The word of an IPv4 header that holds TTL (not 0), protocol and sum, with a TTL of one less. The sum grows by what the
/// upper byte of a number loses (RFC 1141); 0xffff, which no sum is, is passed over.
#[inline(always)]
const fn with_one_less(word: u32) -> u32 {
    let [ttl, proto, c, d] = word.to_ne_bytes();
    let sum = u16::from_ne_bytes([c, d]) as u32 + u16::from_ne_bytes([1, 0]) as u32;
    let [c, d] = ((sum + (sum >= 0xffff) as u32) as u16).to_ne_bytes();
    u32::from_ne_bytes([ttl.wrapping_sub(1), proto, c, d])
}

/// Writes the TTL of the IPv4 header at `at`; whether it is there.
#[inline(always)]
pub(super) fn renew4<P: Packet>(packet: &mut P, at: u32, ttl: u8) -> bool {
    set_ttl(packet, at, ttl, ChecksumUpdate::none())
}

#[inline(always)]
fn set_ttl<P: Packet>(packet: &mut P, at: u32, ttl: u8, addresses: ChecksumUpdate) -> bool {
    let Some(header) = packet.view::<20>(at) else { return false };
    let word = with_ttl(header.u32(8).to_ne_bytes(), ttl, addresses);
    packet.store_words(at + 8, &[word])
}

/// The word of an IPv4 header that holds TTL, protocol and sum, with another TTL, where the addresses have changed the sum
/// so.
#[inline(always)]
const fn with_ttl([old, proto, c, d]: [u8; 4], ttl: u8, addresses: ChecksumUpdate) -> u32 {
    let (old, new) = (u16::from_ne_bytes([old, proto]), u16::from_ne_bytes([ttl, proto]));
    let sum = ChecksumUpdate::new(u16::from_ne_bytes([c, d])).and(addresses);
    let ([a, b], [c, d]) = (new.to_ne_bytes(), sum.remove_u16(old).add_u16(new).finish().to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// Takes one off the hop limit of the IPv6 header at `at`; whether it is there.
#[inline(always)]
pub(super) fn age6<P: Packet>(packet: &mut P, at: u32) -> bool {
    let Some(hops) = packet.view::<40>(at).map(|header| header.u8(7)) else { return false };
    renew6(packet, at, hops.wrapping_sub(1))
}

/// Writes the hop limit of the IPv6 header at `at`; whether it is there.
#[inline(always)]
pub(super) fn renew6<P: Packet>(packet: &mut P, at: u32, hops: u8) -> bool {
    let Some(header) = packet.view::<40>(at) else { return false };
    let [a, b, next, _] = header.u32(4).to_ne_bytes();
    packet.store_words(at + 4, &[u32::from_ne_bytes([a, b, next, hops])])
}

/// Both ports, in memory order.
#[inline(always)]
pub(super) const fn both(sport: u16, dport: u16) -> u32 {
    let ([a, b], [c, d]) = (sport.to_be_bytes(), dport.to_be_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// Puts other ends into a packet, with one hop fewer; whether its headers are there. The addresses are asked for when
/// they are needed: both at once are more than a step's stack has room for.
#[inline(always)]
pub fn rewrite<F: Family, P: Packet>(
    packet: &mut P,
    at: Headers,
    source: impl FnOnce() -> F::Address,
    destination: impl FnOnce() -> F::Address,
    (sport, dport): (u16, u16),
) -> bool {
    match F::readdress(packet, at.ip, source, destination) {
        Some(addresses) => transport(packet, at, both(sport, dport), addresses, F::IS_V4),
        None => false,
    }
}

/// Puts other ports into a transport header, and mends its checksum, the addresses of the pseudo-header included. A
/// datagram over IPv4 may have none.
#[inline(always)]
fn transport<P: Packet>(
    packet: &mut P,
    at: Headers,
    ports: u32,
    addresses: ChecksumUpdate,
    may_have_none: bool,
) -> bool {
    let place = match at.proto {
        PROTO_TCP => at.transport + 16,
        PROTO_UDP => at.transport + 6,
        _ => return false,
    };
    let Some(old) = packet.view::<4>(at.transport).map(|view| view.u32(0)) else { return false };
    let Some(checksum) = packet.view::<2>(place).map(|view| view.be16(0).to_be()) else { return false };
    let sum = ChecksumUpdate::new(checksum).and(addresses).remove_u32(old).add_u32(ports).finish();
    let sum = match at.proto == PROTO_UDP {
        true if checksum == 0 && may_have_none => 0,
        // 0 says that there is none (RFC 768).
        true if sum == 0 => 0xffff,
        _ => sum,
    };
    packet.store_words(at.transport, &[ports]) && packet.store_u16(place, sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        packet::SlicePacket,
        walk::family::{V4, V6},
    };
    use etherparse::{PacketBuilder, PacketHeaders, SlicedPacket};
    use proptest::prelude::*;
    use std::vec::Vec;

    const fn at(transport: u32, proto: u8) -> Headers {
        Headers { ip: 14, transport, proto }
    }

    #[test]
    fn one_hop_fewer_alone_is_what_any_other_ttl_is() {
        for sum in 0..0xffff {
            let [c, d] = u16::to_be_bytes(sum);
            for ttl in [1, 2, 64, 255] {
                let word = [ttl, 6, c, d];
                let expected = with_ttl(word, ttl - 1, ChecksumUpdate::none());
                assert_eq!(with_one_less(u32::from_ne_bytes(word)), expected, "{word:x?}");
            }
        }
    }

    fn build(
        v6: bool,
        udp: bool,
        ends: &([u8; 16], [u8; 16], u16, u16),
        hops: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut frame = Vec::new();
        let (source, destination, sport, dport) = *ends;
        let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let first = |address: [u8; 16]| [address[0], address[1], address[2], address[3]];
        let ip = match v6 {
            true => link.ipv6(source, destination, hops),
            false => link.ipv4(first(source), first(destination), hops),
        };
        let written = match udp {
            true => ip.udp(sport, dport).write(&mut frame, payload),
            false => ip.tcp(sport, dport, 7, 64_000).ack(9).write(&mut frame, payload),
        };
        written.expect("a Vec takes every frame");
        frame
    }

    proptest! {
        #[test]
        fn a_rewritten_packet_is_the_packet_that_the_new_ends_would_have_sent(
            v6: bool,
            udp: bool,
            old: ([u8; 16], [u8; 16], u16, u16),
            new: ([u8; 16], [u8; 16], u16, u16),
            hops in 2u8..,
            payload: Vec<u8>,
        ) {
            let mut frame = build(v6, udp, &old, hops, &payload);
            let wanted = build(v6, udp, &new, hops - 1, &payload);
            let at = at(if v6 { 54 } else { 34 }, if udp { 17 } else { 6 });
            let mut packet = SlicePacket::new(&mut frame, 1);
            let (source, destination, sport, dport) = new;
            let word = |a: [u8; 16]| u32::from_ne_bytes([a[0], a[1], a[2], a[3]]);
            let done = match v6 {
                true => rewrite::<V6, _>(
                    &mut packet, at, || bytemuck::cast(source), || bytemuck::cast(destination), (sport, dport),
                ),
                false => rewrite::<V4, _>(&mut packet, at, || word(source), || word(destination), (sport, dport)),
            };
            prop_assert!(done);
            prop_assert_eq!(PacketHeaders::from_ethernet_slice(&frame), PacketHeaders::from_ethernet_slice(&wanted));
            prop_assert!(SlicedPacket::from_ethernet(&frame).is_ok());
        }
    }

    #[test]
    fn a_datagram_without_a_checksum_gets_none() {
        let ends = ([192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1; 16], 5, 6);
        let mut frame = build(false, true, &ends, 9, &[1, 2, 3]);
        (frame[40], frame[41]) = (0, 0);
        let at = at(34, 17);
        assert!(rewrite::<V4, _>(&mut SlicePacket::new(&mut frame, 1), at, || 3, || 4, (7, 8)));
        assert_eq!(frame[34..42], [0, 7, 0, 8, 0, 11, 0, 0]);
    }
}

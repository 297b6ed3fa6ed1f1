//! Answers in the place of a backend: a RST (RFC 9293, 3.10.7.1).
//!
//! The frame becomes its own answer: addresses and ports change places, options and payload go, VLAN tags stay.

use super::family::Family;
use crate::{
    checksum::ChecksumUpdate,
    env::Env,
    packet::Packet,
    parse::{
        PROTO_TCP, link,
        transport::{Segment, TcpFlags},
    },
    table::interface,
};

/// Hops that an answer may take.
pub(super) const TTL: u8 = 64;
/// Bytes of a TCP header without options.
const TCP_HEADER: u16 = 20;

/// Sequence number, acknowledgement number and flags of a RST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rst {
    /// Sequence number: what the client expects next, so that it takes the RST (RFC 5961, 3.2).
    pub seq: u32,
    /// Acknowledgement number, 0 without ACK.
    pub ack: u32,
    /// RST, or RST and ACK.
    pub flags: u8,
}

impl Rst {
    /// The RST that answers a segment.
    #[inline(always)]
    #[must_use]
    pub const fn to<A>(segment: &Segment<A>) -> Self {
        if segment.flags.any(TcpFlags::ACK) {
            Self { seq: segment.ack, ack: 0, flags: TcpFlags::RST }
        } else {
            let ack = segment.seq.wrapping_add(segment.span);
            Self { seq: 0, ack, flags: TcpFlags::RST | TcpFlags::ACK }
        }
    }

    /// The TCP header that answers a segment; `pseudo` is the sum of the addresses, protocol and length.
    #[inline(always)]
    fn header<A>(self, segment: &Segment<A>, pseudo: ChecksumUpdate) -> [u32; 5] {
        let ports = pair(segment.dport.to_be(), segment.sport.to_be());
        let offset_and_flags = (TCP_HEADER / 4) << 12 | self.flags as u16;
        let header = [ports, self.seq.to_be(), self.ack.to_be(), pair(offset_and_flags.to_be(), 0)];
        let mut sum = pseudo;
        for word in header {
            sum = sum.add_u32(word);
        }
        let [ports, seq, ack, rest] = header;
        [ports, seq, ack, rest, pair(sum.finish(), 0)]
    }
}

/// Two numbers of 16 bits, each in memory order, one after the other in memory.
#[inline(always)]
const fn pair(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// Where the sum begins that a checksum is the complement of.
pub(super) const EMPTY: u16 = 0xffff;

/// IPv4 header and RST that answer a segment.
#[inline(always)]
#[must_use]
pub fn rst4(segment: &Segment<u32>) -> [u32; 10] {
    const LENGTH: u16 = 20 + TCP_HEADER;
    const DONT_FRAGMENT: u16 = 0x4000;
    let (source, destination) = (segment.destination, segment.source);
    let first = [pair(0x4500u16.to_be(), LENGTH.to_be()), pair(0, DONT_FRAGMENT.to_be())];
    let ttl = u16::from_be_bytes([TTL, PROTO_TCP]).to_be();
    let addresses = ChecksumUpdate::new(EMPTY).add_u32(source).add_u32(destination);
    let sum = addresses.add_u32(first[0]).add_u32(first[1]).add_u16(ttl).finish();
    let pseudo = addresses.add_u16(u16::from(PROTO_TCP).to_be()).add_u16(TCP_HEADER.to_be());
    let [a, b, c, d, e] = Rst::to(segment).header(segment, pseudo);
    [first[0], first[1], pair(ttl, sum), source, destination, a, b, c, d, e]
}

/// IPv6 header and RST that answer a segment.
#[inline(always)]
#[must_use]
pub fn rst6(segment: &Segment<[u64; 2]>) -> [u32; 15] {
    let halves = |[a, b]: [u64; 2]| [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32];
    let (source, destination) = (halves(segment.destination), halves(segment.source));
    let mut sum = ChecksumUpdate::new(EMPTY);
    for word in source {
        sum = sum.add_u32(word);
    }
    for word in destination {
        sum = sum.add_u32(word);
    }
    let pseudo = sum.add_u16(u16::from(PROTO_TCP).to_be()).add_u16(TCP_HEADER.to_be());
    let [a, b, c, d, e] = Rst::to(segment).header(segment, pseudo);
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (source, destination);
    let next = u16::from_be_bytes([PROTO_TCP, TTL]).to_be();
    let first = [pair(0x6000u16.to_be(), 0), pair(TCP_HEADER.to_be(), next)];
    [first[0], first[1], s0, s1, s2, s3, d0, d1, d2, d3, a, b, c, d, e]
}

/// Makes of a frame the RST that answers its segment, on its way back to where it came from; whether that could be
/// done.
#[inline(always)]
pub fn reset<F: Family, E: Env, P: Packet>(env: &E, packet: &mut P, segment: &Segment<F::Address>) -> bool {
    let Some(ingress) = interface::find(env, packet.ingress()) else { return false };
    let (Some(link), Some(sender)) = (link::parse(packet), link::source(packet)) else { return false };
    F::write_rst(packet, segment, link.next)
        && packet.store_macs(sender, ingress.mac)
        && packet.resize(link.next + F::RST)
}

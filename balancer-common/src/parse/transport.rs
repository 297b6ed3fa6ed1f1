//! TCP (RFC 9293) and UDP (RFC 768): the fields that decide.

use super::{IpPayload, PROTO_TCP, PROTO_UDP, Refusal};
use crate::{
    packet::{Packet, View as _},
    reason::Reason,
};
use network_types::{tcp::TcpHdr, udp::UdpHdr};

/// TCP flags, as they stand in byte 13 of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN.
    pub const FIN: u8 = 1;
    /// SYN.
    pub const SYN: u8 = 2;
    /// RST.
    pub const RST: u8 = 4;
    /// ACK.
    pub const ACK: u8 = 16;

    /// Any of these set.
    #[inline(always)]
    #[must_use]
    pub const fn any(self, flags: u8) -> bool {
        self.0 & flags != 0
    }
}

/// A segment or datagram; `A` is the address type. Aligned so that two of its numbers that are written at once stand well on
/// the packet path's stack.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<A> {
    /// Client address, network order loaded natively.
    pub source: A,
    /// Service address, network order loaded natively.
    pub destination: A,
    /// Client port, host order.
    pub sport: u16,
    /// Service port, host order.
    pub dport: u16,
    /// IP protocol number: TCP or UDP.
    pub proto: u8,
    /// TCP flags, 0 for UDP.
    pub flags: TcpFlags,
    /// Offset of the IP header in the frame.
    pub ip: u16,
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// Sequence numbers that it takes: payload, SYN and FIN.
    pub span: u32,
    /// Offset of the transport header in the frame.
    pub at: u32,
}

/// Reads the transport header behind an IP header that stands at `ip`; other protocols pass.
#[inline(always)]
pub fn parse<A, P: Packet>(
    packet: &P,
    ip: u32,
    payload: IpPayload,
    source: A,
    destination: A,
) -> Result<Segment<A>, Refusal> {
    match payload.proto {
        PROTO_TCP => tcp(packet, ip, payload, source, destination),
        PROTO_UDP => udp(packet, ip, payload, source, destination),
        _ => Err(Refusal::Pass),
    }
}

#[inline(always)]
fn tcp<A, P: Packet>(
    packet: &P,
    ip: u32,
    payload: IpPayload,
    source: A,
    destination: A,
) -> Result<Segment<A>, Refusal> {
    let bad = Refusal::Drop(Reason::BadTcpHeader);
    if payload.length < TcpHdr::LEN as u32 {
        return Err(bad);
    }
    let tcp = packet.view::<{ TcpHdr::LEN }>(payload.at).ok_or(bad)?;
    let ports = tcp.be32(0);
    let offset_and_flags = tcp.be16(12);
    let header = u32::from(offset_and_flags >> 12) * 4;
    if header < TcpHdr::LEN as u32 || header > payload.length {
        return Err(bad);
    }
    let flags = TcpFlags(offset_and_flags as u8);
    if flags.any(TcpFlags::SYN) && flags.any(TcpFlags::FIN | TcpFlags::RST) {
        return Err(Refusal::Drop(Reason::BadTcpFlags));
    }
    let phantom = u32::from(flags.any(TcpFlags::SYN)) + u32::from(flags.any(TcpFlags::FIN));
    Ok(Segment {
        source,
        destination,
        sport: (ports >> 16) as u16,
        dport: ports as u16,
        proto: PROTO_TCP,
        flags,
        ip: ip as u16,
        seq: tcp.be32(4),
        ack: tcp.be32(8),
        span: payload.length - header + phantom,
        at: payload.at,
    })
}

#[inline(always)]
fn udp<A, P: Packet>(
    packet: &P,
    ip: u32,
    payload: IpPayload,
    source: A,
    destination: A,
) -> Result<Segment<A>, Refusal> {
    let bad = Refusal::Drop(Reason::BadUdpHeader);
    let udp = packet.view::<{ UdpHdr::LEN }>(payload.at).ok_or(bad)?;
    let ports = udp.be32(0);
    let length = u32::from(udp.be16(4));
    if length < UdpHdr::LEN as u32 || length > payload.length {
        return Err(bad);
    }
    Ok(Segment {
        source,
        destination,
        sport: (ports >> 16) as u16,
        dport: ports as u16,
        proto: PROTO_UDP,
        flags: TcpFlags(0),
        ip: ip as u16,
        seq: 0,
        ack: 0,
        span: 0,
        at: payload.at,
    })
}

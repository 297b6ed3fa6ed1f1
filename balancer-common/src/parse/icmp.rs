//! ICMP errors (RFC 792, RFC 4443): whose flow their inner header names.

use super::{IpPayload, PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP};
use crate::packet::{Packet, View as _};

/// Bytes before the quoted packet, in both versions.
const QUOTE: u32 = 8;
/// Bit of the type that marks a message that is no error in ICMPv6.
const V6_INFORMATIONAL: u8 = 0x80;

/// Bytes of a quoted packet's ports.
const PORTS: u32 = 4;

/// Offset of the packet that an ICMP error quotes; `None` if it is no error.
#[inline(always)]
pub fn quoted<P: Packet>(packet: &P, payload: IpPayload) -> Option<u32> {
    let kind = packet.view::<{ QUOTE as usize }>(payload.at)?.u8(0);
    let error = match payload.proto {
        // Unreachable, source quench, time exceeded, parameter problem.
        PROTO_ICMP => matches!(kind, 3 | 4 | 11 | 12),
        PROTO_ICMPV6 => kind & V6_INFORMATIONAL == 0,
        _ => false,
    };
    error.then_some(payload.at + QUOTE)
}

/// Whether a message asks for an echo.
#[inline(always)]
pub fn asks_for_echo<P: Packet>(packet: &P, payload: IpPayload) -> bool {
    let asks = match payload.proto {
        PROTO_ICMP => 8,
        _ => 128,
    };
    packet.view::<{ QUOTE as usize }>(payload.at).is_some_and(|message| message.be16(0) == asks << 8)
}

/// Ports of a packet that is quoted in the message `icmp`, as it was sent: its source is the service's port, its
/// destination the client's. They are the last that is read of a message, so that here its end is looked at: what lies
/// between there and the frame's end is padding.
#[inline(always)]
pub fn quoted_ports<P: Packet>(packet: &P, icmp: IpPayload, inner: IpPayload) -> Option<(u16, u16)> {
    let known = inner.proto == PROTO_TCP || inner.proto == PROTO_UDP;
    if !known || inner.at + PORTS > icmp.at + icmp.length {
        return None;
    }
    let ports = packet.view::<{ PORTS as usize }>(inner.at)?.be32(0);
    Some(((ports >> 16) as u16, ports as u16))
}

//! IPv4 (RFC 791), with options.

use super::{IpPayload, Refusal};
use crate::{packet::Packet, reason::Reason};

const MORE_FRAGMENTS_OR_OFFSET: u16 = 0x3fff;
const DESTINATION: u32 = 16;
const SOURCE: u32 = 12;

/// Destination address (network order loaded natively) of the header at `at`; `None` if the frame is shorter.
#[inline(always)]
pub fn destination<P: Packet>(packet: &P, at: u32) -> Option<u32> {
    packet.load_u32(at + DESTINATION)
}

/// Source address (network order loaded natively).
#[inline(always)]
pub fn source<P: Packet>(packet: &P, at: u32) -> Option<u32> {
    packet.load_u32(at + SOURCE)
}

/// Reads the header at `at`.
#[inline(always)]
pub fn payload<P: Packet>(packet: &P, at: u32) -> Result<IpPayload, Refusal> {
    let payload = header(packet, at)?;
    if at + u32::from(load16(packet, at + 2)?) > packet.length() {
        return Err(Refusal::Drop(Reason::BadIpLength));
    }
    Ok(payload)
}

/// Reads the header at `at` of a packet that may be cut off behind it, as ICMP errors quote it.
#[inline(always)]
pub fn header<P: Packet>(packet: &P, at: u32) -> Result<IpPayload, Refusal> {
    let bad = Refusal::Drop(Reason::BadIpHeader);
    let first = packet.load_u8(at).ok_or(bad)?;
    let header = u32::from(first & 0xf) * 4;
    if first >> 4 != 4 || header < 20 {
        return Err(bad);
    }
    let total = u32::from(load16(packet, at + 2)?);
    if total < header {
        return Err(Refusal::Drop(Reason::BadIpLength));
    }
    if load16(packet, at + 6)? & MORE_FRAGMENTS_OR_OFFSET != 0 {
        return Err(Refusal::Drop(Reason::Fragment));
    }
    let proto = packet.load_u8(at + 9).ok_or(bad)?;
    Ok(IpPayload { proto, at: at + header, length: total - header })
}

#[inline(always)]
fn load16<P: Packet>(packet: &P, at: u32) -> Result<u16, Refusal> {
    packet.load_be16(at).ok_or(Refusal::Drop(Reason::BadIpHeader))
}

//! IPv6 (RFC 8200), with a bounded chain of extension headers.

use super::{IpPayload, Refusal};
use crate::{packet::Packet, reason::Reason};

/// Length of the fixed header.
pub const HEADER: u32 = 40;
/// Extension headers that are followed at most.
pub const MAX_EXTENSIONS: u32 = 6;

const SOURCE: u32 = 8;
const DESTINATION: u32 = 24;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Destination address (network order loaded natively); `None` if the frame is shorter.
#[inline(always)]
pub fn destination<P: Packet>(packet: &P, at: u32) -> Option<[u64; 2]> {
    Some([packet.load_u64(at + DESTINATION)?, packet.load_u64(at + DESTINATION + 8)?])
}

/// Source address (network order loaded natively).
#[inline(always)]
pub fn source<P: Packet>(packet: &P, at: u32) -> Option<[u64; 2]> {
    Some([packet.load_u64(at + SOURCE)?, packet.load_u64(at + SOURCE + 8)?])
}

/// Reads the header at `at` and its extensions.
#[inline(always)]
pub fn payload<P: Packet>(packet: &P, at: u32) -> Result<IpPayload, Refusal> {
    let length = payload_length(packet, at)?;
    if at + HEADER + length > packet.length() {
        return Err(Refusal::Drop(Reason::BadIpLength));
    }
    behind_extensions(packet, at, length)
}

/// As [`payload`], of a packet that may be cut off behind its headers, as ICMP errors quote it.
#[inline(always)]
pub fn header<P: Packet>(packet: &P, at: u32) -> Result<IpPayload, Refusal> {
    let length = payload_length(packet, at)?;
    behind_extensions(packet, at, length)
}

#[inline(always)]
fn payload_length<P: Packet>(packet: &P, at: u32) -> Result<u32, Refusal> {
    let bad = Refusal::Drop(Reason::BadIpHeader);
    if packet.load_u8(at).ok_or(bad)? >> 4 != 6 {
        return Err(bad);
    }
    Ok(u32::from(packet.load_be16(at + 4).ok_or(bad)?))
}

#[inline(always)]
fn behind_extensions<P: Packet>(packet: &P, at: u32, length: u32) -> Result<IpPayload, Refusal> {
    let proto = packet.load_u8(at + 6).ok_or(Refusal::Drop(Reason::BadIpHeader))?;
    let payload = IpPayload { proto, at: at + HEADER, length };
    match proto {
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS => skip(packet, payload),
        _ => Ok(payload),
    }
}

/// Follows the chain. Out of line: rare, and dear to the verifier where it is inlined.
#[inline(never)]
fn skip<P: Packet>(packet: &P, mut payload: IpPayload) -> Result<IpPayload, Refusal> {
    for _ in 0..MAX_EXTENSIONS {
        let length = match payload.proto {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => (size_field(packet, payload.at)? + 1) * 8,
            AUTHENTICATION => (size_field(packet, payload.at)? + 2) * 4,
            FRAGMENT => fragment(packet, payload.at)?,
            _ => return Ok(payload),
        };
        if length > payload.length {
            return Err(Refusal::Drop(Reason::BadExtension));
        }
        let next = packet.load_u8(payload.at).ok_or(Refusal::Drop(Reason::BadExtension))?;
        payload = IpPayload { proto: next, at: payload.at + length, length: payload.length - length };
    }
    match payload.proto {
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS => {
            Err(Refusal::Drop(Reason::BadExtension))
        }
        _ => Ok(payload),
    }
}

#[inline(always)]
fn size_field<P: Packet>(packet: &P, at: u32) -> Result<u32, Refusal> {
    packet.load_u8(at + 1).map(u32::from).ok_or(Refusal::Drop(Reason::BadExtension))
}

/// Length of a fragment header that does not fragment (RFC 6946); any other is refused.
#[inline(always)]
fn fragment<P: Packet>(packet: &P, at: u32) -> Result<u32, Refusal> {
    let offset_and_more = packet.load_be16(at + 2).ok_or(Refusal::Drop(Reason::BadExtension))?;
    if offset_and_more & 0xfff9 != 0 { Err(Refusal::Drop(Reason::Fragment)) } else { Ok(8) }
}

//! IPv6 (RFC 8200), with a bounded chain of extension headers.

use super::{IpHeader, IpPayload, Refusal};
use crate::{
    packet::{Packet, View},
    reason::Reason,
};

/// Bytes of the fixed header.
const HEADER: usize = 40;
/// Bytes of the shortest extension header.
const EXTENSION: usize = 8;
/// Extension headers that are followed at most.
pub const MAX_EXTENSIONS: u32 = 6;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Reads the header at `at` and its extensions; `None` if the frame is too short to tell whose packet it is.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<[u64; 2]>> {
    let header = packet.view::<HEADER>(at)?;
    let payload = if at + HEADER as u32 + u32::from(header.be16(4)) > packet.length() {
        Err(Refusal::Drop(Reason::BadIpLength))
    } else {
        payload(packet, header, at)
    };
    Some(addressed(header, payload))
}

/// As [`parse`], of a packet that may be cut off behind its headers, as ICMP errors quote it.
#[inline(always)]
pub fn parse_quoted<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<[u64; 2]>> {
    let header = packet.view::<HEADER>(at)?;
    Some(addressed(header, payload(packet, header, at)))
}

#[inline(always)]
fn addressed<V: View>(header: V, payload: Result<IpPayload, Refusal>) -> IpHeader<[u64; 2]> {
    IpHeader {
        source: [header.u64(8), header.u64(16)],
        destination: [header.u64(24), header.u64(32)],
        payload,
    }
}

#[inline(always)]
fn payload<P: Packet, V: View>(packet: &P, header: V, at: u32) -> Result<IpPayload, Refusal> {
    if header.u8(0) >> 4 != 6 {
        return Err(Refusal::Drop(Reason::BadIpHeader));
    }
    let payload =
        IpPayload { proto: header.u8(6), at: at + HEADER as u32, length: u32::from(header.be16(4)) };
    if is_extension(payload.proto) { packet.skip_extensions(payload) } else { Ok(payload) }
}

/// Follows a chain of extension headers.
#[inline(always)]
pub fn behind_extensions<P: Packet>(packet: &P, mut payload: IpPayload) -> Result<IpPayload, Refusal> {
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(payload.proto) {
            return Ok(payload);
        }
        payload = behind(packet, payload)?;
    }
    if is_extension(payload.proto) { Err(Refusal::Drop(Reason::BadExtension)) } else { Ok(payload) }
}

#[inline(always)]
const fn is_extension(proto: u8) -> bool {
    matches!(proto, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// What follows one extension header.
#[inline(always)]
fn behind<P: Packet>(packet: &P, payload: IpPayload) -> Result<IpPayload, Refusal> {
    let bad = Refusal::Drop(Reason::BadExtension);
    let header = packet.view::<EXTENSION>(payload.at).ok_or(bad)?;
    let size = u32::from(header.u8(1));
    let length = match payload.proto {
        // A fragment header that does not fragment (RFC 6946) is skipped; any other is refused.
        FRAGMENT if header.be16(2) & 0xfff9 != 0 => return Err(Refusal::Drop(Reason::Fragment)),
        FRAGMENT => 8,
        AUTHENTICATION => (size + 2) * 4,
        _ => (size + 1) * 8,
    };
    if length > payload.length {
        return Err(bad);
    }
    Ok(IpPayload { proto: header.u8(0), at: payload.at + length, length: payload.length - length })
}

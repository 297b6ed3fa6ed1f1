//! IPv4 (RFC 791), with options.

use super::{IpHeader, IpPayload, Refusal};
use crate::{
    packet::{Packet, View},
    reason::Reason,
};

/// Bytes of the header without options.
const HEADER: usize = 20;
const MORE_FRAGMENTS_OR_OFFSET: u16 = 0x3fff;

/// Reads the header at `at`; `None` if the frame is too short to tell whose packet it is.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<u32>> {
    let header = packet.view::<HEADER>(at)?;
    let payload = match payload(header, at) {
        Ok(_) if at + u32::from(header.be16(2)) > packet.length() => Err(Refusal::Drop(Reason::BadIpLength)),
        other => other,
    };
    Some(IpHeader { source: header.u32(12), destination: header.u32(16), payload })
}

/// As [`parse`], of a packet that may be cut off behind its header, as ICMP errors quote it.
#[inline(always)]
pub fn parse_quoted<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<u32>> {
    let header = packet.view::<HEADER>(at)?;
    Some(IpHeader { source: header.u32(12), destination: header.u32(16), payload: payload(header, at) })
}

#[inline(always)]
fn payload<V: View>(header: V, at: u32) -> Result<IpPayload, Refusal> {
    let first = header.u8(0);
    let length = u32::from(first & 0xf) * 4;
    if first >> 4 != 4 || length < HEADER as u32 {
        return Err(Refusal::Drop(Reason::BadIpHeader));
    }
    let total = u32::from(header.be16(2));
    if total < length {
        return Err(Refusal::Drop(Reason::BadIpLength));
    }
    if header.be16(6) & MORE_FRAGMENTS_OR_OFFSET != 0 {
        return Err(Refusal::Drop(Reason::Fragment));
    }
    Ok(IpPayload { proto: header.u8(9), at: at + length, length: total - length })
}

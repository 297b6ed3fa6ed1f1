//! What is read of a packet is what another parser reads.

use super::{Read, Unread, ours};
use balancer_common::{
    packet::SlicePacket,
    parse::{Refusal, ipv6},
    reason::Reason,
};
use etherparse::{NetSlice, SlicedPacket, TransportSlice, err::packet::SliceError};
use std::net::IpAddr;

/// Whatever the bytes are, what is read of them the other parser reads too, and the other way round.
///
/// # Errors
/// What each of them reads.
pub(crate) fn agrees(frame: &[u8]) -> Result<(), String> {
    let mut copy = frame.to_vec();
    let (expected, read) = (theirs(frame), ours(&SlicePacket::new(&mut copy, 1)));
    let agree = match &read {
        Ok(read) => match SlicedPacket::from_ethernet(frame) {
            Err(error) => is_pedantic(&error),
            Ok(_) => expected.as_ref() == Some(read),
        },
        // These two are refused although they can be read.
        Err(Unread::Refused(Refusal::Drop(Reason::BadTcpFlags))) => {
            expected.as_ref().is_none_or(|read| read.flags & 2 != 0 && read.flags & 5 != 0)
        }
        Err(Unread::Refused(Refusal::Drop(Reason::BadExtension))) => expected.is_none() || is_long(frame),
        Err(_) => expected.is_none(),
    };
    if agree { Ok(()) } else { Err(format!("read as {read:?}, by the other parser as {expected:?}")) }
}

/// Whether a frame has more tags than two, or one of a kind that only the other parser knows (0x9100, MACsec).
fn strange_tags(frame: &[u8]) -> bool {
    let ethertype =
        |at: usize| frame.get(at..at + 2).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let tags =
        (0..3).map(|tag| ethertype(12 + 4 * tag)).take_while(|tag| matches!(tag, 0x8100 | 0x88a8)).count();
    tags > 2 || matches!(ethertype(12 + 4 * tags), 0x9100 | 0x88e5)
}

/// What the other parser refuses in a chain of extension headers that can be followed all the same: another header
/// before the hop-by-hop options, an authentication header without a number.
fn is_pedantic(error: &SliceError) -> bool {
    use etherparse::err::{ip_auth, ipv6_exts::HeaderError};
    matches!(
        error,
        SliceError::Ipv6Exts(
            HeaderError::HopByHopNotAtStart | HeaderError::IpAuth(ip_auth::HeaderError::ZeroPayloadLen)
        )
    )
}

/// Whether a chain of extension headers has more than are followed.
fn is_long(frame: &[u8]) -> bool {
    match SlicedPacket::from_ethernet(frame).map(|packet| packet.net) {
        Ok(Some(NetSlice::Ipv6(ip))) => {
            ip.extensions().clone().into_iter().count() > ipv6::MAX_EXTENSIONS as usize
        }
        _ => false,
    }
}

/// What the other parser reads.
pub(crate) fn theirs(frame: &[u8]) -> Option<Read> {
    if strange_tags(frame) {
        return None;
    }
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    if matches!(&packet.net, Some(NetSlice::Ipv6(ip)) if ip.header().payload_length() == 0) {
        // It takes everything up to the frame's end for the payload of a jumbogram.
        return None;
    }
    let (source, destination): (IpAddr, IpAddr) = match packet.net? {
        NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Arp(_) => return None,
    };
    match packet.transport? {
        TransportSlice::Tcp(tcp) => {
            let flags = [(tcp.fin(), 1), (tcp.syn(), 2), (tcp.rst(), 4), (tcp.ack(), 16)];
            Some(Read {
                from: (source, tcp.source_port()),
                to: (destination, tcp.destination_port()),
                proto: 6,
                flags: flags.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum(),
                seq: tcp.sequence_number(),
                ack: tcp.acknowledgment_number(),
                span: tcp.payload().len() as u32 + u32::from(tcp.syn()) + u32::from(tcp.fin()),
            })
        }
        // A length of 0 is a jumbogram's to it, too.
        TransportSlice::Udp(udp) if udp.length() == 0 => None,
        TransportSlice::Udp(udp) => Some(Read {
            from: (source, udp.source_port()),
            to: (destination, udp.destination_port()),
            proto: 17,
            flags: 0,
            seq: 0,
            ack: 0,
            span: 0,
        }),
        _ => None,
    }
}

//! Frames as clients send them, and ways to bend them. The balancer looks at no checksum: a bent frame keeps its own.

use crate::fixture::{OWN, PEER};
use std::net::IpAddr;

/// A TCP segment's own fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seg {
    /// Sequence number.
    pub(crate) seq: u32,
    /// Flags.
    pub(crate) syn: bool,
    /// ACK.
    pub(crate) ack: bool,
    /// FIN.
    pub(crate) fin: bool,
    /// RST.
    pub(crate) rst: bool,
    /// Bytes of payload.
    pub(crate) payload: usize,
}

impl Seg {
    /// A SYN.
    pub(crate) fn syn(seq: u32) -> Self {
        Self { seq, syn: true, ..Self::default() }
    }

    /// An empty ACK.
    pub(crate) fn ack(seq: u32) -> Self {
        Self { seq, ack: true, ..Self::default() }
    }

    /// A FIN with ACK.
    pub(crate) fn fin(seq: u32) -> Self {
        Self { seq, ack: true, fin: true, ..Self::default() }
    }

    /// A RST.
    pub(crate) fn rst(seq: u32) -> Self {
        Self { seq, rst: true, ..Self::default() }
    }
}

/// A TCP frame from a client.
pub(crate) fn tcp(
    client: impl Into<IpAddr>,
    sport: u16,
    to: impl Into<IpAddr>,
    dport: u16,
    seg: Seg,
) -> Vec<u8> {
    let builder = ip(client.into(), to.into()).tcp(sport, dport, seg.seq, 64_000);
    let builder = if seg.syn { builder.syn() } else { builder };
    let builder = if seg.ack { builder.ack(5000) } else { builder };
    let builder = if seg.fin { builder.fin() } else { builder };
    let builder = if seg.rst { builder.rst() } else { builder };
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![0x55; seg.payload]).expect("a Vec takes every frame");
    frame
}

/// A UDP frame from a client.
pub(crate) fn udp(client: impl Into<IpAddr>, sport: u16, to: impl Into<IpAddr>, dport: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = ip(client.into(), to.into()).udp(sport, dport);
    builder.write(&mut frame, b"hello").expect("a Vec takes every frame");
    frame
}

fn ip(client: IpAddr, to: IpAddr) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    let builder = etherparse::PacketBuilder::ethernet2(PEER, OWN);
    match (client, to) {
        (IpAddr::V4(client), IpAddr::V4(to)) => {
            let header =
                etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::TCP, client.octets(), to.octets());
            builder.ip(etherparse::IpHeaders::Ipv4(header.expect("short"), Default::default()))
        }
        (IpAddr::V6(client), IpAddr::V6(to)) => {
            let header = etherparse::Ipv6Header {
                source: client.octets(),
                destination: to.octets(),
                hop_limit: 64,
                ..Default::default()
            };
            builder.ip(etherparse::IpHeaders::Ipv6(header, Default::default()))
        }
        _ => panic!("{client} and {to} are of two families"),
    }
}

/// Offset of the IP header of an untagged frame.
pub(crate) const IP: usize = 14;
/// Offset of the transport header of an untagged v4 frame without options.
pub(crate) const TRANSPORT4: usize = IP + 20;
/// Offset of the transport header of an untagged v6 frame without extension headers.
pub(crate) const TRANSPORT6: usize = IP + 40;

/// Writes two bytes in network order.
pub(crate) fn put16(frame: &mut [u8], at: usize, value: usize) {
    frame[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}

/// The frame with one byte replaced.
pub(crate) fn with_byte(frame: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bent = frame.to_vec();
    bent[at] = byte;
    bent
}

/// The frame with two bytes, in network order, replaced.
pub(crate) fn with16(frame: &[u8], at: usize, value: usize) -> Vec<u8> {
    let mut bent = frame.to_vec();
    put16(&mut bent, at, value);
    bent
}

/// Whether an untagged frame is an IPv4 one.
pub(crate) fn is_v4(frame: &[u8]) -> bool {
    frame[12..14] == [8, 0]
}

/// The frame to an address beside the service's, which is none.
pub(crate) fn elsewhere(frame: &[u8]) -> Vec<u8> {
    let last = if is_v4(frame) { TRANSPORT4 - 1 } else { TRANSPORT6 - 1 };
    with_byte(frame, last, frame[last] ^ 0x80)
}

/// The first `length` bytes of a frame whose IP length says so too.
pub(crate) fn cut(frame: &[u8], length: usize) -> Vec<u8> {
    let mut bent = frame[..length].to_vec();
    if is_v4(frame) {
        put16(&mut bent, IP + 2, length - IP);
    } else {
        put16(&mut bent, IP + 4, length - TRANSPORT6);
    }
    bent
}

/// The frame with VLAN tags of these ethertypes, from the outermost.
pub(crate) fn tagged(frame: &[u8], ethertypes: &[u16]) -> Vec<u8> {
    let tags = ethertypes.iter().zip(100_u16..).flat_map(|(ethertype, vlan)| {
        let [a, b] = ethertype.to_be_bytes();
        let [c, d] = vlan.to_be_bytes();
        [a, b, c, d]
    });
    [frame[..12].to_vec(), tags.collect(), frame[12..].to_vec()].concat()
}

/// The v4 frame with this many four-byte words of options.
pub(crate) fn with_options(frame: &[u8], words: usize) -> Vec<u8> {
    let mut bent = [&frame[..TRANSPORT4], &vec![1; words * 4], &frame[TRANSPORT4..]].concat();
    bent[IP] = 0x40 | (5 + words) as u8;
    let total = bent.len() - IP;
    put16(&mut bent, IP + 2, total);
    bent
}

/// The v6 frame with these extension headers, a protocol number and the bytes each; the chain's numbers are written
/// into them.
pub(crate) fn extended(frame: &[u8], chain: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut next = frame[IP + 6];
    let mut headers = Vec::new();
    for (number, header) in chain.iter().rev() {
        let mut header = header.clone();
        header[0] = next;
        next = *number;
        headers.splice(0..0, header);
    }
    let mut bent = [&frame[..TRANSPORT6], &headers, &frame[TRANSPORT6..]].concat();
    bent[IP + 6] = next;
    let length = bent.len() - TRANSPORT6;
    put16(&mut bent, IP + 4, length);
    bent
}

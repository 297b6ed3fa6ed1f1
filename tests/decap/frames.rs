//! Frames in tunnels, built header by header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, Ipv4Header, Ipv4Options, Ipv6FlowLabel, Ipv6Header, PacketBuilder};

/// The backend's own addresses.
pub(crate) const OWN: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 0, 1, 10)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x10))];
/// The balancer's end.
pub(crate) const FROM: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 70)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x47))];
/// The service.
pub(crate) const SERVICE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10)),
];
/// A client.
const CLIENT: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 1))];
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xee];
/// Tags of a VLAN and of an outer one around it.
pub(crate) const VLAN: [u8; 4] = [0x81, 0x00, 0x00, 0x07];
pub(crate) const QINQ: [u8; 4] = [0x88, 0xa8, 0x00, 0x09];

/// An outer header. `.0` of each pair is v4's, `.1` v6's.
#[derive(Clone, Debug)]
pub(crate) struct Outer {
    pub(crate) v6: bool,
    pub(crate) from: [IpAddr; 2],
    pub(crate) to: [IpAddr; 2],
    pub(crate) tos: u8,
    /// Bytes of options (v4), of extension headers (v6), the last one's next header still to be set.
    pub(crate) more: Vec<u8>,
    /// First extension header.
    pub(crate) extension: Option<u8>,
    /// Flags and offset in 8 bytes.
    pub(crate) fragment: u16,
}

impl Outer {
    pub(crate) fn new(v6: bool) -> Self {
        let (from, to) = (FROM, OWN);
        Self { v6, from, to, tos: 0, more: Vec::new(), extension: None, fragment: 0 }
    }

    /// The header around an inner packet, and both.
    pub(crate) fn around(&self, inner: &[u8]) -> Vec<u8> {
        let proto = if inner[0] >> 4 == 6 { IpNumber::IPV6 } else { IpNumber::IPV4 };
        self.around_proto(inner, proto)
    }

    pub(crate) fn around_proto(&self, inner: &[u8], proto: IpNumber) -> Vec<u8> {
        let header = if self.v6 { self.header6(inner, proto) } else { self.header4(inner, proto) };
        [&header[..], inner].concat()
    }

    fn header4(&self, inner: &[u8], proto: IpNumber) -> Vec<u8> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (self.from[0], self.to[0]) else { unreachable!() };
        let mut header =
            Ipv4Header::new(inner.len() as u16, 64, proto, from.octets(), to.octets()).expect("short");
        header.options = Ipv4Options::try_from(&self.more[..]).expect("whole words");
        header.set_payload_len(inner.len()).expect("short");
        let mut bytes = header.to_bytes().to_vec();
        bytes[1] = self.tos;
        bytes[6..8].copy_from_slice(&self.fragment.to_be_bytes());
        mend(&mut bytes);
        bytes
    }

    fn header6(&self, inner: &[u8], proto: IpNumber) -> Vec<u8> {
        let (IpAddr::V6(from), IpAddr::V6(to)) = (self.from[1], self.to[1]) else { unreachable!() };
        let mut more = self.more.clone();
        if let Some(last) = more.len().checked_sub(8) {
            more[last] = proto.0;
        }
        let header = Ipv6Header {
            traffic_class: self.tos,
            flow_label: Ipv6FlowLabel::try_new(0xbeef).expect("twenty bits"),
            payload_length: (more.len() + inner.len()) as u16,
            next_header: self.extension.map_or(proto, IpNumber),
            hop_limit: 64,
            source: from.octets(),
            destination: to.octets(),
        };
        [&header.to_bytes()[..], &more].concat()
    }
}

/// Makes the checksum of an IPv4 header right.
pub(crate) fn mend(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let length = usize::from(packet[0] & 0xf) * 4;
    let sum: u32 =
        packet[..length].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// A packet of a client with this ToS or traffic class; a SYN with these TCP options, or data.
pub(crate) fn inner(v6: bool, tos: u8, payload: usize) -> Vec<u8> {
    let frame = match (CLIENT[usize::from(v6)], SERVICE[usize::from(v6)]) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            PacketBuilder::ethernet2([0; 6], [0; 6]).ipv4(from.octets(), to.octets(), 63)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            PacketBuilder::ethernet2([0; 6], [0; 6]).ipv6(from.octets(), to.octets(), 63)
        }
        _ => unreachable!(),
    };
    let mut bytes = Vec::new();
    frame.tcp(40_000, 443, 1, 64_000).ack(5).write(&mut bytes, &vec![0x55; payload]).expect("a Vec takes it");
    let mut packet = bytes.split_off(14);
    with_tos(&mut packet, tos);
    packet
}

/// Writes ToS or traffic class, and mends the checksum.
pub(crate) fn with_tos(packet: &mut [u8], tos: u8) {
    if packet[0] >> 4 == 6 {
        packet[0] = 0x60 | tos >> 4;
        packet[1] = tos << 4 | packet[1] & 0xf;
    } else {
        packet[1] = tos;
        mend(packet);
    }
}

/// A frame with these tags around a packet.
pub(crate) fn frame(tags: &[[u8; 4]], packet: &[u8]) -> Vec<u8> {
    let ethertype: [u8; 2] = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    [&MACS[..], &tags.concat(), &ethertype, packet].concat()
}

//! Frames of a few clients.

use etherparse::{
    IpHeaders, IpNumber, Ipv4Header, Ipv6Header, NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket,
    TcpOptionElement, TransportSlice,
};

use crate::world::{Addresses, OWN, PORT, PORT_BY_CONNECTION, VIP_ANY};
use balancer_common::walk::family::{V4, V6};

const PEER: [u8; 6] = [2, 0, 0, 0, 0, 0xee];
/// Initial sequence number of every connection.
const INITIAL: u32 = 1000;
/// Sequence numbers, from the initial one on: within, at, and beyond what fits, and half the circle away.
const OFFSETS: [u32; 8] = [0, 1, 2, 101, 65_536, 65_537, 1 << 31, u32::MAX - 98];
const ACKS: [u32; 4] = [5000, 5001, 5000 + (1 << 30), 4000];
const PAYLOADS: [usize; 4] = [0, 0, 1, 100];
/// Segment size that a SYN announces, if it does.
const SEGMENT_SIZE: u16 = 1460;

/// Source and destination of one family.
#[derive(Clone, Copy)]
enum Ends {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

/// A client's connection.
#[derive(Clone, Copy)]
pub(super) struct Connection {
    ends: Ends,
    sport: u16,
    dport: u16,
}

impl Connection {
    /// One of 256: eight clients, four ports each, to each service address, and to none.
    pub(super) fn numbered(number: u8) -> Self {
        let client = u32::from(number & 7);
        let sport = 4000 + u16::from(number >> 3 & 3);
        let v4 = |service: u32| Ends::V4(V4::client(client).to_ne_bytes(), service.to_ne_bytes());
        let octets = |address: [u64; 2]| {
            let mut octets = [0; 16];
            octets[..8].copy_from_slice(&address[0].to_ne_bytes());
            octets[8..].copy_from_slice(&address[1].to_ne_bytes());
            octets
        };
        let (ends, dport) = match number >> 5 {
            0 | 1 => (v4(V4::VIP), PORT),
            2 | 3 => (Ends::V6(octets(V6::client(client)), octets(V6::VIP)), PORT),
            4 => (v4(V4::VIP), PORT_BY_CONNECTION),
            5 => (v4(VIP_ANY), PORT),
            6 => (v4(VIP_ANY), 80),
            _ => (v4(V4::VIP), 80),
        };
        Self { ends, sport, dport }
    }

    /// That of who answers the packet in a frame; `None` if it is neither TCP nor UDP.
    pub(super) fn answering(frame: &[u8]) -> Option<Self> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let (sport, dport) = match packet.transport? {
            TransportSlice::Tcp(tcp) => (tcp.source_port(), tcp.destination_port()),
            TransportSlice::Udp(udp) => (udp.source_port(), udp.destination_port()),
            _ => return None,
        };
        let ends = match packet.net? {
            NetSlice::Ipv4(ip) => Ends::V4(ip.header().source(), ip.header().destination()),
            NetSlice::Ipv6(ip) => Ends::V6(ip.header().source(), ip.header().destination()),
            _ => return None,
        };
        Some(Self { ends, sport, dport }.turned())
    }

    fn turned(self) -> Self {
        let ends = match self.ends {
            Ends::V4(source, destination) => Ends::V4(destination, source),
            Ends::V6(source, destination) => Ends::V6(destination, source),
        };
        Self { ends, sport: self.dport, dport: self.sport }
    }

    fn ip(self) -> PacketBuilderStep<IpHeaders> {
        let ethernet = PacketBuilder::ethernet2(PEER, OWN);
        ethernet.ip(match self.ends {
            Ends::V4(source, destination) => {
                let header = Ipv4Header::new(0, 64, IpNumber::TCP, source, destination);
                IpHeaders::Ipv4(header.expect("an empty payload fits"), Default::default())
            }
            Ends::V6(source, destination) => {
                let header = Ipv6Header { source, destination, hop_limit: 64, ..Default::default() };
                IpHeaders::Ipv6(header, Default::default())
            }
        })
    }

    /// A segment; `numbers` picks sequence number 3 · ack 2 · payload 2 · whether a SYN announces a segment size 1, from the
    /// lowest bit up.
    pub(super) fn segment(self, flags: u8, numbers: u8) -> Vec<u8> {
        let pick = usize::from(numbers);
        let seq = INITIAL.wrapping_add(OFFSETS[pick & 7]);
        let mut tcp = etherparse::TcpHeader::new(self.sport, self.dport, seq, 64_000);
        tcp.acknowledgment_number = ACKS[pick >> 3 & 3];
        (tcp.fin, tcp.syn, tcp.rst) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        (tcp.psh, tcp.ack) = (flags & 8 != 0, flags & 16 != 0);
        if tcp.syn && numbers >> 7 != 0 {
            let size = [TcpOptionElement::MaximumSegmentSize(SEGMENT_SIZE)];
            tcp.set_options(&size).expect("it fits");
        }
        let mut frame = Vec::new();
        let payload = vec![0x55; PAYLOADS[pick >> 5 & 3]];
        self.ip().tcp_header(tcp).write(&mut frame, &payload).expect("a Vec takes every frame");
        frame
    }

    /// A datagram.
    pub(super) fn datagram(self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.ip().udp(self.sport, self.dport).write(&mut frame, b"hello").expect("a Vec takes every frame");
        frame
    }

    /// An ICMP error about a packet of the service to this client; `how` is its type in the lower half, a datagram or
    /// a segment, and where the quote ends.
    pub(super) fn error(self, how: u8) -> Vec<u8> {
        let answer = self.turned();
        let quoted = if how & 16 == 0 { answer.segment(16, 0) } else { answer.datagram() };
        let quote = &quoted[14..quoted.len() - usize::from(how >> 5) * 4];
        let mut frame = Vec::new();
        let written = match self.ends {
            Ends::V4(..) => self.ip().icmpv4_raw(how & 15, 0, [0; 4]).write(&mut frame, quote),
            Ends::V6(..) => self.ip().icmpv6_raw(how & 15, 0, [0; 4]).write(&mut frame, quote),
        };
        written.expect("a Vec takes every frame");
        frame
    }
}

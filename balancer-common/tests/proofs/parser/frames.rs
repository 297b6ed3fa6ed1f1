//! Frames that are valid, of every kind that the parser knows, built by an independent library.

use crate::world::OWN;
use etherparse::{
    IpAuthHeader, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions, PacketBuilder, TcpHeader,
    VlanId,
};
use proptest::{collection::vec, option, prelude::*};

const PEER: [u8; 6] = [2, 0, 0, 0, 0, 0xee];

/// A transport header.
#[derive(Clone, Debug)]
enum Transport {
    Tcp(Box<TcpHeader>),
    Udp { sport: u16, dport: u16 },
}

fn tcp() -> impl Strategy<Value = Transport> {
    let fields = (any::<[u16; 2]>(), any::<[u32; 2]>(), any::<u8>(), vec(any::<u32>(), 0..=10));
    fields.prop_map(|([sport, dport], [seq, ack], flags, options)| {
        let mut header = TcpHeader::new(sport, dport, seq, 64_000);
        header.acknowledgment_number = ack;
        header.syn = flags & 2 != 0;
        // A SYN with FIN or RST is refused, and no valid packet.
        header.fin = flags & 1 != 0 && !header.syn;
        header.rst = flags & 4 != 0 && !header.syn;
        (header.psh, header.ack, header.urg) = (flags & 8 != 0, flags & 16 != 0, flags & 32 != 0);
        let options: Vec<u8> = options.into_iter().flat_map(u32::to_be_bytes).collect();
        header.set_options_raw(&options).expect("at most 40 bytes");
        Transport::Tcp(Box::new(header))
    })
}

fn udp() -> impl Strategy<Value = Transport> {
    any::<[u16; 2]>().prop_map(|[sport, dport]| Transport::Udp { sport, dport })
}

fn ipv4() -> impl Strategy<Value = IpHeaders> {
    (any::<[[u8; 4]; 2]>(), vec(any::<u32>(), 0..=10), any::<(u16, bool)>()).prop_map(
        |([source, destination], options, (identification, dont_fragment))| {
            let mut header =
                Ipv4Header::new(0, 64, IpNumber::TCP, source, destination).expect("an empty payload fits");
            let options: Vec<u8> = options.into_iter().flat_map(u32::to_be_bytes).collect();
            header.options = Ipv4Options::try_from(options.as_slice()).expect("at most 40 bytes");
            (header.identification, header.dont_fragment) = (identification, dont_fragment);
            IpHeaders::Ipv4(header, Ipv4Extensions::default())
        },
    )
}

/// An options or routing header of 8 to 32 bytes.
fn raw_extension() -> impl Strategy<Value = Ipv6RawExtHeader> {
    (0usize..4, any::<[u8; 30]>()).prop_map(|(eights, bytes)| {
        Ipv6RawExtHeader::new_raw(IpNumber::TCP, &bytes[..6 + 8 * eights]).expect("a length that fits")
    })
}

fn authentication() -> impl Strategy<Value = IpAuthHeader> {
    (any::<[u32; 2]>(), 0usize..5).prop_map(|([spi, number], words)| {
        IpAuthHeader::new(IpNumber::TCP, spi, number, &[7; 20][..4 * words]).expect("a length that fits")
    })
}

/// Up to six headers: all that are allowed, each at most once, the destination options twice.
fn extensions() -> impl Strategy<Value = Ipv6Extensions> {
    let routing = (raw_extension(), option::of(raw_extension()))
        .prop_map(|(routing, last)| Ipv6RoutingExtensions { routing, final_destination_options: last });
    // An atomic fragment (RFC 6946) is whole.
    let fragment = any::<u32>().prop_map(|identification| {
        Ipv6FragmentHeader::new(IpNumber::TCP, IpFragOffset::ZERO, false, identification)
    });
    (
        option::of(raw_extension()),
        option::of(raw_extension()),
        option::of(routing),
        option::of(fragment),
        option::of(authentication()),
    )
        .prop_map(|(hop_by_hop_options, destination_options, routing, fragment, auth)| Ipv6Extensions {
            hop_by_hop_options,
            destination_options,
            routing,
            fragment,
            auth,
        })
}

fn ipv6() -> impl Strategy<Value = IpHeaders> {
    (any::<[[u8; 16]; 2]>(), extensions(), 0u8..=255).prop_map(
        |([source, destination], extensions, traffic_class)| {
            let header =
                Ipv6Header { source, destination, traffic_class, hop_limit: 64, ..Default::default() };
            IpHeaders::Ipv6(header, extensions)
        },
    )
}

fn build(tags: usize, ip: IpHeaders, transport: &Transport, payload: &[u8], padding: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(PEER, OWN);
    let id = |number| VlanId::try_new(number).expect("12 bits");
    let builder = match tags {
        0 => builder.ip(ip),
        1 => builder.single_vlan(id(7)).ip(ip),
        _ => builder.double_vlan(id(8), id(9)).ip(ip),
    };
    let mut frame = Vec::new();
    let written = match transport {
        Transport::Tcp(header) => builder.tcp_header(*header.clone()).write(&mut frame, payload),
        Transport::Udp { sport, dport } => builder.udp(*sport, *dport).write(&mut frame, payload),
    };
    written.expect("a Vec takes every frame");
    frame.resize(frame.len() + padding, 0);
    frame
}

/// A valid frame: 0 to 2 tags, options or extension headers, TCP or UDP, payload, and what pads it.
pub(super) fn valid() -> impl Strategy<Value = Vec<u8>> {
    let ip = prop_oneof![ipv4(), ipv6()];
    (0usize..3, ip, prop_oneof![2 => tcp(), 1 => udp()], vec(any::<u8>(), 0..64), 0usize..48)
        .prop_map(|(tags, ip, transport, payload, padding)| build(tags, ip, &transport, &payload, padding))
}

/// A valid frame with some bytes changed, most of them in its headers, and perhaps cut off.
pub(super) fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (prop_oneof![4 => 12usize..80, 1 => 0usize..400], any::<u8>());
    (valid(), vec(change, 0..4), option::weighted(0.3, 0usize..400)).prop_map(|(mut frame, changes, cut)| {
        for (at, byte) in changes {
            let length = frame.len();
            frame[at % length] = byte;
        }
        frame.truncate(cut.unwrap_or(usize::MAX));
        frame
    })
}

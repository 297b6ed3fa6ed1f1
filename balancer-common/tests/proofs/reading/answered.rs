//! What an answer to a frame must be, by another reader's word.

use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, LinkExtSlice, NetSlice, SlicedPacket, TcpSlice,
    TransportSlice, icmpv4, icmpv6, ip_number,
};

type Tags = Vec<[u8; 2]>;

/// Everything of a segment that an answer is made from.
struct Read<'a> {
    macs: ([u8; 6], [u8; 6]),
    tags: Tags,
    addresses: (Vec<u8>, Vec<u8>),
    checksums: bool,
    tcp: TcpSlice<'a>,
}

fn read(frame: &[u8]) -> Result<Read<'_>, String> {
    let packet = SlicedPacket::from_ethernet(frame).map_err(|error| error.to_string())?;
    let macs = (frame[..6].try_into().unwrap_or_default(), frame[6..12].try_into().unwrap_or_default());
    let tags = packet.link_exts.iter().filter_map(|ext| match ext {
        LinkExtSlice::Vlan(vlan) => Some(vlan.vlan_identifier().value().to_be_bytes()),
        _ => None,
    });
    let tags = tags.collect();
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return Err("no TCP".into()) };
    let (addresses, sum, ip_right) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let sum =
                tcp.to_header().calc_checksum_ipv4_raw(header.source(), header.destination(), tcp.payload());
            let right = header.to_header().calc_header_checksum() == header.header_checksum();
            ((header.source().to_vec(), header.destination().to_vec()), sum, right)
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let sum =
                tcp.to_header().calc_checksum_ipv6_raw(header.source(), header.destination(), tcp.payload());
            ((header.source().to_vec(), header.destination().to_vec()), sum, true)
        }
        _ => return Err("no IP".into()),
    };
    let checksums = ip_right && sum.is_ok_and(|sum| sum == tcp.checksum());
    Ok(Read { macs, tags, addresses, checksums, tcp })
}

/// Whether `answer` is the RST that RFC 9293 (3.10.7.1) wants in answer to the TCP segment in `frame`, and no more.
///
/// # Errors
/// What is not right about it.
pub(crate) fn is_rst_to(answer: &[u8], frame: &[u8]) -> Result<(), String> {
    let (asked, said) = (read(frame)?, read(answer)?);
    let tcp = (&asked.tcp, &said.tcp);
    let span = tcp.0.payload().len() as u32 + u32::from(tcp.0.syn()) + u32::from(tcp.0.fin());
    let expected = match tcp.0.ack() {
        true => (tcp.0.acknowledgment_number(), 0, false),
        false => (0, tcp.0.sequence_number().wrapping_add(span), true),
    };
    let found = (tcp.1.sequence_number(), tcp.1.acknowledgment_number(), tcp.1.ack());
    let turned = |(a, b): &(Vec<u8>, Vec<u8>)| (b.clone(), a.clone());
    let ports = |tcp: &TcpSlice<'_>| (tcp.source_port(), tcp.destination_port());
    for (holds, what) in [
        (!tcp.0.rst(), "a RST was answered".to_owned()),
        (said.macs == (asked.macs.1, asked.macs.0), format!("MAC addresses {:02x?}", said.macs)),
        (said.tags == asked.tags, format!("VLAN tags {:?} for {:?}", said.tags, asked.tags)),
        (said.addresses == turned(&asked.addresses), format!("addresses {:?}", said.addresses)),
        (ports(tcp.1) == (ports(tcp.0).1, ports(tcp.0).0), format!("ports {:?}", ports(tcp.1))),
        (found == expected, format!("seq, ack, ACK: {found:?}, not {expected:?}")),
        (tcp.1.rst() && !tcp.1.syn() && !tcp.1.fin(), "flags".to_owned()),
        (tcp.1.payload().is_empty() && tcp.1.options().is_empty(), "payload or options".to_owned()),
        (said.checksums, "a checksum is wrong".to_owned()),
        (no_more_than_headers(answer), format!("{} bytes", answer.len())),
        (hops(answer) == Some(64), format!("TTL {:?}", hops(answer))),
    ] {
        if !holds {
            return Err(what);
        }
    }
    Ok(())
}

/// Whether `answer` is the ICMP message that the port of the datagram in `frame` is unreachable (RFC 792; RFC 4443, 3.1),
/// with its IP header and eight bytes more.
///
/// # Errors
/// What is not right about it.
pub(crate) fn is_unreachable_to(answer: &[u8], frame: &[u8]) -> Result<(), String> {
    let v4 = Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::Port);
    is_told(answer, frame, v4, Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port))
}

/// Whether `answer` is the ICMP message of this type about the packet in `frame`, of whichever family that is, with its IP
/// header and eight bytes more.
///
/// # Errors
/// What is not right about it.
pub(crate) fn is_told(answer: &[u8], frame: &[u8], v4: Icmpv4Type, v6: Icmpv6Type) -> Result<(), String> {
    let parse =
        |frame| SlicedPacket::from_ethernet(frame).map_err(|error| format!("{error} in {frame:02x?}"));
    let (asked, said) = (parse(frame)?, parse(answer)?);
    let link = |packet: &SlicedPacket<'_>| 14 + 4 * packet.link_exts.len();
    let at = link(&asked);
    let (right, header) = match (&asked.net, &said.net, &said.transport) {
        (Some(NetSlice::Ipv4(asked)), Some(NetSlice::Ipv4(said)), Some(TransportSlice::Icmpv4(icmp))) => {
            let (asked, said) = (asked.header(), said.header());
            let right = icmp.icmp_type() == v4
                && icmp.checksum() == Icmpv4Header::with_checksum(v4, icmp.payload()).checksum
                && said.to_header().calc_header_checksum() == said.header_checksum()
                && (said.source(), said.destination()) == (asked.destination(), asked.source());
            (right, 20)
        }
        (Some(NetSlice::Ipv6(asked)), Some(NetSlice::Ipv6(said)), Some(TransportSlice::Icmpv6(icmp))) => {
            let (asked, said) = (asked.header(), said.header());
            let sum = Icmpv6Header::with_checksum(v6, said.source(), said.destination(), icmp.payload());
            let right = icmp.icmp_type() == v6
                && sum.is_ok_and(|header| header.checksum == icmp.checksum())
                && (said.source(), said.destination()) == (asked.destination(), asked.source());
            (right, 40)
        }
        _ => return Err(format!("no ICMP message: {answer:02x?}")),
    };
    for (holds, what) in [
        (right, format!("addresses, kind or a checksum: {answer:02x?}")),
        (answer[12..at] == frame[12..at], "VLAN tags".to_owned()),
        (answer[..6] == frame[6..12] && answer[6..12] == frame[..6], "MAC addresses".to_owned()),
        (hops(answer) == Some(64), format!("TTL {:?}", hops(answer))),
        (answer.len() == at + header + 8 + header + 8, format!("{} bytes", answer.len())),
        (answer[at + header + 8..] == frame[at..at + header + 8], "the quote".to_owned()),
    ] {
        if !holds {
            return Err(what);
        }
    }
    Ok(())
}

fn no_more_than_headers(frame: &[u8]) -> bool {
    SlicedPacket::from_ethernet(frame).is_ok_and(|packet| {
        let link = 14 + 4 * packet.link_exts.len();
        let ip = match &packet.net {
            Some(NetSlice::Ipv4(ip)) if ip.header().protocol() == ip_number::TCP => 20,
            Some(NetSlice::Ipv6(ip)) if ip.header().next_header() == ip_number::TCP => 40,
            _ => 0,
        };
        frame.len() == link + ip + 20
    })
}

fn hops(frame: &[u8]) -> Option<u8> {
    match SlicedPacket::from_ethernet(frame).ok()?.net? {
        NetSlice::Ipv4(ip) => Some(ip.header().ttl()),
        NetSlice::Ipv6(ip) => Some(ip.header().hop_limit()),
        _ => None,
    }
}

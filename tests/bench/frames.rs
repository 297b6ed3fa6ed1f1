//! Frames of the scenarios.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;

/// The loopback interface: test runs come in by it.
pub(crate) const INGRESS: u32 = 1;
/// MAC address of the balancer's interface.
pub(crate) const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 0xee];
/// Service address.
pub(crate) const VIP4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Service address.
pub(crate) const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
/// Service address of the backends that are reached in a tunnel.
pub(crate) const VIP_TUNNEL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
/// Service address of the backends that are reached by address translation.
pub(crate) const VIP_NAT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 12);
/// Service address of the same.
pub(crate) const VIP6_NAT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x12);
/// Port of every listener.
pub(crate) const PORT: u16 = 443;
/// Client port of every flow.
pub(crate) const SPORT: u16 = 40_000;
/// Offset of a v4 source address behind Ethernet.
pub(crate) const SOURCE4: u32 = 26;
/// Offset of the last four bytes of a v6 source address behind Ethernet.
pub(crate) const SOURCE6: u32 = 34;
const PAYLOAD: [u8; 64] = [0x55; 64];

/// What kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Syn,
    Ack,
    Data,
    Datagram,
}

/// A frame of client number `client` to a service address.
pub(crate) fn frame(vip: IpAddr, kind: Kind, client: u32) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(PEER, OWN);
    let tail = 0x0a00_0000 + client;
    let ip = match vip {
        IpAddr::V4(vip) => ethernet.ipv4(tail.to_be_bytes(), vip.octets(), 64),
        IpAddr::V6(vip) => {
            let mut source = [0x20, 0x01, 0xd, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            source[12..].copy_from_slice(&tail.to_be_bytes());
            ethernet.ipv6(source, vip.octets(), 64)
        }
    };
    let mut out = Vec::new();
    let written = match kind {
        Kind::Datagram => ip.udp(SPORT, PORT).write(&mut out, &PAYLOAD),
        Kind::Syn => ip.tcp(SPORT, PORT, 1000, 64_000).syn().write(&mut out, &[]),
        Kind::Ack => ip.tcp(SPORT, PORT, 1001, 64_000).ack(5000).write(&mut out, &[]),
        Kind::Data => ip.tcp(SPORT, PORT, 1001, 64_000).ack(5000).write(&mut out, &PAYLOAD),
    };
    written.expect("a Vec takes every frame");
    out
}

/// What the backend answers that has got this TCP frame, without options: data, or the second step of the handshake.
pub(crate) fn answer(frame: &[u8], syn: bool) -> Vec<u8> {
    let headers = etherparse::PacketHeaders::from_ethernet_slice(frame).expect("a frame of the walk");
    let Some(etherparse::TransportHeader::Tcp(tcp)) = headers.transport else {
        panic!("no TCP: {frame:02x?}")
    };
    let ethernet = PacketBuilder::ethernet2(PEER, OWN);
    let ip = match headers.net {
        Some(etherparse::NetHeaders::Ipv4(ip, _)) => ethernet.ipv4(ip.destination, ip.source, 64),
        Some(etherparse::NetHeaders::Ipv6(ip, _)) => ethernet.ipv6(ip.destination, ip.source, 64),
        _ => panic!("no IP: {frame:02x?}"),
    };
    let builder = ip.tcp(tcp.destination_port, tcp.source_port, 5000, 64_000).ack(1065);
    let mut out = Vec::new();
    let written = match syn {
        true => builder.syn().write(&mut out, &[]),
        false => builder.write(&mut out, &PAYLOAD),
    };
    written.expect("a Vec takes every frame");
    out
}

/// An ARP request.
pub(crate) fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(PEER);
    frame.extend([0x08, 0x06]);
    frame.resize(60, 0);
    frame[..6].copy_from_slice(&OWN);
    frame
}

/// An address as listeners have it.
pub(crate) fn wide(address: IpAddr) -> [u64; 2] {
    let octets = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let half = |from: usize| u64::from_ne_bytes(std::array::from_fn(|i| octets[from + i]));
    [half(0), half(8)]
}

use std::net::Ipv6Addr;

use super::*;

/// Type and code.
const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];
const PACKET_TOO_BIG: [u8; 2] = [2, 0];

fn header_v4(protocol: u8, options: usize, length: u16, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut header = vec![0; 20 + options];
    header[0] = 0x40 | (5 + options / 4) as u8;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[9] = protocol;
    header[12..16].copy_from_slice(&from);
    header[16..20].copy_from_slice(&to);
    header
}

fn header_v6(protocol: u8, payload: u16, from: &str, to: &str) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
    header[4..6].copy_from_slice(&payload.to_be_bytes());
    for address in [from, to] {
        header.extend(address.parse::<Ipv6Addr>().unwrap().octets());
    }
    header
}

fn message_v4(options: usize, kind: [u8; 2], protocol: u8) -> Vec<u8> {
    let mut message = header_v4(ICMP, options, 56, [10, 0, 0, 99], [192, 0, 2, 65]);
    message.extend([kind[0], kind[1], 0, 0, 0, 0, 0x05, 0x78]);
    message.extend(header_v4(protocol, 0, 1520, [192, 0, 2, 65], [10, 0, 1, 10]));
    message.extend([0; 8]);
    message
}

fn message_v6(kind: [u8; 2], protocol: u8) -> Vec<u8> {
    let mut message = header_v6(ICMPV6, 56, "fd00::99", "fd00::2");
    message.extend([kind[0], kind[1], 0, 0, 0, 0, 0x05, 0x78]);
    message.extend(header_v6(protocol, 1500, "fd00::2", "fd00:1::10"));
    message.extend([0; 8]);
    message
}

/// What the kernel lets through of these packets, which stand in a datagram where they would in what comes in.
fn passed(filter: &[[u32; 4]], packets: &[Vec<u8>]) -> Vec<bool> {
    let (sender, receiver) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
    attach(&receiver, filter).unwrap();
    receiver.set_nonblocking(true).unwrap();
    let mut buffer = [const { std::mem::MaybeUninit::uninit() }; SNAP];
    let mut passes = |packet: &Vec<u8>| {
        // A datagram that is filtered away is an error of its sender's.
        let _sent = sender.send(packet);
        receiver.recv(&mut buffer).is_ok()
    };
    packets.iter().map(&mut passes).collect()
}

#[test]
fn a_message_says_who_asks_for_smaller_packets_and_where_to() {
    for options in [0, 8] {
        let told = TooBig::read(&message_v4(options, FRAGMENTATION_NEEDED, 41)).unwrap();
        let [router, source, destination] =
            ["10.0.0.99", "192.0.2.65", "10.0.1.10"].map(|it| it.parse().unwrap());
        assert_eq!(told, TooBig { router, source, destination, length: 1520, mtu: 1400 });
    }
    let told = TooBig::read(&message_v6(PACKET_TOO_BIG, 4)).unwrap();
    let [router, source, destination] = ["fd00::99", "fd00::2", "fd00:1::10"].map(|it| it.parse().unwrap());
    assert_eq!(told, TooBig { router, source, destination, length: 1540, mtu: 1400 });
}

#[test]
fn the_filter_and_the_reader_want_the_same() {
    let v4 = [FRAGMENTATION_NEEDED, [3, 3], [11, 0]]
        .into_iter()
        .flat_map(|kind| [4, 41, 6, 17].map(|protocol| message_v4(8, kind, protocol)));
    let v6 = [PACKET_TOO_BIG, [1, 0], [3, 0]]
        .into_iter()
        .flat_map(|kind| [4, 41, 6, 17].map(|protocol| message_v6(kind, protocol)));
    let judge = |filter, messages: Vec<Vec<u8>>| {
        let wanted: Vec<_> = messages.iter().map(|it| TooBig::read(it).is_some()).collect();
        assert_eq!(wanted.iter().filter(|it| **it).count(), 2, "{wanted:?}");
        assert_eq!(passed(filter, &messages), wanted);
    };
    judge(FILTER_V4, v4.collect());
    judge(FILTER_V6, v6.collect());
}

#[test]
fn what_is_cut_says_nothing() {
    for whole in [message_v4(4, FRAGMENTATION_NEEDED, 4), message_v6(PACKET_TOO_BIG, 41)] {
        let quoted_header_ends = whole.len() - 8;
        for length in 0..whole.len() {
            assert_eq!(TooBig::read(&whole[..length]).is_some(), length >= quoted_header_ends, "{length}");
        }
    }
}

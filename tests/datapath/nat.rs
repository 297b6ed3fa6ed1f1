//! Packets of services whose backends are reached by address translation, both ways.

use crate::{
    answered::is_rst_to,
    fixture::{Fixture, Outcome, PORT, TX, VIP4, VIP6, vip_for},
    frames::{IP, Seg, extended, put16, tagged, tcp, udp, with_byte, with_options},
    nat_world::{
        BACKEND_PORT, FIRST, Shape, accepts, any, back, backend, backend_of, connect, forth, is_source, read,
        uses,
    },
    too_big::is_too_big_to,
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::{reason::Reason, serve::Serving};
use balancer_user::dataplane::{Doomed, Server};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7));
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

pub(crate) fn a_connection_is_translated_both_ways_and_keeps_its_port() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    for client in [CLIENT, CLIENT6] {
        let vip = vip_for(client);
        let (number, first) = connect(&mut fixture, client, 4000)?;
        ensure!(is_source(first.from.0) && (FIRST..FIRST + 256).contains(&first.from.1), "{first:?}");
        ensure!(first.to == (backend(number, client), BACKEND_PORT) && first.hops == 63, "{first:?}");
        for payload in [0, 1, 2, 1000] {
            let (_, seen) =
                forth(&mut fixture, &tcp(client, 4000, vip, PORT, Seg { payload, ..Seg::ack(1001) }))?;
            ensure!(seen.from == first.from && seen.payload == vec![0x55; payload], "{seen:?}");
            let answer =
                tcp(first.to.0, first.to.1, first.from.0, first.from.1, Seg { payload, ..Seg::ack(5000) });
            let heard = back(&mut fixture, &answer)?;
            ensure!(heard.from == (vip, PORT) && heard.to == (client, 4000) && heard.hops == 63, "{heard:?}");
            ensure!(heard.payload == vec![0x55; payload]);
        }
        ensure!(fixture.live(number)? == 1 || client.is_ipv6());
    }
    Ok(())
}

pub(crate) fn datagrams_are_translated_with_a_checksum_and_without() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    for client in [CLIENT, CLIENT6] {
        let vip = vip_for(client);
        let mut first = None;
        for round in 0..5 {
            let mut frame = udp(client, 4001, vip, PORT);
            let none = client.is_ipv4() && round == 3;
            if none {
                put16(&mut frame, IP + 20 + 6, 0);
            }
            let (_, seen) = forth(&mut fixture, &frame)?;
            ensure!(seen.payload == b"hello");
            ensure!(seen.from == *first.get_or_insert(seen.from), "{seen:?}, not from {first:?}");
            let heard = back(&mut fixture, &udp(seen.to.0, seen.to.1, seen.from.0, seen.from.1))?;
            ensure!(heard.from == (vip, PORT) && heard.to == (client, 4001), "{heard:?}");
        }
    }
    Ok(())
}

pub(crate) fn tags_options_and_extension_headers_stay() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    let (_, seen) = connect(&mut fixture, CLIENT, 4000)?;
    let (_, seen6) = connect(&mut fixture, CLIENT6, 4000)?;
    let data = tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: 9, ..Seg::ack(1001) });
    let data6 = tcp(CLIENT6, 4000, VIP6, PORT, Seg { payload: 9, ..Seg::ack(1001) });
    let mut optional = with_options(&data, 3);
    let sum = etherparse::Ipv4HeaderSlice::from_slice(&optional[IP..])?.to_header().calc_header_checksum();
    put16(&mut optional, IP + 10, sum.into());
    let chain =
        extended(&data6, &[(0, vec![0; 8]), (60, vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]);
    for (frame, wanted) in [(&data, &seen), (&optional, &seen), (&data6, &seen6), (&chain, &seen6)] {
        for tags in [&[][..], &[VLAN], &[QINQ, VLAN]] {
            let tagged = tagged(frame, tags);
            let (_, found) = forth(&mut fixture, &tagged)?;
            ensure!(
                found.from == wanted.from && found.to == wanted.to && found.payload.len() == 9,
                "{found:?}"
            );
        }
    }
    Ok(())
}

pub(crate) fn connections_to_one_backend_never_share_a_port() -> Result<()> {
    let shape = Shape::default();
    let mut fixture = shape.fixture()?;
    let mut seen = BTreeSet::new();
    for n in 0..300_u16 {
        let client = IpAddr::V4(Ipv4Addr::new(198, 51, (n / 100) as u8, (n % 100) as u8));
        let (_, one) = connect(&mut fixture, client, 4000)?;
        ensure!(seen.insert((one.to, one.from)), "{one:?} twice");
    }
    let ports: BTreeSet<_> = seen.iter().map(|(_, from)| *from).collect();
    ensure!(ports.len() < 300, "300 connections to three backends have {} ports", ports.len());
    ensure!(uses(&fixture, CLIENT, shape) == (300, 0), "{:?}", uses(&fixture, CLIENT, shape));
    Ok(())
}

pub(crate) fn a_port_of_nobody_is_refused_to_a_backend_and_others_pass() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    for client in [CLIENT, CLIENT6] {
        let (_, seen) = connect(&mut fixture, client, 4000)?;
        let (from, to) = (seen.to, seen.from);
        let other = if to.1 == FIRST { FIRST + 1 } else { to.1 - 1 };
        let ack = |from: (IpAddr, u16), to: (IpAddr, u16)| tcp(from.0, from.1, to.0, to.1, Seg::ack(1));
        fixture.expect(&ack(from, (to.0, other)), Outcome::Rst(Reason::NatStrayReset))?;
        fixture.expect(&tcp(from.0, from.1, to.0, other, Seg::rst(1)), Outcome::Drop(Reason::NatStray))?;
        fixture.expect(&udp(from.0, from.1, to.0, other), Outcome::Drop(Reason::NatStray))?;
        // Another port of the backend's, beyond the block on both sides, no source address, another host.
        fixture.expect(&ack((from.0, from.1 + 1), to), Outcome::Pass)?;
        fixture.expect(&ack(from, (to.0, FIRST - 1)), Outcome::Pass)?;
        fixture.expect(&ack(from, (to.0, FIRST + 256)), Outcome::Pass)?;
        let beside = match to.0 {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(10, 9, 0, 4)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 4)),
        };
        fixture.expect(&ack(from, (beside, to.1)), Outcome::Pass)?;
        fixture.expect(&ack((backend(9, client), from.1), to), Outcome::Pass)?;
    }
    Ok(())
}

pub(crate) fn where_no_port_is_left_a_new_connection_is_refused() -> Result<()> {
    let shape = Shape { words: 1, ..Shape::default() };
    let mut fixture = shape.fixture()?;
    fixture.choose_among(&[1])?;
    for n in 0..128 {
        connect(&mut fixture, CLIENT, 1000 + n)?;
    }
    let before = fixture.plane().signals(1).out_of_ports;
    fixture.expect(&tcp(CLIENT, 5000, VIP4, PORT, Seg::syn(1)), Outcome::Rst(Reason::NatExhausted))?;
    fixture.expect(&tcp(CLIENT, 5001, VIP4, PORT, Seg::syn(1)), Outcome::Rst(Reason::NatExhausted))?;
    fixture.expect(&udp(CLIENT, 5002, VIP4, PORT), Outcome::Unreachable)?;
    ensure!(fixture.plane().signals(1).out_of_ports == before + 3);
    // Nor is there one for a new connection from the port of one that closes: the old one's is the old one's.
    forth(&mut fixture, &tcp(CLIENT, 1001, VIP4, PORT, Seg::fin(1001)))?;
    fixture.expect(&tcp(CLIENT, 1001, VIP4, PORT, Seg::syn(77_000)), Outcome::Rst(Reason::NatExhausted))?;
    forth(&mut fixture, &tcp(CLIENT, 1001, VIP4, PORT, Seg::ack(1002)))?;
    forth(&mut fixture, &tcp(CLIENT, 1000, VIP4, PORT, Seg::ack(1001)))?;
    // The other family has ports of its own.
    connect(&mut fixture, CLIENT6, 4000)?;
    Ok(())
}

pub(crate) fn a_segment_of_an_unknown_connection_is_reset() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    for client in [CLIENT, CLIENT6] {
        let vip = vip_for(client);
        for seg in [Seg::ack(7), Seg { payload: 10, ..Seg::ack(7) }, Seg::fin(7)] {
            fixture.expect(&tcp(client, 4000, vip, PORT, seg), Outcome::Rst(Reason::NatUnknown))?;
        }
        fixture.expect(&tcp(client, 4000, vip, PORT, Seg::rst(7)), Outcome::Drop(Reason::NatStray))?;
    }
    ensure!(uses(&fixture, CLIENT, Shape::default()) == (0, 0));
    Ok(())
}

pub(crate) fn a_backend_that_resets_ends_the_flow() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    let (number, seen) = connect(&mut fixture, CLIENT, 4000)?;
    let signals = fixture.plane().signals(number);
    ensure!((signals.began, signals.accepted, signals.reset) == (1, 1, 0), "{signals:?}");
    ensure!(signals.accepted_after < 1_000_000, "{signals:?}");
    let rst = Seg { rst: true, ..Seg::ack(5000) };
    let heard = back(&mut fixture, &tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, rst))?;
    ensure!(heard.to == (CLIENT, 4000));
    ensure!(fixture.plane().signals(number).reset == 1 && fixture.live(number)? == 0);
    // What the client had sent before it heard goes on to the backend, and does not revive the flow.
    forth(&mut fixture, &tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1001)))?;
    ensure!(fixture.live(number)? == 0);
    Ok(())
}

pub(crate) fn a_forged_fin_costs_a_translated_flow_nothing() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    for client in [CLIENT, CLIENT6] {
        let (number, _) = connect(&mut fixture, client, 4000)?;
        let live = fixture.live(number)?;
        let send =
            |fixture: &mut Fixture, seg| forth(fixture, &tcp(client, 4000, vip_for(client), PORT, seg));
        send(&mut fixture, Seg::fin(1001))?;
        ensure!(fixture.live(number)? == live - 1);
        // What it acknowledges is not taken for the end that the FIN announced; data beyond that end shows that it lives.
        send(&mut fixture, Seg::ack(1002))?;
        ensure!(fixture.live(number)? == live - 1, "the last ACK revived it");
        send(&mut fixture, Seg { payload: 100, ..Seg::ack(1002) })?;
        ensure!(fixture.live(number)? == live, "data beyond the end did not revive it");
    }
    Ok(())
}

pub(crate) fn both_sides_of_a_flow_that_is_reset_hear_of_it() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    for client in [CLIENT, CLIENT6] {
        let (number, seen) = connect(&mut fixture, client, 4000)?;
        // An answer in this very tick: the next ones would not be looked at, if nothing happened to the flow.
        back(&mut fixture, &tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, Seg::ack(5000)))?;
        fixture.serve(number, Serving::RESETS);
        let data = tcp(client, 4000, vip_for(client), PORT, Seg { payload: 5, ..Seg::ack(1001) });
        fixture.expect(&data, Outcome::Rst(Reason::Reset))?;
        // The agent knows both ends, and what each has acknowledged.
        let doomed = fixture.plane().sweep().doomed;
        let mut ends = doomed.iter().filter_map(|Doomed { flow, .. }| fixture.plane().unconfirmed(*flow));
        let ends = ends.find(|ends| ends.client.ip() == client).context("the flow is reset")?;
        let socket = |(address, port)| std::net::SocketAddr::new(address, port);
        let server = Server { own: socket(seen.from), backend: socket(seen.to), ack: 5000 };
        ensure!((ends.ack, ends.server) == (5000, Some(server)), "{ends:?}");
        let answer = |seg| tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, seg);
        fixture.expect(&answer(Seg::ack(5000)), Outcome::Rst(Reason::NatStrayReset))?;
        fixture.expect(&answer(Seg::rst(5000)), Outcome::Drop(Reason::NatStray))?;
        fixture.serve(number, Serving::FLOWS | Serving::PINNED | Serving::NEW);
    }
    Ok(())
}

pub(crate) fn what_no_connection_holds_any_more_rests() -> Result<()> {
    let shape = Shape::default();
    let mut fixture = shape.fixture()?;
    // Connections that were given up: their client's RST frees a flow that is reset.
    let (number, seen) = connect(&mut fixture, CLIENT, 4000)?;
    let answer = tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, Seg::ack(5000));
    back(&mut fixture, &answer)?;
    fixture.serve(number, Serving::RESETS);
    fixture.expect(&tcp(CLIENT, 4000, VIP4, PORT, Seg::rst(1001)), Outcome::Drop(Reason::ResetConfirmed))?;
    fixture.expect(&answer, Outcome::Rst(Reason::NatStrayReset))?;
    ensure!(uses(&fixture, CLIENT, shape) == (0, 1), "{:?}", uses(&fixture, CLIENT, shape));
    fixture.serve(number, Serving::FLOWS | Serving::PINNED | Serving::NEW);
    // Embryonic ones push out each other: as many have a port as have a slot.
    for n in 0..1200_u16 {
        let client = IpAddr::V4(Ipv4Addr::new(198, 51, (n / 200) as u8, (n % 200) as u8));
        fixture.raw(&tcp(client, 4000, VIP4, PORT, Seg::syn(1)))?;
    }
    let embryonic = fixture.embryonic4() as u32;
    ensure!(uses(&fixture, CLIENT, shape).0 == embryonic, "{embryonic}, {:?}", uses(&fixture, CLIENT, shape));
    ensure!(embryonic > 100 && uses(&fixture, CLIENT, shape).1 > 100, "{embryonic}");
    // A connection in the place of a closing one takes another port, and the old one rests.
    let mut fixture = shape.fixture()?;
    let (_, first) = connect(&mut fixture, CLIENT, 4000)?;
    forth(&mut fixture, &tcp(CLIENT, 4000, VIP4, PORT, Seg::fin(1001)))?;
    let (_, second) = connect(&mut fixture, CLIENT, 4000)?;
    ensure!(first.from != second.from && uses(&fixture, CLIENT, shape) == (1, 1));
    Ok(())
}

pub(crate) fn the_port_that_was_asked_stays_where_every_one_is_listened_on() -> Result<()> {
    let mut fixture = Shape { port: 0, ..Shape::default() }.fixture()?;
    for asked in [80, 8443] {
        let (_, seen) = forth(&mut fixture, &tcp(CLIENT, 4000, any(), asked, Seg::syn(1000)))?;
        ensure!(seen.to.1 == asked, "{seen:?}");
        let heard = back(&mut fixture, &tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, accepts(1)))?;
        ensure!(heard.from == (any(), asked) && heard.to == (CLIENT, 4000), "{heard:?}");
    }
    Ok(())
}

pub(crate) fn a_clients_address_is_kept_where_the_service_says_so() -> Result<()> {
    let shape = Shape { keep: true, ..Shape::default() };
    let mut fixture = shape.fixture()?;
    for client in [CLIENT, CLIENT6] {
        let (number, seen) = connect(&mut fixture, client, 4000)?;
        ensure!(
            seen.from == (client, 4000) && seen.to == (backend(number, client), BACKEND_PORT),
            "{seen:?}"
        );
        // What else the backend sends is the host's to forward.
        fixture.expect(&tcp(seen.to.0, seen.to.1, client, 4001, Seg::ack(1)), Outcome::Pass)?;
        fixture.expect(&udp(seen.to.0, seen.to.1, client, 4000), Outcome::Pass)?;
        ensure!(uses(&fixture, client, shape) == (1, 0));
    }
    Ok(())
}

pub(crate) fn a_datagram_flow_that_moves_gets_a_port_at_its_new_backend() -> Result<()> {
    let shape = Shape::default();
    let mut fixture = shape.fixture()?;
    let frame = udp(CLIENT, 4001, VIP4, PORT);
    let (number, first) = forth(&mut fixture, &frame)?;
    for _ in 0..3 {
        forth(&mut fixture, &frame)?;
    }
    fixture.serve(number, 0);
    let (other, second) = forth(&mut fixture, &frame)?;
    ensure!(other != number && backend_of(&second)? == other);
    ensure!(uses(&fixture, CLIENT, shape) == (1, 1), "{:?}", uses(&fixture, CLIENT, shape));
    let heard = back(&mut fixture, &udp(second.to.0, second.to.1, second.from.0, second.from.1))?;
    ensure!(heard.to == (CLIENT, 4001));
    fixture.expect(&udp(first.to.0, first.to.1, first.from.0, first.from.1), Outcome::Drop(Reason::NatStray))
}

/// A TCP frame that announces a segment size, behind these options.
fn announcing(mut frame: Vec<u8>, before: &[u8], size: u16) -> Result<Vec<u8>> {
    let v4 = frame[12..14] == [8, 0];
    let transport = if v4 { IP + 20 } else { IP + 40 };
    let [a, b] = size.to_be_bytes();
    let mut options = [before, &[2, 4, a, b]].concat();
    options.resize(options.len().next_multiple_of(4), 0);
    frame[transport + 12] = ((5 + options.len() / 4) << 4) as u8;
    frame.extend(&options);
    let (at, length) = if v4 { (IP + 2, frame.len() - IP) } else { (IP + 4, frame.len() - transport) };
    put16(&mut frame, at, length);
    put16(&mut frame, transport + 16, 0);
    let headers = etherparse::PacketHeaders::from_ethernet_slice(&frame)?;
    let Some(etherparse::TransportHeader::Tcp(tcp)) = headers.transport else { anyhow::bail!("no TCP") };
    let sum = match headers.net {
        Some(etherparse::NetHeaders::Ipv4(mut ip, _)) => {
            ip.header_checksum = ip.calc_header_checksum();
            put16(&mut frame, IP + 10, ip.header_checksum.into());
            tcp.calc_checksum_ipv4_raw(ip.source, ip.destination, &[])?
        }
        Some(etherparse::NetHeaders::Ipv6(ip, _)) => {
            tcp.calc_checksum_ipv6_raw(ip.source, ip.destination, &[])?
        }
        _ => anyhow::bail!("no IP"),
    };
    put16(&mut frame, transport + 16, sum.into());
    Ok(frame)
}

pub(crate) fn a_syn_and_its_answer_announce_no_more_than_the_clamp_allows() -> Result<()> {
    let mut fixture = Shape { mss: 1300, ..Shape::default() }.fixture()?;
    let mut port = 4000;
    for client in [CLIENT, CLIENT6] {
        // First, behind one byte (at an odd place) and behind others.
        for before in [&[][..], &[1], &[1, 1], &[3, 3, 7], &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2]] {
            for (size, announced) in [(1460, 1300), (1300, 1300), (536, 536)] {
                port += 1;
                let syn = tcp(client, port, vip_for(client), PORT, Seg::syn(1000));
                let (_, seen) = forth(&mut fixture, &announcing(syn, before, size)?)?;
                ensure!(seen.mss == Some(announced), "{:?} for {size} behind {before:?}", seen.mss);
                let answer = tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, accepts(1));
                let heard = back(&mut fixture, &announcing(answer, before, size)?)?;
                ensure!(heard.mss == Some(announced), "{:?} for {size} in the answer", heard.mss);
            }
        }
        let (_, seen) = connect(&mut fixture, client, 9999)?;
        ensure!(seen.mss.is_none());
    }
    // Where nothing is translated the SYN is bounded too.
    let mut fixture = Fixture::new()?;
    for number in 1..=3 {
        let way = balancer_common::table::way::Way { mss: 1200, ..Default::default() };
        fixture.plane().set_way(number, true, &way)?;
    }
    let syn = announcing(tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1)), &[], 1460)?;
    let sent = read(&fixture.raw(&syn)?.frame)?;
    ensure!(sent.mss == Some(1200) && sent.hops == 64, "{sent:?}");
    Ok(())
}

pub(crate) fn a_packet_that_does_not_fit_is_answered_and_one_without_a_hop_dropped() -> Result<()> {
    let mut fixture = Shape { mtu: 1400, ..Shape::default() }.fixture()?;
    for (client, headers, hops) in [(CLIENT, 40, IP + 8), (CLIENT6, 60, IP + 7)] {
        let (_, seen) = connect(&mut fixture, client, 4000)?;
        let sized = |length: usize| {
            let payload = length - headers;
            tcp(client, 4000, vip_for(client), PORT, Seg { payload, ..Seg::ack(1001) })
        };
        forth(&mut fixture, &sized(1400))?;
        std::thread::sleep(std::time::Duration::from_millis(10));
        let run = fixture.raw(&sized(1401))?;
        ensure!((run.verdict, &run.reasons[..]) == (TX, &[Reason::TooBig][..]), "{run:?}");
        is_too_big_to(&run.frame, &sized(1401), 1400).map_err(anyhow::Error::msg)?;
        fixture.expect(&with_byte(&sized(100), hops, 1), Outcome::Drop(Reason::TtlExpired))?;
        let answer = tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, Seg::ack(5000));
        fixture.expect(&with_byte(&answer, hops, 1), Outcome::Drop(Reason::TtlExpired))?;
        let stray = tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, Seg::ack(5000));
        ensure!(is_rst_to(&fixture.raw(&stray)?.frame, &stray).is_err(), "an answer was refused");
    }
    Ok(())
}

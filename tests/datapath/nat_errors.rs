//! ICMP errors about packets that were translated.

use crate::{
    fixture::{OWN, Outcome, PEER, PORT, TX, mac, vip_for},
    frames::{IP, Seg, tcp, udp},
    icmp::{CLIENTS, ROUTER, ROUTER6, errors, message},
    nat_world::{Seen, Shape, connect, forth},
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::{reason::Reason, serve::Serving, state::Proto};
use etherparse::{LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};
use std::net::IpAddr;

/// An ICMP error as its receiver reads it, its checksums looked at.
#[derive(Debug, PartialEq, Eq)]
struct Error {
    from: IpAddr,
    to: IpAddr,
    hops: u8,
    quoted_from: (IpAddr, u16),
    quoted_to: (IpAddr, u16),
}

/// Reads the packet that an error quotes: cut off somewhere, its header's checksum right.
fn quoted(bytes: &[u8]) -> Result<((IpAddr, u16), (IpAddr, u16))> {
    let packet = LaxSlicedPacket::from_ip(bytes)?;
    let (from, to): (IpAddr, IpAddr) = match packet.net.context("no IP is quoted")? {
        etherparse::LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let right = header.to_header().calc_header_checksum() == header.header_checksum();
            ensure!(right, "the checksum of the quoted header is wrong");
            (header.source().into(), header.destination().into())
        }
        etherparse::LaxNetSlice::Ipv6(ip) => (ip.header().source().into(), ip.header().destination().into()),
        _ => anyhow::bail!("no IP is quoted"),
    };
    let header = if from.is_ipv4() { 20 } else { 40 };
    let port = |at: usize| u16::from_be_bytes([bytes[header + at], bytes[header + at + 1]]);
    Ok(((from, port(0)), (to, port(2))))
}

/// Whether the ones' complement sum of all words, a checksum among them, is right. The parts but the last are even.
fn sums_up(parts: &[&[u8]]) -> bool {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | word.get(1).copied().map_or(0, u32::from)).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded & 0xffff) + (folded >> 16) == 0xffff
}

fn read(frame: &[u8]) -> Result<Error> {
    let packet = SlicedPacket::from_ethernet(frame)?;
    let (from, to, hops, payload): (IpAddr, IpAddr, u8, _) = match (&packet.net, &packet.transport) {
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) => {
            let header = ip.header();
            ensure!(header.to_header().calc_header_checksum() == header.header_checksum(), "IPv4 checksum");
            ensure!(sums_up(&[icmp.slice()]), "ICMP checksum");
            (header.source().into(), header.destination().into(), header.ttl(), icmp.payload())
        }
        (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) => {
            let header = ip.header();
            let (source, destination) = (header.source(), header.destination());
            let length = (icmp.slice().len() as u32).to_be_bytes();
            let pseudo = [&source[..], &destination, &length, &[0, 0, 0, 58]].concat();
            ensure!(sums_up(&[&pseudo, icmp.slice()]), "ICMPv6 checksum");
            (source.into(), destination.into(), header.hop_limit(), icmp.payload())
        }
        _ => anyhow::bail!("no ICMP: {frame:02x?}"),
    };
    let (quoted_from, quoted_to) = quoted(payload)?;
    Ok(Error { from, to, hops, quoted_from, quoted_to })
}

const fn router(of: IpAddr) -> IpAddr {
    if of.is_ipv4() { IpAddr::V4(ROUTER) } else { IpAddr::V6(ROUTER6) }
}

/// What was sent between two ends, as an error quotes it.
fn quote(proto: Proto, from: (IpAddr, u16), to: (IpAddr, u16), behind: usize) -> Vec<u8> {
    let frame = match proto {
        Proto::Tcp => tcp(from.0, from.1, to.0, to.1, Seg { payload: 1000, ..Seg::ack(1) }),
        Proto::Udp => udp(from.0, from.1, to.0, to.1),
    };
    let header = if from.0.is_ipv4() { 20 } else { 40 };
    frame[IP..frame.len().min(IP + header + behind)].to_vec()
}

/// A connection or an exchange of datagrams: its backend, and what that sees.
fn flow(shape: Shape, proto: Proto, client: IpAddr) -> Result<(crate::fixture::Fixture, u16, Seen)> {
    let mut fixture = shape.fixture()?;
    let (number, seen) = match proto {
        Proto::Tcp => connect(&mut fixture, client, 4000)?,
        Proto::Udp => forth(&mut fixture, &udp(client, 4000, vip_for(client), PORT))?,
    };
    Ok((fixture, number, seen))
}

/// Errors about what the service sent to its client reach the backend.
fn towards_backend(shape: Shape, proto: Proto, client: IpAddr) -> Result<()> {
    let (mut fixture, number, seen) = flow(shape, proto, client)?;
    let vip = vip_for(client);
    for (kind, code) in errors(client) {
        for behind in [8, 13, 600] {
            let quote = quote(proto, (vip, PORT), (client, 4000), behind);
            let run = fixture.raw(&message(vip, *kind, *code, &quote))?;
            ensure!((run.verdict, &run.reasons[..]) == (TX, &[Reason::IcmpError][..]), "{run:?}");
            ensure!(run.frame[..6] == mac(number) && run.frame[6..12] == OWN);
            let from = if shape.keep { router(client) } else { seen.from.0 };
            let expected =
                Error { from, to: seen.to.0, hops: 63, quoted_from: seen.to, quoted_to: seen.from };
            ensure!(read(&run.frame)? == expected, "{:?}, not {expected:?}", read(&run.frame)?);
        }
    }
    Ok(())
}

/// Errors about what was sent to a backend reach the client.
fn towards_client(shape: Shape, proto: Proto, client: IpAddr) -> Result<()> {
    let (mut fixture, _, seen) = flow(shape, proto, client)?;
    let vip = vip_for(client);
    for (kind, code) in errors(client) {
        for behind in [8, 600] {
            let quote = quote(proto, seen.from, seen.to, behind);
            let run = fixture.raw(&message(seen.from.0, *kind, *code, &quote))?;
            ensure!((run.verdict, &run.reasons[..]) == (TX, &[Reason::IcmpErrorBack][..]), "{run:?}");
            ensure!(run.frame[..6] == PEER && run.frame[6..12] == OWN);
            let expected = Error {
                from: vip,
                to: client,
                hops: 63,
                quoted_from: (client, 4000),
                quoted_to: (vip, PORT),
            };
            ensure!(read(&run.frame)? == expected, "{:?}, not {expected:?}", read(&run.frame)?);
        }
    }
    Ok(())
}

pub(crate) fn an_error_of_the_network_towards_a_client_reaches_the_backend_translated() -> Result<()> {
    for client in CLIENTS {
        for proto in [Proto::Tcp, Proto::Udp] {
            towards_backend(Shape::default(), proto, client).with_context(|| format!("{client} {proto}"))?;
        }
    }
    Ok(())
}

pub(crate) fn an_error_of_the_network_towards_a_backend_reaches_the_client_translated() -> Result<()> {
    for client in CLIENTS {
        for proto in [Proto::Tcp, Proto::Udp] {
            towards_client(Shape::default(), proto, client).with_context(|| format!("{client} {proto}"))?;
        }
    }
    Ok(())
}

pub(crate) fn errors_find_their_way_where_the_clients_address_is_kept() -> Result<()> {
    let shape = Shape { keep: true, ..Shape::default() };
    for client in CLIENTS {
        towards_backend(shape, Proto::Tcp, client).with_context(|| format!("to the backend, {client}"))?;
        towards_client(shape, Proto::Tcp, client).with_context(|| format!("to {client}"))?;
    }
    Ok(())
}

pub(crate) fn an_error_does_not_reach_a_backend_that_may_not_serve() -> Result<()> {
    for client in CLIENTS {
        let (mut fixture, number, _) = flow(Shape::default(), Proto::Tcp, client)?;
        let vip = vip_for(client);
        let (kind, code) = errors(client)[0];
        let error = message(vip, kind, code, &quote(Proto::Tcp, (vip, PORT), (client, 4000), 8));
        for state in [0, Serving::RESETS] {
            fixture.serve(number, state);
            fixture.expect(&error, Outcome::Drop(Reason::NoBackend))?;
        }
    }
    Ok(())
}

pub(crate) fn an_error_about_nothing_that_is_translated_passes() -> Result<()> {
    for client in CLIENTS {
        let (mut fixture, _, seen) = flow(Shape::default(), Proto::Tcp, client)?;
        let vip = vip_for(client);
        let (kind, code) = errors(client)[0];
        // Of a client without a flow, of a port of nobody's, of another backend port, of another protocol, and not to
        // its sender.
        let stranger = quote(Proto::Tcp, (vip, PORT), (client, 4001), 8);
        fixture.expect(&message(vip, kind, code, &stranger), Outcome::Pass)?;
        let port = if seen.from.1 % 2 == 0 { seen.from.1 + 1 } else { seen.from.1 - 1 };
        let nobody = quote(Proto::Tcp, (seen.from.0, port), seen.to, 8);
        fixture.expect(&message(seen.from.0, kind, code, &nobody), Outcome::Pass)?;
        let elsewhere = quote(Proto::Tcp, seen.from, (seen.to.0, seen.to.1 + 1), 8);
        fixture.expect(&message(seen.from.0, kind, code, &elsewhere), Outcome::Pass)?;
        let other = quote(Proto::Udp, seen.from, seen.to, 8);
        fixture.expect(&message(seen.from.0, kind, code, &other), Outcome::Pass)?;
        let misled = quote(Proto::Tcp, seen.from, seen.to, 8);
        fixture.expect(&message(vip, kind, code, &misled), Outcome::Pass)?;
    }
    Ok(())
}

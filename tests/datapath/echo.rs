//! ICMP echo to a service address.

use crate::{
    fixture::{Fixture, OWN, Outcome, PEER, TX, vip_for},
    frames::{elsewhere, tagged},
    icmp::CLIENTS,
};
use anyhow::{Result, ensure};
use balancer_common::{reason::Reason, table::listener::Echo};
use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, NetSlice, SlicedPacket, TransportSlice,
};
use std::net::IpAddr;

/// An echo request of a client to a service address.
fn request(client: IpAddr, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    let ethernet = etherparse::PacketBuilder::ethernet2(PEER, OWN);
    let mut frame = Vec::new();
    let written = match (client, to) {
        (IpAddr::V4(client), IpAddr::V4(to)) => {
            let ip = ethernet.ipv4(client.octets(), to.octets(), 9);
            ip.icmpv4_echo_request(7, 3).write(&mut frame, payload)
        }
        (IpAddr::V6(client), IpAddr::V6(to)) => {
            let ip = ethernet.ipv6(client.octets(), to.octets(), 9);
            ip.icmpv6_echo_request(7, 3).write(&mut frame, payload)
        }
        _ => panic!("{client} and {to} are of two families"),
    };
    written.expect("a Vec takes every frame");
    frame
}

/// Whether a frame is the answer to a request.
fn is_reply(answer: &[u8], asked: &[u8], payload: &[u8]) -> Result<()> {
    ensure!(answer.len() == asked.len() && answer[..6] == PEER && answer[6..12] == OWN);
    let (said, asked) = (SlicedPacket::from_ethernet(answer)?, SlicedPacket::from_ethernet(asked)?);
    let echo = etherparse::IcmpEchoHeader { id: 7, seq: 3 };
    match (said.net, asked.net, said.transport) {
        (Some(NetSlice::Ipv4(said)), Some(NetSlice::Ipv4(asked)), Some(TransportSlice::Icmpv4(icmp))) => {
            let (said, asked) = (said.header(), asked.header());
            ensure!((said.source(), said.destination()) == (asked.destination(), asked.source()));
            ensure!(said.to_header().calc_header_checksum() == said.header_checksum() && said.ttl() == 64);
            let reply = Icmpv4Type::EchoReply(echo);
            ensure!(icmp.icmp_type() == reply && icmp.payload() == payload);
            ensure!(icmp.checksum() == Icmpv4Header::with_checksum(reply, payload).checksum);
        }
        (Some(NetSlice::Ipv6(said)), Some(NetSlice::Ipv6(asked)), Some(TransportSlice::Icmpv6(icmp))) => {
            let (said, asked) = (said.header(), asked.header());
            ensure!((said.source(), said.destination()) == (asked.destination(), asked.source()));
            let reply = Icmpv6Type::EchoReply(echo);
            ensure!(icmp.icmp_type() == reply && icmp.payload() == payload && said.hop_limit() == 64);
            let sum = Icmpv6Header::with_checksum(reply, said.source(), said.destination(), payload)?;
            ensure!(icmp.checksum() == sum.checksum);
        }
        _ => anyhow::bail!("no echo reply: {answer:02x?}"),
    }
    Ok(())
}

pub(crate) fn an_echo_request_is_answered_or_withheld_or_left_to_the_host() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for client in CLIENTS {
        let vip = vip_for(client);
        for length in [0, 1, 56, 1000] {
            let payload = vec![0x5a; length];
            let frame = request(client, vip, &payload);
            fixture.amend(|listener| listener.echo = Echo::Answer)?;
            for tags in [&[][..], &[0x8100]] {
                let run = fixture.raw(&tagged(&frame, tags))?;
                ensure!((run.verdict, &run.reasons[..]) == (TX, &[Reason::Echo][..]), "{run:?}");
                if tags.is_empty() {
                    is_reply(&run.frame, &frame, &payload)?;
                }
            }
            fixture.expect(&elsewhere(&frame), Outcome::Pass)?;
            fixture.amend(|listener| listener.echo = Echo::Drop)?;
            fixture.expect(&frame, Outcome::Drop(Reason::EchoWithheld))?;
            fixture.amend(|listener| listener.echo = Echo::Pass)?;
            fixture.expect(&frame, Outcome::Pass)?;
        }
    }
    Ok(())
}

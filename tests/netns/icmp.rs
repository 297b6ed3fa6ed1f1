//! "Packet too big" for a flow: the backend that has the flow must hear it, or path MTU discovery is blind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, PacketBuilder, icmpv4::DestUnreachableHeader,
};
use lab::{
    crowd::{Crowd, Kind},
    lifecycle::Extent,
    paths::Place,
    topology::{Host, VIP_V4, VIP_V6, WS_PORT, client_v4, client_v6},
    wire::Report,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Test,
    labs::{Lab, block_on},
};

pub(crate) const TESTS: &[Test] =
    &[("a_packet_too_big_for_a_flow_reaches_its_backend", packet_too_big_reaches_the_flows_backend)];

/// Clients whose flows are told: some of each family, so that several backends are among them.
const CLIENTS: u8 = 6;

fn packet_too_big_reaches_the_flows_backend() -> Result<()> {
    block_on(async {
        let lab = Lab::up("bt-ptb-", Extent::Agent).await?;
        let mut crowd = Crowd::start(&lab.place, Kind::Ws)?;
        let clients = (1..=CLIENTS).flat_map(|n| [client_v4(1, n), client_v6(1, n)]).collect();
        for report in crowd.open(clients).await? {
            let home = report.backend.clone().with_context(|| format!("{report:?}"))?;
            let before = heard(&lab.place)?;
            send(&lab.place, &report)?;
            let after = heard(&lab.place)?;
            for ((backend, before), (_, after)) in before.into_iter().zip(after) {
                let expected = u64::from(backend.to_string() == home);
                ensure!(
                    after - before == expected,
                    "{}'s flow is at {home}; {backend} heard {} messages about it",
                    report.source,
                    after - before
                );
            }
        }
        Ok(())
    })
}

/// How many messages of this kind each backend's kernel has taken so far, v4 and v6 together.
fn heard(place: &Place) -> Result<Vec<(Host, u64)>> {
    Host::backends()
        .map(|host| {
            let (v4, v6) = place.netns(host).inside(|| {
                // `/proc/net` would be the main thread's namespace.
                let read = |name| std::fs::read_to_string(format!("/proc/thread-self/net/{name}"));
                Ok((read("snmp")?, read("snmp6")?))
            })?;
            let v4 = v4_counter(&v4).context("no counter InDestUnreachs in snmp")?;
            let v6 = v6_counter(&v6).context("no counter Icmp6InPktTooBigs in snmp6")?;
            Ok((host, v4 + v6))
        })
        .collect()
}

/// Of two lines that begin with `Icmp:`, the first names the columns.
fn v4_counter(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Icmp:")).map(str::split_whitespace);
    let (names, values) = (lines.next()?, lines.next()?);
    names.zip(values).find(|(name, _)| *name == "InDestUnreachs")?.1.parse().ok()
}

fn v6_counter(snmp6: &str) -> Option<u64> {
    let line = snmp6.lines().find(|line| line.starts_with("Icmp6InPktTooBigs"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Sends what a router on the way to the client would send to the service address.
fn send(place: &Place, flow: &Report) -> Result<()> {
    let (domain, protocol, message, vip) = match flow.source {
        IpAddr::V4(client) => (Domain::IPV4, Protocol::ICMPV4, message_v4(client, flow.port)?, VIP_V4.into()),
        IpAddr::V6(client) => {
            (Domain::IPV6, Protocol::ICMPV6, message_v6(client, flow.port)?, IpAddr::from(VIP_V6))
        }
    };
    place.netns(Host::Client(2)).inside(|| {
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.send_to(&message, &SocketAddr::new(vip, 0).into())?;
        Ok(())
    })?;
    // A hop or two of veth, and the kernel's own queue.
    std::thread::sleep(std::time::Duration::from_millis(50));
    Ok(())
}

/// Type 3 code 4 with the beginning of a packet from the service address to the client.
fn message_v4(client: Ipv4Addr, port: u16) -> Result<Vec<u8>> {
    let inner = PacketBuilder::ipv4(VIP_V4.octets(), client.octets(), 60).tcp(WS_PORT, port, 1, 1000);
    let mut packet = Vec::new();
    inner.write(&mut packet, &[0; 8])?;
    let kind = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1300 };
    let header = Icmpv4Header::with_checksum(Icmpv4Type::DestinationUnreachable(kind), &packet);
    Ok([header.to_bytes().as_slice(), &packet].concat())
}

/// Type 2; the kernel fills the checksum in.
fn message_v6(client: Ipv6Addr, port: u16) -> Result<Vec<u8>> {
    let inner = PacketBuilder::ipv6(VIP_V6.octets(), client.octets(), 60).tcp(WS_PORT, port, 1, 1000);
    let mut packet = Vec::new();
    inner.write(&mut packet, &[0; 8])?;
    let header = Icmpv6Header::new(Icmpv6Type::PacketTooBig { mtu: 1300 });
    Ok([header.to_bytes().as_slice(), &packet].concat())
}

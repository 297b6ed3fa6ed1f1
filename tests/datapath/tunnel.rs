//! Packets that reach their backend in an IP tunnel, and those that do not fit their way.

use crate::{
    fixture::{EGRESS, Fixture, INGRESS, OWN, OWN_EGRESS, Outcome, PORT, TX, VIP4, VIP6, mac, vip_for},
    frames::{IP, Seg, put16, tagged, tcp, udp, with_byte},
    too_big::is_too_big_to,
    ways::{self, TUNNEL4, TUNNEL6, backend},
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::{
    reason::Reason,
    state::Mode,
    table::{backend::NextHop, way::Way},
};
use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

/// The address that a backend's tunnel ends at.
fn end(number: u16, v6: bool) -> IpAddr {
    backend(number, if v6 { CLIENT6.into() } else { CLIENT.into() })
}

/// A fixture whose backends are reached in tunnels; of IPv6 if `v6`.
pub(crate) fn tunnelled(v6: bool, mtu: u16) -> Result<Fixture> {
    let mut fixture = Fixture::new()?;
    for number in 1..=3 {
        let way = ways::tunnel(number, v6, mtu, fixture.hop(number));
        fixture.reach(number, Mode::Ipip, [way; 2])?;
    }
    Ok(fixture)
}

/// What stands around a wrapped packet.
struct Outer {
    backend: u16,
    source: IpAddr,
    tos: u8,
    label: u32,
    dont_fragment: bool,
    id: u16,
    inner: Vec<u8>,
}

/// Takes a wrapped frame apart: `link` bytes of link layer, the outer header, the inner packet.
fn unwrap(sent: &[u8], link: usize, v6: bool, inner: IpNumber) -> Result<Outer> {
    let backend = (1..=3).find(|number| sent[..6] == mac(*number)).context("to nobody's MAC address")?;
    ensure!(sent[6..12] == OWN, "from {:02x?}", &sent[6..12]);
    let ethertype: &[u8] = if v6 { &[0x86, 0xdd] } else { &[8, 0] };
    ensure!(sent[link - 2..link] == *ethertype, "ethertype {:02x?}", &sent[link - 2..link]);
    if v6 {
        let header = Ipv6HeaderSlice::from_slice(&sent[link..])?;
        ensure!((header.next_header(), header.hop_limit()) == (inner, 64));
        ensure!(IpAddr::from(header.destination()) == end(backend, true), "to {:?}", header.destination());
        ensure!(usize::from(header.payload_length()) == sent.len() - link - 40);
        return Ok(Outer {
            backend,
            source: header.source().into(),
            tos: header.traffic_class(),
            label: header.flow_label().value(),
            dont_fragment: true,
            id: 0,
            inner: sent[link + 40..].to_vec(),
        });
    }
    let header = Ipv4HeaderSlice::from_slice(&sent[link..])?;
    ensure!((header.protocol(), header.ttl(), header.ihl()) == (inner, 64, 5));
    ensure!(header.to_header().calc_header_checksum() == header.header_checksum(), "outer checksum");
    ensure!(IpAddr::from(header.destination()) == end(backend, false), "to {:?}", header.destination());
    ensure!(usize::from(header.total_len()) == sent.len() - link);
    Ok(Outer {
        backend,
        source: header.source().into(),
        tos: sent[link + 1],
        label: 0,
        dont_fragment: header.dont_fragment(),
        id: header.identification(),
        inner: sent[link + 20..].to_vec(),
    })
}

const fn inner_of(client: IpAddr) -> IpNumber {
    if client.is_ipv4() { IpNumber::IPV4 } else { IpNumber::IPV6 }
}

/// The packet in a frame, as it is sent on: one hop fewer.
fn aged(frame: &[u8], link: usize) -> Result<Vec<u8>> {
    let mut packet = frame[link..].to_vec();
    if packet[0] >> 4 == 6 {
        packet[7] -= 1;
        return Ok(packet);
    }
    packet[8] -= 1;
    let sum = Ipv4HeaderSlice::from_slice(&packet)?.to_header().calc_header_checksum();
    put16(&mut packet, 10, sum.into());
    Ok(packet)
}

pub(crate) fn all_four_pairs_of_versions_are_wrapped_as_the_rfcs_say() -> Result<()> {
    for v6 in [false, true] {
        let mut fixture = tunnelled(v6, 0)?;
        for client in [IpAddr::from(CLIENT), IpAddr::from(CLIENT6)] {
            let data = tcp(client, 4000, vip_for(client), PORT, Seg { payload: 700, ..Seg::ack(1001) });
            for frame in [data, udp(client, 4001, vip_for(client), PORT)] {
                for tags in [&[][..], &[VLAN], &[QINQ, VLAN]] {
                    let (frame, link) = (tagged(&frame, tags), 14 + 4 * tags.len());
                    let run = fixture.raw(&frame)?;
                    ensure!(run.verdict == TX && run.reasons.len() == 1, "{run:?}");
                    let outer = unwrap(&run.frame, link, v6, inner_of(client))?;
                    ensure!(run.frame[12..link - 2] == frame[12..link - 2], "VLAN tags");
                    ensure!(outer.inner == aged(&frame, link)?, "the inner packet: {:02x?}", outer.inner);
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn ecn_and_dont_fragment_are_copied() -> Result<()> {
    for v6 in [false, true] {
        let mut fixture = tunnelled(v6, 0)?;
        for tos in [0, 1, 2, 3, 0xb8 | 2, 0xff] {
            let mut frame = with_byte(&tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1001)), IP + 1, tos);
            for (flags, dont_fragment) in [(0x40, true), (0, false)] {
                frame[IP + 4..IP + 6].copy_from_slice(&[0xbe, 0xef]);
                frame[IP + 6] = flags;
                let outer = unwrap(&fixture.raw(&frame)?.frame, 14, v6, IpNumber::IPV4)?;
                ensure!(outer.tos == tos, "{:#x} for {tos:#x}", outer.tos);
                if !v6 {
                    // An outer packet that may be fragmented needs an identification (RFC 6864).
                    let id = if dont_fragment { 0 } else { 0xbeef };
                    ensure!((outer.dont_fragment, outer.id) == (dont_fragment, id));
                }
            }
            let mut frame = tcp(CLIENT6, 4000, VIP6, PORT, Seg::ack(1001));
            frame[IP] = 0x60 | tos >> 4;
            frame[IP + 1] = tos << 4 | frame[IP + 1] & 0xf;
            let outer = unwrap(&fixture.raw(&frame)?.frame, 14, v6, IpNumber::IPV6)?;
            ensure!(outer.tos == tos && outer.dont_fragment, "{:#x} for {tos:#x}", outer.tos);
        }
    }
    Ok(())
}

pub(crate) fn flows_spread_over_the_sources_and_each_keeps_its_own() -> Result<()> {
    for v6 in [false, true] {
        let mut fixture = tunnelled(v6, 0)?;
        for client in [IpAddr::from(CLIENT), IpAddr::from(CLIENT6)] {
            let (mut sources, mut labels) = (BTreeSet::new(), BTreeSet::new());
            for port in 1000..1512 {
                let syn = tcp(client, port, vip_for(client), PORT, Seg::syn(1));
                let ack = tcp(client, port, vip_for(client), PORT, Seg::ack(2));
                let of = |fixture: &mut Fixture, frame: &[u8]| {
                    unwrap(&fixture.raw(frame)?.frame, 14, v6, inner_of(client))
                };
                let (first, second) = (of(&mut fixture, &syn)?, of(&mut fixture, &ack)?);
                ensure!(first.source == second.source && first.label == second.label);
                ensure!(first.backend == second.backend);
                sources.insert(first.source);
                labels.insert(first.label);
            }
            // 512 flows at random leave 35 of 256 sources out.
            ensure!((200..=240).contains(&sources.len()), "{} sources", sources.len());
            ensure!(sources.iter().all(|source| is_ours(*source)), "{sources:?}");
            ensure!(!v6 || labels.len() > 500, "{} flow labels", labels.len());
        }
    }
    Ok(())
}

fn is_ours(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(v4) => v4.octets()[..3] == TUNNEL4.octets()[..3],
        IpAddr::V6(v6) => v6.octets()[..15] == TUNNEL6.octets()[..15],
    }
}

pub(crate) fn what_has_no_hop_left_is_not_sent_on() -> Result<()> {
    let mut fixture = tunnelled(false, 0)?;
    for (frame, at) in [
        (tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1)), IP + 8),
        (tcp(CLIENT6, 4000, VIP6, PORT, Seg::syn(1)), IP + 7),
    ] {
        for hops in [0, 1] {
            fixture.expect(&with_byte(&frame, at, hops), Outcome::Drop(Reason::TtlExpired))?;
        }
        ensure!(fixture.raw(&with_byte(&frame, at, 2))?.verdict == TX);
    }
    Ok(())
}

pub(crate) fn a_packet_that_does_not_fit_is_answered_with_the_tunnels_mtu() -> Result<()> {
    for (v6, outer) in [(false, 20), (true, 40)] {
        let mut fixture = tunnelled(v6, 1500)?;
        for (client, headers) in [(IpAddr::from(CLIENT), 40), (IpAddr::from(CLIENT6), 60)] {
            let sized = |length: usize| {
                let payload = length - headers;
                tcp(client, 4000, vip_for(client), PORT, Seg { payload, ..Seg::ack(1001) })
            };
            let fits = 1500 - outer;
            ensure!(fixture.raw(&sized(fits.into()))?.verdict == TX);
            for tags in [&[][..], &[VLAN], &[QINQ, VLAN]] {
                let frame = tagged(&sized(usize::from(fits) + 1), tags);
                // One message a CPU and clock tick.
                std::thread::sleep(std::time::Duration::from_millis(10));
                let run = fixture.raw(&frame)?;
                ensure!((run.verdict, &run.reasons[..]) == (TX, &[Reason::TooBig][..]), "{run:?}");
                is_too_big_to(&run.frame, &frame, fits).map_err(anyhow::Error::msg)?;
            }
            let more = (0..50).map(|_| fixture.raw(&sized(1500))).collect::<Result<Vec<_>>>()?;
            let quiet = more.iter().filter(|run| run.reasons == [Reason::TooBigDropped]).count();
            ensure!(quiet >= 25, "{} of 50 were answered", 50 - quiet);
        }
    }
    Ok(())
}

pub(crate) fn a_tunnel_without_a_way_gets_nothing() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for number in 1..=3 {
        fixture.reach(number, Mode::Ipip, [Way::default(); 2])?;
    }
    let frame = tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1));
    fixture.expect(&frame, Outcome::Drop(Reason::NoNeighbour))
}

pub(crate) fn a_packet_that_does_not_fit_the_other_interface_is_answered() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    fixture.plane().set_interfaces(&[(INGRESS, OWN), (EGRESS, OWN_EGRESS)])?;
    let line = fixture.plane().interface_line(EGRESS).context("no line")?;
    fixture.plane().set_way(backend, true, &Way { mtu: 1400, ..Way::default() })?;
    fixture.plane().set_next_hop(backend, NextHop::new(mac(backend), line));
    let sized = |length: usize| tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: length - 40, ..Seg::ack(1001) });
    fixture.expect(&sized(1400), Outcome::Over(backend, Reason::Flow))?;
    let (frame, run) = (sized(1401), fixture.raw(&sized(1401))?);
    ensure!((run.verdict, &run.reasons[..]) == (TX, &[Reason::TooBig][..]), "{run:?}");
    is_too_big_to(&run.frame, &frame, 1400).map_err(anyhow::Error::msg)
}

//! Whose packet it is: what is no service's passes untouched, and who counts as one client.

use crate::{
    fixture::{EGRESS, Fixture, OWN, Outcome, PEER, PORT, VIP_ANY, VIP4, VIP6},
    frames::{IP, Seg, elsewhere, tcp, udp, with_byte},
};
use anyhow::{Result, ensure};
use balancer_common::{reason::Reason, state::AffinityBy};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);

/// A first packet to every listener that has an exact port.
fn first_packets() -> [Vec<u8>; 4] {
    [
        tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1)),
        udp(CLIENT, 4000, VIP4, PORT),
        tcp(CLIENT6, 4000, VIP6, PORT, Seg::syn(1)),
        udp(CLIENT6, 4000, VIP6, PORT),
    ]
}

pub(crate) fn a_frame_for_another_mac_address_passes() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for frame in first_packets() {
        for byte in 0..6 {
            fixture.expect(&with_byte(&frame, byte, frame[byte] ^ 4), Outcome::Pass)?;
        }
        let broadcast = [&[0xff; 6], &frame[6..]].concat();
        fixture.expect(&broadcast, Outcome::Pass)?;
        ensure!(matches!(fixture.run(&frame)?, Outcome::To(..)));
    }
    Ok(())
}

pub(crate) fn a_frame_that_came_in_by_an_interface_that_is_not_ours_passes() -> Result<()> {
    let mut fixture = Fixture::new()?;
    fixture.plane().set_interfaces(&[(EGRESS, OWN)])?;
    for frame in first_packets() {
        fixture.expect(&frame, Outcome::Pass)?;
    }
    Ok(())
}

pub(crate) fn what_is_for_no_service_address_passes() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for frame in first_packets() {
        fixture.expect(&elsewhere(&frame), Outcome::Pass)?;
    }
    Ok(())
}

pub(crate) fn what_is_for_no_service_port_or_protocol_passes() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for port in [0, 22, PORT - 1, PORT + 1] {
        for (client, vip) in
            [(IpAddr::from(CLIENT), IpAddr::from(VIP4)), (IpAddr::from(CLIENT6), IpAddr::from(VIP6))]
        {
            fixture.expect(&tcp(client, 4000, vip, port, Seg::syn(1)), Outcome::Pass)?;
            fixture.expect(&udp(client, 4000, vip, port), Outcome::Pass)?;
        }
    }
    // The wildcard takes every TCP port, and no UDP.
    fixture.expect(&udp(CLIENT, 4000, VIP_ANY, PORT), Outcome::Pass)?;
    // GRE, ESP, SCTP to a service address.
    for protocol in [47, 50, 132] {
        let [v4, _, v6, _] = first_packets();
        fixture.expect(&with_byte(&v4, IP + 9, protocol), Outcome::Pass)?;
        fixture.expect(&with_byte(&v6, IP + 6, protocol), Outcome::Pass)?;
    }
    Ok(())
}

pub(crate) fn arp_and_neighbour_discovery_pass() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let mut arp = [&OWN[..], &PEER, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    arp.extend([&PEER[..], &CLIENT.octets(), &[0; 6], &VIP4.octets()].concat());
    fixture.expect(&arp, Outcome::Pass)?;
    let solicitation = etherparse::PacketBuilder::ethernet2(PEER, OWN)
        .ipv6(CLIENT6.octets(), VIP6.octets(), 255)
        .icmpv6_raw(135, 0, [0; 4]);
    let mut frame = Vec::new();
    solicitation.write(&mut frame, &VIP6.octets())?;
    fixture.expect(&frame, Outcome::Pass)
}

pub(crate) fn an_exact_port_beats_the_wildcard() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let exact = fixture.listen(VIP_ANY, PORT)?;
    for port in [PORT, 80] {
        fixture.run(&tcp(CLIENT, 4000, VIP_ANY, port, Seg::syn(1)))?;
        fixture.forwarded(&tcp(CLIENT, 4000, VIP_ANY, port, Seg::ack(2)), Reason::Promoted)?;
    }
    let mut found: Vec<_> = fixture.flows().iter().map(|flow| (flow.listener, flow.dport)).collect();
    found.sort_unstable();
    ensure!(found == [(5, 80), (exact, 0)], "{found:?}");
    Ok(())
}

pub(crate) fn affinity_by_connection_spreads_one_client_and_pins_nobody() -> Result<()> {
    let mut fixture = Fixture::with(AffinityBy::Connection)?;
    for client in [IpAddr::from(CLIENT), IpAddr::from(CLIENT6)] {
        let mut reached = BTreeSet::new();
        for port in 4000..4030 {
            reached.insert(fixture.connect(client, port)?);
        }
        ensure!(reached == BTreeSet::from([1, 2, 3]), "30 connections reached {reached:?}");
    }
    ensure!(fixture.flows().len() == 60 && fixture.pins().is_empty(), "{:?}", fixture.pins());
    Ok(())
}

pub(crate) fn affinity_by_client_keeps_every_connection_of_one_client_together() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let first = fixture.connect(CLIENT, 4000)?;
    for port in 4001..4030 {
        ensure!(fixture.connect(CLIENT, port)? == first);
    }
    let pins = fixture.pins();
    ensure!(pins.len() == 1 && pins[0].live == 30, "{pins:?}");
    Ok(())
}

pub(crate) fn addresses_of_one_v6_prefix_share_a_pin_and_others_do_not() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let address = |network, host| Ipv6Addr::new(0x2001, 0xdb8, 7, network, host, 0, 0, host);
    let first = fixture.connect(address(0, 1), 4000)?;
    // Nobody but the pin names this backend now.
    let others: Vec<u16> = (1..=3).filter(|number| *number != first).collect();
    fixture.choose_among(&others)?;
    for host in [2, 0xffff] {
        let frame = tcp(address(0, host), 4000, VIP6, PORT, Seg::syn(1));
        ensure!(fixture.forwarded(&frame, Reason::NewPinned)? == first);
    }
    ensure!(fixture.connect(address(0, 3), 4000)? == first);
    let neighbour = tcp(address(1, 1), 4000, VIP6, PORT, Seg::syn(1));
    ensure!(fixture.forwarded(&neighbour, Reason::NewMaglev)? != first);
    let pins = fixture.pins();
    ensure!(pins.len() == 1 && pins[0].live == 2 && pins[0].client == address(0, 0), "{pins:?}");
    Ok(())
}

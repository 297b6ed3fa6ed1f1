//! How a packet reaches its backend: what changes in the frame, and by which interface it leaves.

use crate::{
    fixture::{EGRESS, Fixture, INGRESS, OWN, OWN_EGRESS, Outcome, PORT, VIP4, VIP6, mac},
    frames::{Seg, elsewhere, tagged, tcp, udp},
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::{reason::Reason, table::backend::NextHop};
use std::net::{Ipv4Addr, Ipv6Addr};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

pub(crate) fn only_the_mac_addresses_change() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let data = Seg { payload: 1000, ..Seg::ack(1001) };
    let frames = [
        tcp(CLIENT, 4000, VIP4, PORT, data),
        udp(CLIENT, 4001, VIP4, PORT),
        tcp(CLIENT6, 4002, VIP6, PORT, data),
        udp(CLIENT6, 4003, VIP6, PORT),
    ];
    for frame in frames {
        let sent = fixture.raw(&frame)?.frame;
        ensure!((1..=3).any(|number| sent[..6] == mac(number)), "to {:02x?}", &sent[..6]);
        ensure!(sent[6..12] == OWN, "from {:02x?}", &sent[6..12]);
        ensure!(sent[12..] == frame[12..], "more than the MAC addresses changed");
    }
    Ok(())
}

pub(crate) fn a_forwarded_packet_is_counted_at_its_backend() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    let before = fixture.plane().counts(backend);
    let frame = tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: 77, ..Seg::ack(1001) });
    fixture.forwarded(&frame, Reason::Flow)?;
    let after = fixture.plane().counts(backend);
    ensure!(after.packets == before.packets + 1 && after.bytes == before.bytes + frame.len() as u64);
    for other in (1..=3).filter(|number| *number != backend) {
        ensure!(fixture.plane().counts(other).packets == 0);
    }
    Ok(())
}

pub(crate) fn one_and_two_vlan_tags_are_kept() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let untagged = fixture.connect(CLIENT, 4000)?;
    let untagged6 = fixture.connect(CLIENT6, 4000)?;
    for tags in [&[VLAN][..], &[QINQ], &[QINQ, VLAN], &[VLAN, VLAN]] {
        let v4 = tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1001));
        let v6 = tcp(CLIENT6, 4000, VIP6, PORT, Seg::ack(1001));
        fixture.expect(&tagged(&v4, tags), Outcome::To(untagged, Reason::Flow))?;
        fixture.expect(&tagged(&v6, tags), Outcome::To(untagged6, Reason::Flow))?;
        fixture.expect(&tagged(&elsewhere(&v4), tags), Outcome::Pass)?;
    }
    Ok(())
}

pub(crate) fn three_vlan_tags_pass() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let frame = tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1));
    fixture.expect(&tagged(&frame, &[QINQ, VLAN, VLAN]), Outcome::Pass)
}

pub(crate) fn a_backend_whose_mac_address_is_not_known_gets_nothing() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    let line = fixture.plane().interface_line(INGRESS).context("no line")?;
    fixture.plane().set_next_hop(backend, NextHop::default());
    let frame = tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1001));
    fixture.expect(&frame, Outcome::Drop(Reason::NoNeighbour))?;
    fixture.plane().set_next_hop(backend, NextHop::new(mac(backend), line));
    fixture.expect(&frame, Outcome::To(backend, Reason::Flow))
}

pub(crate) fn a_backend_behind_another_interface_is_redirected_to() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    fixture.plane().set_interfaces(&[(INGRESS, OWN), (EGRESS, OWN_EGRESS)])?;
    let line = fixture.plane().interface_line(EGRESS).context("no line")?;
    fixture.plane().set_next_hop(backend, NextHop::new(mac(backend), line));
    let frame = tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1001));
    fixture.expect(&frame, Outcome::Over(backend, Reason::Flow))
}

pub(crate) fn a_backend_behind_an_interface_that_is_gone_gets_nothing() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    fixture.plane().set_next_hop(backend, NextHop::new(mac(backend), 40));
    let frame = tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1001));
    fixture.expect(&frame, Outcome::Drop(Reason::TableError))
}

//! When a flow is made, and what a packet of one does.

use crate::{
    fixture::{Fixture, Outcome, PORT, VIP_ANY, VIP4, VIP6},
    frames::{Seg, tcp, udp},
};
use anyhow::{Result, ensure};
use balancer_common::{reason::Reason, serve::Serving};
use std::net::{Ipv4Addr, Ipv6Addr};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);

pub(crate) fn a_syn_makes_neither_a_flow_nor_a_pin() -> Result<()> {
    let mut fixture = Fixture::new()?;
    fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1)), Reason::NewMaglev)?;
    ensure!(fixture.flows().is_empty() && fixture.pins().is_empty());
    Ok(())
}

pub(crate) fn a_fitting_ack_makes_the_flow_and_the_pin() -> Result<()> {
    for client in [CLIENT.into(), std::net::IpAddr::from(CLIENT6)] {
        let mut fixture = Fixture::new()?;
        let backend = fixture.connect(client, 4000)?;
        let (flows, pins) = (fixture.flows(), fixture.pins());
        ensure!(flows.len() == 1 && flows[0].backend == backend && flows[0].client.ip() == client);
        ensure!(pins.len() == 1 && pins[0].backend == backend && pins[0].live == 1, "{pins:?}");
        ensure!(fixture.live(backend)? == 1);
    }
    Ok(())
}

pub(crate) fn an_ack_beyond_the_window_makes_nothing() -> Result<()> {
    for seq in [1000, 1000 + 65_537, 5] {
        let mut fixture = Fixture::new()?;
        fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1000)), Reason::NewMaglev)?;
        fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(seq)), Reason::Embryonic)?;
        ensure!(fixture.flows().is_empty(), "seq {seq} made a flow");
    }
    Ok(())
}

pub(crate) fn a_forged_ack_alone_makes_nothing_and_a_second_fitting_one_a_flow() -> Result<()> {
    let mut fixture = Fixture::new()?;
    fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(77)), Reason::UnknownMaglev)?;
    ensure!(fixture.flows().is_empty() && fixture.pins().is_empty());
    fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(77)), Reason::Promoted)?;
    ensure!(fixture.flows().len() == 1);
    Ok(())
}

pub(crate) fn the_third_datagram_makes_a_flow() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let frame = udp(CLIENT6, 4000, VIP6, PORT);
    let backend = fixture.forwarded(&frame, Reason::NewMaglev)?;
    ensure!(fixture.forwarded(&frame, Reason::Embryonic)? == backend);
    ensure!(fixture.flows().is_empty() && fixture.pins().is_empty());
    ensure!(fixture.forwarded(&frame, Reason::Promoted)? == backend);
    ensure!(fixture.flows().len() == 1 && fixture.pins().len() == 1);
    ensure!(fixture.forwarded(&frame, Reason::Flow)? == backend);
    Ok(())
}

pub(crate) fn a_flow_stays_where_it_is_when_the_table_changes() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    let others: Vec<u16> = (1..=3).filter(|number| *number != backend).collect();
    fixture.choose_among(&others)?;
    let frame = tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: 10, ..Seg::ack(1001) });
    ensure!(fixture.forwarded(&frame, Reason::Flow)? == backend);
    // And the client when it comes back from another port.
    ensure!(fixture.forwarded(&tcp(CLIENT, 4001, VIP4, PORT, Seg::syn(1)), Reason::NewPinned)? == backend);
    Ok(())
}

pub(crate) fn six_first_connections_at_once_agree() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let first = fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1)), Reason::NewMaglev)?;
    let others: Vec<u16> = (1..=3).filter(|number| *number != first).collect();
    fixture.choose_among(&others)?;
    for port in 4001..4006 {
        let frame = tcp(CLIENT, port, VIP4, PORT, Seg::syn(1));
        ensure!(fixture.forwarded(&frame, Reason::NewTentative)? == first);
    }
    Ok(())
}

pub(crate) fn a_fin_closes_and_the_last_ack_does_not_revive() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::fin(1001)), Reason::Flow)?;
    ensure!(fixture.live(backend)? == 0, "the FIN did not close");
    ensure!(fixture.pins()[0].live == 0 && fixture.pins()[0].expires_in.is_some());
    fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1002)), Reason::Flow)?;
    ensure!(fixture.live(backend)? == 0, "the last ACK revived the flow");
    Ok(())
}

pub(crate) fn a_forged_fin_or_rst_costs_nothing() -> Result<()> {
    for forged in [Seg::fin(1001 + (1 << 31)), Seg::rst(1001 + (1 << 31)), Seg::rst(990)] {
        let mut fixture = Fixture::new()?;
        let backend = fixture.connect(CLIENT, 4000)?;
        fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, forged), Reason::Flow)?;
        ensure!(fixture.live(backend)? == 0);
        let real = Seg { payload: 100, ..Seg::ack(1001) };
        ensure!(fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, real), Reason::Flow)? == backend);
        ensure!(fixture.live(backend)? == 1, "{forged:?} killed the flow");
    }
    Ok(())
}

pub(crate) fn a_syn_on_an_established_flow_changes_nothing() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    ensure!(fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(9)), Reason::SynOnFlow)? == backend);
    ensure!(fixture.live(backend)? == 1);
    Ok(())
}

pub(crate) fn a_new_connection_replaces_a_closing_flow() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::fin(1001)), Reason::Flow)?;
    fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(900_000)), Reason::NewPinned)?;
    fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(900_001)), Reason::Promoted)?;
    ensure!(fixture.live(backend)? == 1 && fixture.flows().len() == 1);
    Ok(())
}

pub(crate) fn a_flow_on_a_dead_backend_is_rehashed_and_its_client_pinned_anew() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let dead = fixture.connect(CLIENT, 4000)?;
    fixture.serve(dead, 0);
    let moved = fixture.forwarded(&tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1001)), Reason::Rehashed)?;
    ensure!(moved != dead && fixture.live(dead)? == 0 && fixture.live(moved)? == 1);
    ensure!(fixture.pins()[0].backend == moved, "the pin stayed");
    fixture.serve(dead, Serving::FLOWS | Serving::PINNED | Serving::NEW);
    let again = tcp(CLIENT, 4001, VIP4, PORT, Seg::syn(1));
    ensure!(fixture.forwarded(&again, Reason::NewPinned)? == moved, "a second loss");
    Ok(())
}

pub(crate) fn a_client_that_a_failure_moved_stays_although_its_backend_returned_before_the_flow_was_made()
-> Result<()> {
    let mut fixture = Fixture::new()?;
    let frame = |port| udp(CLIENT, port, VIP4, PORT);
    for _ in 0..3 {
        fixture.run(&frame(4000))?;
    }
    let old = fixture.pins()[0].backend;
    fixture.serve(old, 0);
    let moved = fixture.forwarded(&frame(4001), Reason::NewMaglev)?;
    fixture.serve(old, Serving::FLOWS | Serving::PINNED | Serving::NEW);
    fixture.forwarded(&frame(4001), Reason::Embryonic)?;
    ensure!(fixture.forwarded(&frame(4001), Reason::Promoted)? == moved);
    ensure!(fixture.forwarded(&frame(4002), Reason::NewPinned)? == moved, "a second loss");
    Ok(())
}

pub(crate) fn a_draining_backend_keeps_its_flows_and_gets_no_new_connection_of_a_pinned_client() -> Result<()>
{
    let mut fixture = Fixture::new()?;
    let draining = fixture.connect(CLIENT, 4000)?;
    fixture.serve(draining, Serving::FLOWS);
    let old = tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: 1, ..Seg::ack(1001) });
    ensure!(fixture.forwarded(&old, Reason::Flow)? == draining);
    ensure!(fixture.connect(CLIENT, 4001)? != draining);
    ensure!(fixture.pins()[0].backend != draining, "the client is still pinned to it");
    Ok(())
}

pub(crate) fn a_backend_that_is_being_checked_keeps_its_pins() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let checking = fixture.connect(CLIENT, 4000)?;
    fixture.serve(checking, Serving::FLOWS | Serving::KEEPS_PINS);
    ensure!(fixture.connect(CLIENT, 4001)? != checking);
    ensure!(fixture.pins()[0].backend == checking, "the pin moved");
    Ok(())
}

pub(crate) fn nobody_to_serve_is_a_counted_drop() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for number in 1..=3 {
        fixture.serve(number, 0);
    }
    let outcome = fixture.run(&tcp(CLIENT, 4000, VIP4, PORT, Seg::syn(1)))?;
    ensure!(outcome == Outcome::Drop(Reason::NoBackend), "{outcome:?}");
    Ok(())
}

pub(crate) fn ports_of_a_wildcard_listener_are_different_flows() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for port in [80, 8080] {
        fixture.run(&tcp(CLIENT, 4000, VIP_ANY, port, Seg::syn(1)))?;
        fixture.forwarded(&tcp(CLIENT, 4000, VIP_ANY, port, Seg::ack(2)), Reason::Promoted)?;
    }
    let mut ports: Vec<u16> = fixture.flows().iter().map(|flow| flow.dport).collect();
    ports.sort_unstable();
    ensure!(ports == [80, 8080], "{ports:?}");
    Ok(())
}

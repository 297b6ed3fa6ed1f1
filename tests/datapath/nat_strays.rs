//! What comes to a port of translated flows, and is of none.

use crate::{
    fixture::{Fixture, Outcome, PORT, vip_for},
    frames::{Seg, tcp, udp},
    nat_world::{Seen, Shape, any, back, connect, forth},
};
use anyhow::{Result, ensure};
use balancer_common::reason::Reason;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7));

/// A datagram of a client's that reached a backend, and its answer the client.
fn ask(fixture: &mut Fixture, client: IpAddr) -> Result<Seen> {
    let (_, seen) = forth(fixture, &udp(client, 4001, vip_for(client), PORT))?;
    back(fixture, &udp(seen.to.0, seen.to.1, seen.from.0, seen.from.1))?;
    Ok(seen)
}

pub(crate) fn a_port_of_one_protocol_is_nobodys_of_the_other() -> Result<()> {
    let mut fixture = Shape::default().fixture()?;
    for client in [CLIENT, CLIENT6] {
        let Seen { from, to, .. } = ask(&mut fixture, client)?;
        let segment = |seg| tcp(to.0, to.1, from.0, from.1, seg);
        // In the tick in which a datagram was heard, as at any other time.
        fixture.expect(&segment(Seg::ack(1)), Outcome::Rst(Reason::NatStrayReset))?;
        fixture.expect(&segment(Seg::rst(1)), Outcome::Drop(Reason::NatStray))?;
        let (_, Seen { from, to, .. }) = connect(&mut fixture, client, 4000)?;
        fixture.expect(&udp(to.0, to.1, from.0, from.1), Outcome::Drop(Reason::NatStray))?;
        back(&mut fixture, &tcp(to.0, to.1, from.0, from.1, Seg::ack(5000)))?;
    }
    Ok(())
}

/// A connection of a client's to a port of the address on which every one is listened on; what its backend sees.
fn connect_to(fixture: &mut Fixture, client: IpAddr, port: u16) -> Result<Seen> {
    let (_, seen) = forth(fixture, &tcp(client, 4000, any(), port, Seg::syn(1000)))?;
    forth(fixture, &tcp(client, 4000, any(), port, Seg::ack(1001)))?;
    Ok(seen)
}

pub(crate) fn an_answer_is_its_whose_port_was_asked() -> Result<()> {
    for keep in [false, true] {
        let mut fixture = Shape { port: 0, keep, ..Shape::default() }.fixture()?;
        let (_, one) = connect(&mut fixture, CLIENT, 4000)?;
        let other = connect_to(&mut fixture, CLIENT, 80)?;
        ensure!((one.to.1, other.to.1) == (PORT, 80), "{one:?}, {other:?}");
        // From one port of the client's to two of the service's: kept, the ports of the backend alone tell them apart.
        for (seen, service) in [(&one, (vip_for(CLIENT), PORT)), (&other, (any(), 80))] {
            let answer = tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, Seg::ack(5000));
            let heard = back(&mut fixture, &answer)?;
            ensure!(heard.from == service && heard.to == (CLIENT, 4000), "{heard:?}");
        }
        if !keep {
            let stray = tcp(one.to.0, 81, one.from.0, one.from.1, Seg::ack(5000));
            fixture.expect(&stray, Outcome::Rst(Reason::NatStrayReset))?;
        }
    }
    Ok(())
}

pub(crate) fn a_rst_of_a_flow_that_finds_no_port_elsewhere_is_not_answered() -> Result<()> {
    let mut fixture = Shape { words: 1, host_bits: 0, ..Shape::default() }.fixture()?;
    fixture.choose_among(&[1])?;
    connect(&mut fixture, CLIENT, 4000)?;
    fixture.choose_among(&[2])?;
    let others = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 8));
    for n in 0..64 {
        connect(&mut fixture, others, 1000 + n)?;
    }
    fixture.serve(1, 0);
    let of = |seg| tcp(CLIENT, 4000, vip_for(CLIENT), PORT, seg);
    fixture.expect(&of(Seg::rst(1001)), Outcome::Drop(Reason::NatStray))?;
    fixture.expect(&of(Seg::ack(1001)), Outcome::Rst(Reason::NatExhausted))
}

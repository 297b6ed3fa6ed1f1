//! ICMP errors go where the packet that they quote belongs; all other ICMP is the host's.

use crate::{
    fixture::{Fixture, OWN, Outcome, PEER, PORT, VIP4, VIP6, vip_for},
    frames::{IP, Seg, TRANSPORT4, TRANSPORT6, cut, tcp, udp},
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::{
    reason::Reason,
    state::{AffinityBy, Proto},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);
/// A router on the way.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1);
pub(crate) const CLIENTS: [IpAddr; 2] = [IpAddr::V4(CLIENT), IpAddr::V6(CLIENT6)];

/// What a service sent to a client, as it stands in an error: from the IP header on, `behind` bytes of what follows.
fn quote(proto: Proto, from: IpAddr, client: IpAddr, sport: u16, behind: usize) -> Vec<u8> {
    let frame = match proto {
        Proto::Tcp => tcp(from, PORT, client, sport, Seg { payload: 1400, ..Seg::ack(1) }),
        Proto::Udp => udp(from, PORT, client, sport),
    };
    let transport = if client.is_ipv4() { TRANSPORT4 } else { TRANSPORT6 };
    frame[IP..transport + behind].to_vec()
}

/// An ICMP message of a router, of the family of `to`.
pub(crate) fn message(to: IpAddr, kind: u8, code: u8, quote: &[u8]) -> Vec<u8> {
    let ethernet = etherparse::PacketBuilder::ethernet2(PEER, OWN);
    let rest = [0, 0, 5, 0];
    let mut frame = Vec::new();
    let written = match to {
        IpAddr::V4(to) => {
            let ip = ethernet.ipv4(ROUTER.octets(), to.octets(), 64);
            ip.icmpv4_raw(kind, code, rest).write(&mut frame, quote)
        }
        IpAddr::V6(to) => {
            let ip = ethernet.ipv6(ROUTER6.octets(), to.octets(), 64);
            ip.icmpv6_raw(kind, code, rest).write(&mut frame, quote)
        }
    };
    written.expect("a Vec takes every frame");
    frame
}

/// Every error of the client's family: type and code.
pub(crate) fn errors(client: IpAddr) -> &'static [(u8, u8)] {
    match client {
        // Net, host, port unreachable, fragmentation needed, time exceeded, parameter problem.
        IpAddr::V4(_) => &[(3, 0), (3, 1), (3, 3), (3, 4), (11, 0), (12, 0)],
        // Unreachable, packet too big, time exceeded, parameter problem.
        IpAddr::V6(_) => &[(1, 0), (1, 4), (2, 0), (3, 0), (4, 0)],
    }
}

/// What stands in the tables, but for the times.
fn written(fixture: &mut Fixture) -> Vec<String> {
    let flows = fixture.flows();
    let flows = flows.iter().map(|flow| format!("{} {} {}", flow.client, flow.backend, flow.state));
    let pins = fixture.pins();
    flows.chain(pins.iter().map(|pin| format!("{} {} {}", pin.client, pin.backend, pin.live))).collect()
}

/// A tracked flow that neither a pin nor the Maglev table speaks for: its backend.
fn lone_flow(fixture: &mut Fixture, proto: Proto, client: IpAddr) -> Result<u16> {
    let backend = match proto {
        Proto::Tcp => fixture.connect(client, 4000)?,
        Proto::Udp => {
            let frame = udp(client, 4000, vip_for(client), PORT);
            fixture.run(&frame)?;
            fixture.run(&frame)?;
            fixture.forwarded(&frame, Reason::Promoted)?
        }
    };
    let others: Vec<u16> = (1..=3).filter(|number| *number != backend).collect();
    fixture.choose_among(&others)?;
    Ok(backend)
}

pub(crate) fn an_error_about_a_known_flow_reaches_its_backend_and_writes_nothing() -> Result<()> {
    for client in CLIENTS {
        for proto in [Proto::Tcp, Proto::Udp] {
            let mut fixture = Fixture::with(AffinityBy::Connection)?;
            let backend = lone_flow(&mut fixture, proto, client)?;
            let before = written(&mut fixture);
            for (kind, code) in errors(client) {
                let vip = vip_for(client);
                let frame = message(vip, *kind, *code, &quote(proto, vip, client, 4000, 8));
                fixture
                    .expect(&frame, Outcome::To(backend, Reason::IcmpError))
                    .with_context(|| format!("type {kind} code {code}, {client} {proto}"))?;
            }
            ensure!(written(&mut fixture) == before);
        }
    }
    Ok(())
}

pub(crate) fn an_error_about_an_embryonic_connection_reaches_its_backend() -> Result<()> {
    for client in CLIENTS {
        let mut fixture = Fixture::with(AffinityBy::Connection)?;
        let vip = vip_for(client);
        let backend = fixture.forwarded(&tcp(client, 4000, vip, PORT, Seg::syn(1000)), Reason::NewMaglev)?;
        let others: Vec<u16> = (1..=3).filter(|number| *number != backend).collect();
        fixture.choose_among(&others)?;
        let frame = message(vip, errors(client)[0].0, 0, &quote(Proto::Tcp, vip, client, 4000, 8));
        fixture.expect(&frame, Outcome::To(backend, Reason::IcmpError))?;
        // And it is as embryonic as before.
        fixture.forwarded(&tcp(client, 4000, vip, PORT, Seg::ack(1001)), Reason::Promoted)?;
    }
    Ok(())
}

pub(crate) fn an_error_about_an_unknown_flow_goes_by_the_clients_pin() -> Result<()> {
    for client in CLIENTS {
        let mut fixture = Fixture::new()?;
        let pinned = lone_flow(&mut fixture, Proto::Tcp, client)?;
        let vip = vip_for(client);
        let frame = message(vip, errors(client)[0].0, 0, &quote(Proto::Tcp, vip, client, 5000, 8));
        fixture.expect(&frame, Outcome::To(pinned, Reason::IcmpError))?;
    }
    Ok(())
}

pub(crate) fn an_error_about_an_unknown_client_goes_by_maglev_and_writes_nothing() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for (host, port) in (1..=20).zip(4000..) {
        for client in [
            IpAddr::V4(Ipv4Addr::new(198, 51, 100, host)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 7, u16::from(host), 0, 0, 0, 1)),
        ] {
            let vip = vip_for(client);
            let quoted = quote(Proto::Tcp, vip, client, port, 8);
            let outcome = fixture.run(&message(vip, errors(client)[0].0, 0, &quoted))?;
            ensure!(written(&mut fixture).is_empty());
            // Had the error left a trace, this SYN would be of a connection that is known by half, or of a client
            // with a tentative pin.
            let syn = tcp(client, port, vip, PORT, Seg::syn(7));
            let maglev = fixture.forwarded(&syn, Reason::NewMaglev)?;
            ensure!(outcome == Outcome::To(maglev, Reason::IcmpError), "{outcome:?}, Maglev says {maglev}");
        }
    }
    Ok(())
}

pub(crate) fn an_error_that_quotes_a_packet_of_another_address_passes() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for client in CLIENTS {
        fixture.connect(client, 4000)?;
        let vip = vip_for(client);
        let (stranger, router): (IpAddr, IpAddr) = match client {
            IpAddr::V4(_) => (Ipv4Addr::new(203, 0, 113, 99).into(), ROUTER.into()),
            IpAddr::V6(_) => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99).into(), ROUTER6.into()),
        };
        let (kind, code) = errors(client)[0];
        // Sent to the service about a stranger's packet, and to a stranger about the service's.
        let about_stranger = quote(Proto::Tcp, stranger, client, 4000, 8);
        fixture.expect(&message(vip, kind, code, &about_stranger), Outcome::Pass)?;
        let about_service = quote(Proto::Tcp, vip, client, 4000, 8);
        fixture.expect(&message(router, kind, code, &about_service), Outcome::Pass)?;
        // The packet that is quoted must be the service's answer, not the client's packet.
        let mut forward = tcp(client, 4000, vip, PORT, Seg::ack(1001)).split_off(IP);
        forward.truncate(48);
        fixture.expect(&message(vip, kind, code, &forward), Outcome::Pass)?;
    }
    Ok(())
}

pub(crate) fn echo_and_other_messages_pass() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for client in CLIENTS {
        fixture.connect(client, 4000)?;
        let vip = vip_for(client);
        let quoted = quote(Proto::Tcp, vip, client, 4000, 8);
        let others: &[u8] = if client.is_ipv4() { &[0, 5, 8, 13, 17] } else { &[128, 129, 133, 135, 137] };
        for kind in others {
            fixture.expect(&message(vip, *kind, 0, &quoted), Outcome::Pass)?;
        }
    }
    Ok(())
}

pub(crate) fn an_error_whose_quote_is_cut_before_the_ports_passes() -> Result<()> {
    cut_anywhere(cut)
}

pub(crate) fn what_pads_an_error_is_no_part_of_its_quote() -> Result<()> {
    // The frame goes on with the rest of the quote, and the IP length does not.
    cut_anywhere(|whole, length| [cut(whole, length), whole[length..].to_vec()].concat())
}

/// An error of each family, cut by `cut` at every length: it reaches the flow's backend if the quoted ports are there.
fn cut_anywhere(cut: impl Fn(&[u8], usize) -> Vec<u8>) -> Result<()> {
    let mut fixture = Fixture::new()?;
    for (client, icmp, header) in [(CLIENTS[0], TRANSPORT4, 20), (CLIENTS[1], TRANSPORT6, 40)] {
        let backend = fixture.connect(client, 4000)?;
        let vip = vip_for(client);
        let whole = message(vip, errors(client)[0].0, 0, &quote(Proto::Tcp, vip, client, 4000, 8));
        let enough = icmp + 8 + header + 4;
        for length in icmp..=whole.len() {
            let told = if length < enough { Outcome::Pass } else { Outcome::To(backend, Reason::IcmpError) };
            fixture.expect(&cut(&whole, length), told).with_context(|| format!("cut to {length}"))?;
        }
    }
    Ok(())
}

pub(crate) fn an_error_about_no_service_port_or_protocol_passes() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for (client, vip) in [(CLIENTS[0], IpAddr::from(VIP4)), (CLIENTS[1], IpAddr::from(VIP6))] {
        let (kind, code) = errors(client)[0];
        let mut ssh = tcp(vip, 22, client, 4000, Seg::ack(1)).split_off(IP);
        fixture.expect(&message(vip, kind, code, &ssh), Outcome::Pass)?;
        // ESP, with the bytes of a known service port where the ports would be.
        ssh = quote(Proto::Tcp, vip, client, 4000, 8);
        ssh[if client.is_ipv4() { 9 } else { 6 }] = 50;
        fixture.expect(&message(vip, kind, code, &ssh), Outcome::Pass)?;
    }
    Ok(())
}

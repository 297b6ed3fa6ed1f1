//! A fixture whose backends are reached by address translation, and what its packets look like.

pub(crate) use crate::ways::{BACKEND_PORT, FIRST, Shape, backend};
use crate::{
    fixture::{Fixture, OWN, PEER, PORT, TX, VIP_ANY, VIP4, VIP6, mac, vip_for},
    frames::{Seg, tcp},
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::{
    state::{Mode, Proto},
    table::{TableId, ports},
};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SOURCE4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 2);

/// Both ends of a packet, its hops, and what else matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) from: (IpAddr, u16),
    pub(crate) to: (IpAddr, u16),
    pub(crate) hops: u8,
    pub(crate) payload: Vec<u8>,
    /// Largest segment size that is announced.
    pub(crate) mss: Option<u16>,
}

/// Whether an address is one of the sources.
pub(crate) fn is_source(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => [2, 3].contains(&v4.octets()[3]) && v4.octets()[..3] == SOURCE4.octets()[..3],
        IpAddr::V6(v6) => [2, 3].contains(&v6.segments()[7]) && v6.segments()[..7] == SOURCE6.segments()[..7],
    }
}

impl Shape {
    /// A fixture of this shape.
    pub(crate) fn fixture(self) -> Result<Fixture> {
        let mut fixture = Fixture::new()?;
        let families = [IpAddr::from(VIP4), IpAddr::from(VIP6)];
        let mut origins = Vec::new();
        for number in 1..=3 {
            let ways = families.map(|family| self.way(number, family, fixture.hop(number)));
            fixture.reach(number, Mode::Nat, ways)?;
            // Numbers of the fixture's listeners: v4 TCP and UDP, v6 TCP and UDP, every TCP port of the third address.
            for (family, proto, kept) in [
                (families[0], Proto::Tcp, [1, 5, 0, 0]),
                (families[0], Proto::Udp, [2, 0, 0, 0]),
                (families[1], Proto::Tcp, [3, 0, 0, 0]),
                (families[1], Proto::Udp, [4, 0, 0, 0]),
            ] {
                origins.push(self.origin(number, family, proto, kept));
            }
        }
        fixture.amend(|listener| listener.nat = true)?;
        fixture.know(origins)?;
        Ok(fixture)
    }
}

/// Reads a frame whose checksums must be right.
pub(crate) fn read(frame: &[u8]) -> Result<Seen> {
    let packet = SlicedPacket::from_ethernet(frame)?;
    let (from, to, hops, pseudo) = match packet.net.as_ref().context("no IP")? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let right = header.to_header().calc_header_checksum() == header.header_checksum();
            ensure!(right, "the checksum of the IPv4 header is wrong");
            (header.source().into(), header.destination().into(), header.ttl(), None)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let addresses = (header.source(), header.destination());
            (addresses.0.into(), addresses.1.into(), header.hop_limit(), Some(addresses))
        }
        _ => anyhow::bail!("no IP"),
    };
    let v4 = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(_) => [0; 4],
    };
    match packet.transport.context("no transport")? {
        TransportSlice::Tcp(tcp) => {
            let (header, payload) = (tcp.to_header(), tcp.payload().to_vec());
            let sum = match pseudo {
                None => header.calc_checksum_ipv4_raw(v4(from), v4(to), &payload),
                Some((a, b)) => header.calc_checksum_ipv6_raw(a, b, &payload),
            };
            ensure!(sum? == header.checksum, "the checksum of TCP is wrong");
            let mss = tcp.options_iterator().filter_map(Result::ok).find_map(|option| match option {
                etherparse::TcpOptionElement::MaximumSegmentSize(size) => Some(size),
                _ => None,
            });
            let (from, to) = ((from, header.source_port), (to, header.destination_port));
            Ok(Seen { from, to, hops, payload, mss })
        }
        TransportSlice::Udp(udp) => {
            let (header, payload) = (udp.to_header(), udp.payload().to_vec());
            let sum = match pseudo {
                None => header.calc_checksum_ipv4_raw(v4(from), v4(to), &payload),
                Some((a, b)) => header.calc_checksum_ipv6_raw(a, b, &payload),
            };
            let none = header.checksum == 0 && pseudo.is_none();
            ensure!(none || sum? == header.checksum, "the checksum of UDP is wrong");
            let (from, to) = ((from, header.source_port), (to, header.destination_port));
            Ok(Seen { from, to, hops, payload, mss: None })
        }
        _ => anyhow::bail!("neither TCP nor UDP"),
    }
}

/// The number of the backend that a translated packet went to.
pub(crate) fn backend_of(seen: &Seen) -> Result<u16> {
    (1..=3).find(|number| backend(*number, seen.to.0) == seen.to.0).context("to no backend")
}

/// Sends a client's frame, which must reach a backend: the number, and what it sees.
pub(crate) fn forth(fixture: &mut Fixture, frame: &[u8]) -> Result<(u16, Seen)> {
    let run = fixture.raw(frame)?;
    ensure!(run.verdict == TX && run.reasons.len() == 1, "{run:?}");
    let seen = read(&run.frame)?;
    let number = backend_of(&seen)?;
    ensure!(
        run.frame[..6] == mac(number) && run.frame[6..12] == OWN,
        "MAC addresses {:02x?}",
        &run.frame[..12]
    );
    Ok((number, seen))
}

/// Sends a backend's frame, which must reach a client: what the client sees.
pub(crate) fn back(fixture: &mut Fixture, frame: &[u8]) -> Result<Seen> {
    let run = fixture.raw(frame)?;
    ensure!(run.verdict == TX && run.reasons.len() == 1, "{run:?}");
    ensure!(run.frame[..6] == PEER && run.frame[6..12] == OWN, "MAC addresses {:02x?}", &run.frame[..12]);
    read(&run.frame)
}

/// A SYN+ACK.
pub(crate) const fn accepts(seq: u32) -> Seg {
    Seg { seq, syn: true, ack: true, fin: false, rst: false, payload: 0 }
}

/// A handshake of a client with its backend: the number, and what the backend sees.
pub(crate) fn connect(fixture: &mut Fixture, client: IpAddr, port: u16) -> Result<(u16, Seen)> {
    let vip = vip_for(client);
    let (number, seen) = forth(fixture, &tcp(client, port, vip, PORT, Seg::syn(1000)))?;
    let answer = tcp(seen.to.0, seen.to.1, seen.from.0, seen.from.1, accepts(4999));
    let heard = back(fixture, &answer)?;
    ensure!(heard.from == (vip, PORT) && heard.to == (client, port), "{heard:?}");
    let again = forth(fixture, &tcp(client, port, vip, PORT, Seg::ack(1001)))?;
    ensure!(again.0 == number && again.1.from == seen.from && again.1.to == seen.to, "{again:?}, {seen:?}");
    Ok((number, seen))
}

/// How many ports of a family are taken, and how many rest.
pub(crate) fn uses(fixture: &Fixture, family: IpAddr, shape: Shape) -> (u32, u32) {
    let table = if family.is_ipv4() { TableId::Ports4 } else { TableId::Ports6 };
    let backends = if shape.keep { 1 } else { 3 };
    let words = backends * shape.entries() / ports::PORTS_A_WORD;
    let all = (0..words).map(|number| fixture.ports(table, number));
    all.fold((0, 0), |sum, word| (sum.0 + word.taken.count_ones(), sum.1 + word.resting.count_ones()))
}

/// The address on which every port is listened on.
pub(crate) const fn any() -> IpAddr {
    IpAddr::V4(VIP_ANY)
}

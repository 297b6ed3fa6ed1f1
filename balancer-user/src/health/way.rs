//! Which way a check takes.
//!
//! *By the datapath* it asks the service address on one backend, where clients' packets go: so it sees that the address
//! is missing there, or that the server does not listen on it. A connection to the service address would not leave this
//! host; so the check connects to the backend's own address, and stands in a table by which two programs of the
//! kernel put the one address in the other's place on the wire ([`Probes`]).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use balancer_common::probe;
use ipnet::IpNet;
use socket2::SockRef;
use tokio::net::TcpSocket;

use crate::{
    dataplane::{Probes, Steered},
    health::CheckError,
    net::Mac,
};

/// Ports that a check tries before it gives up: each finds a free line even when half of them are in use.
const TRIES: usize = 16;

/// Hops of a check behind its tunnel.
const HOPS: u32 = 2;

/// Which way a check takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// To the backend's own address.
    Direct,
    /// To this service address on the backend.
    Datapath {
        /// The service address, of the family of the backend's.
        service: IpAddr,
        /// The tunnel in which clients' packets go there, if they do.
        tunnel: Option<Tunnel>,
        /// Where checks under way stand.
        probes: Probes,
    },
}

/// A tunnel to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Where it may begin: some address of these, or this host's own.
    pub sources: Option<IpNet>,
}

impl Tunnel {
    /// Where it begins for a check that asks from `own`: like a flow, each port has its own of the sources.
    fn begin(&self, own: SocketAddr) -> IpAddr {
        let Some(sources) = &self.sources else { return own.ip() };
        let free = |bits: u8| u32::from(own.port()) & ((1 << bits.min(16)) - 1);
        let bits = sources.max_prefix_len() - sources.prefix_len();
        match sources.network() {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() | free(bits)).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() | u128::from(free(bits))).into(),
        }
    }
}

/// A check under way. Drop it after the socket.
#[derive(Debug)]
pub(super) struct Underway(Option<Steered>);

impl Way {
    /// The address that is asked where the backend has this one.
    #[must_use]
    pub fn asked(&self, backend: SocketAddr) -> SocketAddr {
        match self {
            Self::Direct => backend,
            Self::Datapath { service, tunnel: _, probes: _ } => SocketAddr::new(*service, backend.port()),
        }
    }

    /// A socket to connect to the backend's address with.
    ///
    /// # Errors
    /// What the socket said, or that too many checks are under way.
    pub(super) fn socket(&self, backend: SocketAddr) -> Result<(Underway, TcpSocket), CheckError> {
        match self {
            Self::Direct => Ok((Underway(None), socket(backend)?)),
            Self::Datapath { service, tunnel, probes } => {
                let own = own_address(backend)?;
                for _ in 0..TRIES {
                    let socket = marked(socket(backend)?, own)?;
                    if tunnel.is_some() {
                        few_hops(&socket, own)?;
                    }
                    let own = socket.local_addr()?;
                    let begin = tunnel.as_ref().map(|tunnel| tunnel.begin(own));
                    if let Some(steered) = probes.steer(own, backend.ip(), *service, begin) {
                        return Ok((Underway(Some(steered)), socket));
                    }
                }
                Err(CheckError::Crowded)
            }
        }
    }
}

impl Underway {
    /// What is known of the way once the backend has answered.
    ///
    /// # Errors
    /// If another than the backend has answered, or the check was not steered at all.
    pub(super) fn arrived(&self) -> Result<(), CheckError> {
        let Some(passage) = self.0.as_ref().map(Steered::passage) else { return Ok(()) };
        match passage.stranger() {
            Some(mac) => Err(CheckError::Stranger(mac_of(mac))),
            None if passage.is_answered() => Ok(()),
            None => Err(CheckError::Unsteered),
        }
    }
}

fn mac_of(in_memory_order: u64) -> Mac {
    let bytes = in_memory_order.to_ne_bytes();
    Mac(std::array::from_fn(|n| bytes[n]))
}

fn socket(to: SocketAddr) -> io::Result<TcpSocket> {
    if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

/// The address that this host asks from, with port 0. Nothing is sent.
fn own_address(backend: SocketAddr) -> io::Result<SocketAddr> {
    let any: IpAddr = if backend.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    SockRef::from(&socket).set_mark(probe::MARK)?;
    socket.connect(backend)?;
    let mut own = socket.local_addr()?;
    own.set_port(0);
    Ok(own)
}

/// Marked for the program, and bound: a port that is chosen at connect may be another check's, to another backend, and
/// all answers come from the one service address. It ends by a reset at once, as nobody would steer a connection that
/// lingers (and `TIME_WAIT` would use up such ports).
fn marked(socket: TcpSocket, own: SocketAddr) -> io::Result<TcpSocket> {
    SockRef::from(&socket).set_mark(probe::MARK)?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    socket.bind(own)?;
    Ok(socket)
}

/// Out of its tunnel it may be sent on once, to a container of the backend's; one that is sent back to the balancer, as the
/// backend routes and does not have the service address, must not reach another backend by it.
fn few_hops(socket: &TcpSocket, own: SocketAddr) -> io::Result<()> {
    match own {
        SocketAddr::V4(_) => SockRef::from(socket).set_ttl_v4(HOPS),
        SocketAddr::V6(_) => SockRef::from(socket).set_unicast_hops_v6(HOPS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steered(passage: probe::Passage) -> Option<String> {
        let probes = Probes::in_memory();
        let own = "10.0.1.1:9".parse().unwrap();
        let steered = probes.steer(own, "10.0.1.10".parse().unwrap(), "203.0.113.10".parse().unwrap(), None);
        probes.pass(own, passage);
        Underway(steered).arrived().err().map(|error| error.to_string())
    }

    #[test]
    fn an_answer_counts_only_if_the_backend_was_asked_for_the_service_and_gave_it() {
        let backend = u64::from_ne_bytes([2, 0, 0, 0, 0, 10, 0, 0]);
        let other = u64::from_ne_bytes([2, 0, 0, 0, 0, 11, 0, 0]);
        let left = probe::Passage::left(backend);
        assert_eq!(steered(left.answered(backend)), None);
        let seen = steered(left.answered(other)).unwrap();
        assert!(seen.contains("02:00:00:00:00:0b"), "{seen}");
        for nobody in [probe::Passage::default(), left] {
            assert!(steered(nobody).unwrap().contains("agent.interfaces"));
        }
    }

    #[test]
    fn a_check_that_this_host_did_not_steer_says_nothing_of_the_backend() {
        assert!(CheckError::Unsteered.is_local() && CheckError::Crowded.is_local());
        assert!(!CheckError::Stranger(Mac([2, 0, 0, 0, 0, 1])).is_local());
    }

    #[test]
    fn the_service_address_is_asked_on_the_backends_port() {
        let backend = "10.0.1.10:8081".parse().unwrap();
        let service = "203.0.113.10".parse().unwrap();
        let way = Way::Datapath { service, tunnel: None, probes: Probes::in_memory() };
        assert_eq!(way.asked(backend).to_string(), "203.0.113.10:8081");
        assert_eq!(Way::Direct.asked(backend), backend);
    }

    #[test]
    fn a_tunnel_begins_at_any_of_the_sources_or_at_this_host() {
        let begin = |sources: Option<&str>, own: &str| {
            let tunnel = Tunnel { sources: sources.map(|it| it.parse().unwrap()) };
            tunnel.begin(own.parse().unwrap()).to_string()
        };
        assert_eq!(begin(None, "10.0.1.1:9"), "10.0.1.1");
        assert_eq!(begin(Some("192.0.2.64/28"), "10.0.1.1:33"), "192.0.2.65");
        assert_eq!(begin(Some("192.0.2.64/32"), "10.0.1.1:33"), "192.0.2.64");
        assert_eq!(begin(Some("2001:db8::40/124"), "[fd00::1]:47"), "2001:db8::4f");
    }
}

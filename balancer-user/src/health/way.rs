//! Which way a check takes.
//!
//! *By the datapath* it goes where clients' packets go, as they are there: it asks the service address on one backend, or
//! comes from where translated packets come from. So it sees that the service address is missing there, or that there is no
//! way back. A connection to the service address would not leave this host, nor one from a source that is none of its own; so
//! the check connects from this host's address to the backend's, and stands in a table by which two programs of the
//! kernel put the one address in the other's place on the wire ([`Probes`]).

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use balancer_common::probe;
use ipnet::IpNet;
use socket2::SockRef;
use tokio::net::TcpSocket;

use crate::{
    dataplane::{Probes, Steered, Wire},
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
    /// From this host's own address to the backend's.
    Direct,
    /// As clients' packets.
    Datapath {
        /// What it has of theirs.
        guise: Guise,
        /// Where checks under way stand.
        probes: Probes,
    },
}

/// What a check has of clients' packets. Its addresses are of the family of the backend's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guise {
    /// It asks the service address.
    Service {
        /// The service address.
        address: IpAddr,
        /// The tunnel in which clients' packets go there, if they do.
        tunnel: Option<Origin>,
    },
    /// It comes from where translated packets come from.
    Translated(Origin),
    /// It comes from the service address, as from a client whose address is kept: both are reached by way of this host.
    Kept {
        /// The service address.
        address: IpAddr,
        /// Ports of it that are clients' to ask: an answer to one of these would be taken for a client's packet.
        heard: BTreeSet<u16>,
    },
}

/// Where packets to a backend come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Some address of these, or this host's own.
    pub sources: Option<IpNet>,
}

impl Origin {
    /// The address for a check that asks from `own`: like a flow, each port has its own of the sources.
    fn address(&self, own: SocketAddr) -> IpAddr {
        let Some(sources) = &self.sources else { return own.ip() };
        let free = |bits: u8| u32::from(own.port()) & ((1 << bits.min(16)) - 1);
        let bits = sources.max_prefix_len() - sources.prefix_len();
        match sources.network() {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() | free(bits)).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() | u128::from(free(bits))).into(),
        }
    }
}

impl Guise {
    /// What is on the wire of a check that asks from `own`; `None` if it cannot ask from there.
    fn wire(&self, own: SocketAddr) -> Option<Wire> {
        match self {
            Self::Service { address, tunnel } => {
                let tunnel = tunnel.as_ref().map(|origin| origin.address(own));
                Some(Wire::Service { address: *address, tunnel })
            }
            Self::Translated(origin) => Some(Wire::Source { address: origin.address(own), routed: true }),
            Self::Kept { heard, .. } if heard.contains(&own.port()) => None,
            Self::Kept { address, .. } => Some(Wire::Source { address: *address, routed: false }),
        }
    }

    const fn is_tunnelled(&self) -> bool {
        matches!(self, Self::Service { tunnel: Some(_), .. })
    }
}

/// A check under way. Drop it after the socket.
#[derive(Debug)]
pub(super) struct Underway {
    steered: Option<Steered>,
    /// Whether it seems to come from a client.
    kept: bool,
}

impl Way {
    /// The address that is asked where the backend has this one.
    #[must_use]
    pub fn asked(&self, backend: SocketAddr) -> SocketAddr {
        match self {
            Self::Datapath { guise: Guise::Service { address, .. }, .. } => {
                SocketAddr::new(*address, backend.port())
            }
            Self::Direct | Self::Datapath { .. } => backend,
        }
    }

    /// Who is asked where, in words.
    #[must_use]
    pub fn words(&self, backend: SocketAddr) -> String {
        match self {
            Self::Direct => backend.to_string(),
            Self::Datapath { guise: Guise::Service { .. }, .. } => {
                format!("{} on {} by the datapath", self.asked(backend), backend.ip())
            }
            Self::Datapath { guise: Guise::Translated(origin), .. } => match &origin.sources {
                Some(sources) => format!("{backend} from {sources} by the datapath"),
                None => format!("{backend} by the datapath"),
            },
            Self::Datapath { guise: Guise::Kept { address, .. }, .. } => {
                format!("{backend} from {address} by the datapath")
            }
        }
    }

    /// A socket to connect to the backend's address with.
    ///
    /// # Errors
    /// What the socket said, or that too many checks are under way.
    pub(super) fn socket(&self, backend: SocketAddr) -> Result<(Underway, TcpSocket), CheckError> {
        let Self::Datapath { guise, probes } = self else {
            return Ok((Underway { steered: None, kept: false }, socket(backend)?));
        };
        let own = own_address(backend)?;
        for _ in 0..TRIES {
            let socket = marked(socket(backend)?, own)?;
            if guise.is_tunnelled() {
                few_hops(&socket, own)?;
            }
            let own = socket.local_addr()?;
            let steered = guise.wire(own).and_then(|wire| probes.steer(own, backend.ip(), wire));
            if steered.is_some() {
                return Ok((Underway { steered, kept: matches!(guise, Guise::Kept { .. }) }, socket));
            }
        }
        Err(CheckError::Crowded)
    }
}

impl Underway {
    /// What is known of the way once the backend has answered.
    ///
    /// # Errors
    /// If another than the backend has answered, or the check was not steered at all.
    pub(super) fn arrived(&self) -> Result<(), CheckError> {
        let Some(passage) = self.steered.as_ref().map(Steered::passage) else { return Ok(()) };
        match passage.stranger().map(mac_of) {
            Some(mac) if self.kept => Err(CheckError::Detour(mac)),
            Some(mac) => Err(CheckError::Stranger(mac)),
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

    const SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));

    fn arrived(kept: bool, passage: probe::Passage) -> Option<String> {
        let probes = Probes::in_memory();
        let own = "10.0.1.1:9".parse().unwrap();
        let wire = Wire::Service { address: SERVICE, tunnel: None };
        let steered = probes.steer(own, "10.0.1.10".parse().unwrap(), wire);
        probes.pass(own, passage);
        Underway { steered, kept }.arrived().err().map(|error| error.to_string())
    }

    #[test]
    fn an_answer_counts_only_if_the_backend_was_asked_for_the_service_and_gave_it() {
        let backend = u64::from_ne_bytes([2, 0, 0, 0, 0, 10, 0, 0]);
        let other = u64::from_ne_bytes([2, 0, 0, 0, 0, 11, 0, 0]);
        let left = probe::Passage::left(backend);
        assert_eq!(arrived(false, left.answered(backend)), None);
        for (kept, words) in [(false, "does not have the service address"), (true, "way back")] {
            let seen = arrived(kept, left.answered(other)).unwrap();
            assert!(seen.contains("02:00:00:00:00:0b") && seen.contains(words), "{seen}");
        }
        for nobody in [probe::Passage::default(), left] {
            assert!(arrived(false, nobody).unwrap().contains("agent.interfaces"));
        }
    }

    #[test]
    fn a_check_that_this_host_did_not_steer_says_nothing_of_the_backend() {
        assert!(CheckError::Unsteered.is_local() && CheckError::Crowded.is_local());
        assert!(!CheckError::Stranger(Mac([2, 0, 0, 0, 0, 1])).is_local());
        assert!(!CheckError::Detour(Mac([2, 0, 0, 0, 0, 1])).is_local());
    }

    fn by_datapath(guise: Guise) -> Way {
        Way::Datapath { guise, probes: Probes::in_memory() }
    }

    fn origin(sources: Option<&str>) -> Origin {
        Origin { sources: sources.map(|it| it.parse().unwrap()) }
    }

    #[test]
    fn who_is_asked_from_where_is_said() {
        let backend = "10.0.1.10:8081".parse().unwrap();
        let cases = [
            (Way::Direct, "10.0.1.10:8081", "10.0.1.10:8081"),
            (
                by_datapath(Guise::Service { address: SERVICE, tunnel: None }),
                "203.0.113.10:8081",
                "203.0.113.10:8081 on 10.0.1.10 by the datapath",
            ),
            (
                by_datapath(Guise::Translated(origin(Some("192.0.2.64/28")))),
                "10.0.1.10:8081",
                "10.0.1.10:8081 from 192.0.2.64/28 by the datapath",
            ),
            (
                by_datapath(Guise::Kept { address: SERVICE, heard: BTreeSet::new() }),
                "10.0.1.10:8081",
                "10.0.1.10:8081 from 203.0.113.10 by the datapath",
            ),
        ];
        for (way, asked, words) in cases {
            assert_eq!((way.asked(backend).to_string(), way.words(backend)), (asked.into(), words.into()));
        }
    }

    #[test]
    fn packets_come_from_any_of_the_sources_or_from_this_host() {
        let from = |sources, own: &str| origin(sources).address(own.parse().unwrap()).to_string();
        assert_eq!(from(None, "10.0.1.1:9"), "10.0.1.1");
        assert_eq!(from(Some("192.0.2.64/28"), "10.0.1.1:33"), "192.0.2.65");
        assert_eq!(from(Some("192.0.2.64/32"), "10.0.1.1:33"), "192.0.2.64");
        assert_eq!(from(Some("2001:db8::40/124"), "[fd00::1]:47"), "2001:db8::4f");
    }

    #[test]
    fn no_check_seems_to_come_from_a_port_that_clients_ask() {
        let guise = Guise::Kept { address: SERVICE, heard: [40_000].into() };
        let wire = |own: &str| guise.wire(own.parse().unwrap());
        assert_eq!(wire("10.0.1.1:40000"), None);
        assert_eq!(wire("10.0.1.1:40001"), Some(Wire::Source { address: SERVICE, routed: false }));
    }
}

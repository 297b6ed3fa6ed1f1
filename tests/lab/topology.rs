//! Who is in the lab, and every address there is: pure names and numbers.
//!
//! One segment carries all hosts. Each client host owns a v4 `/24` and a v6 `/48` beside its segment address; any
//! address in them is local to it (AnyIP), and the others route them through the client host's segment address, so that
//! hundreds of clients cost no neighbour entry. A v6 client is a `/64`, as in the balancer's affinity.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use anyhow::bail;

/// Number of client hosts.
pub const CLIENT_HOSTS: u8 = 4;
/// Number of backend hosts.
pub const BACKENDS: u8 = 5;
/// Backends that the agent's configuration names; the others wait to be added at runtime.
pub const CONFIGURED: u8 = 4;
/// Clients of one family that a client host can be.
pub const CLIENTS_PER_FAMILY: u8 = 254;

/// The service address, v4.
pub const VIP_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// The service address, v6.
pub const VIP_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100);
/// Leading bits of the segment's addresses, v4.
pub const SEGMENT_V4_BITS: u8 = 24;
/// Leading bits of the segment's addresses, v6.
pub const SEGMENT_V6_BITS: u8 = 64;

/// Port of the WebSocket service.
pub const WS_PORT: u16 = 8080;
/// Port of the UDP service.
pub const UDP_PORT: u16 = 9000;
/// Port of the servers that speak in lines, which tests with thousands of sessions configure as a service.
pub const LINES_PORT: u16 = 7000;
/// Port of the web service.
pub const WEB_PORT: u16 = 80;

/// A host of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A host of clients, from 1.
    Client(u8),
    /// The host that the agent runs on.
    Balancer,
    /// A backend, from 1.
    Backend(u8),
}

impl Host {
    /// Every host.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::clients().chain([Self::Balancer]).chain(Self::backends())
    }

    /// The client hosts.
    pub fn clients() -> impl Iterator<Item = Self> {
        (1..=CLIENT_HOSTS).map(Self::Client)
    }

    /// The backends.
    pub fn backends() -> impl Iterator<Item = Self> {
        (1..=BACKENDS).map(Self::Backend)
    }

    /// The last byte of its segment addresses.
    const fn number(self) -> u8 {
        match self {
            Self::Balancer => 2,
            Self::Client(n) => 10 + n,
            Self::Backend(n) => 20 + n,
        }
    }

    /// Its address on the segment, v4.
    #[must_use]
    pub const fn v4(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.number())
    }

    /// Its address on the segment, v6.
    #[must_use]
    pub fn v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, self.number().into())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(n) => write!(f, "client-{n}"),
            Self::Balancer => f.write_str("balancer"),
            Self::Backend(n) => write!(f, "backend-{n}"),
        }
    }
}

impl FromStr for Host {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match Self::all().find(|host| host.to_string() == name) {
            Some(host) => Ok(host),
            None => bail!(
                "host {name:?} is not in the lab: it has client-1 to client-{CLIENT_HOSTS}, balancer, and backend-1 to \
                 backend-{BACKENDS}"
            ),
        }
    }
}

/// The client addresses of one client host, v4: a network and its length.
#[must_use]
pub const fn clients_v4(host: u8) -> (Ipv4Addr, u8) {
    (Ipv4Addr::new(10, 78, host, 0), 24)
}

/// The client addresses of one client host, v6: a network and its length.
#[must_use]
pub fn clients_v6(host: u8) -> (Ipv6Addr, u8) {
    (Ipv6Addr::new(0xfd78, 0, host.into(), 0, 0, 0, 0, 0), 48)
}

/// One v4 client (`n` from 1) of a client host.
#[must_use]
pub const fn client_v4(host: u8, n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 78, host, n))
}

/// One v6 client (`n` from 1) of a client host, with a `/64` of its own.
#[must_use]
pub fn client_v6(host: u8, n: u8) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd78, 0, host.into(), n.into(), 0, 0, 0, 1))
}

/// The client host that a client address belongs to.
#[must_use]
pub fn client_host_of(address: IpAddr) -> Option<u8> {
    let host = match address {
        IpAddr::V4(v4) => match v4.octets() {
            [10, 78, host, _] => host,
            _ => return None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0xfd78, 0, host, ..] => u8::try_from(host).ok()?,
            _ => return None,
        },
    };
    (1..=CLIENT_HOSTS).contains(&host).then_some(host)
}

/// The service address of the family of `address`.
#[must_use]
pub const fn vip_for(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(VIP_V4),
        IpAddr::V6(_) => IpAddr::V6(VIP_V6),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_client_has_an_address_of_its_own_and_knows_its_host() {
        let mut seen = BTreeSet::new();
        for host in 1..=CLIENT_HOSTS {
            for n in 1..=CLIENTS_PER_FAMILY {
                for address in [client_v4(host, n), client_v6(host, n)] {
                    assert!(seen.insert(address), "{address} twice");
                    assert_eq!(client_host_of(address), Some(host));
                }
            }
        }
    }

    #[test]
    fn v6_clients_differ_in_their_first_64_bits() {
        let prefix = |address: IpAddr| match address {
            IpAddr::V6(v6) => v6.segments()[..4].to_vec(),
            IpAddr::V4(_) => unreachable!("a v6 client"),
        };
        assert_ne!(prefix(client_v6(1, 1)), prefix(client_v6(1, 2)));
        assert_ne!(prefix(client_v6(1, 1)), prefix(client_v6(2, 1)));
    }

    #[test]
    fn a_host_is_read_back_from_its_name() {
        for host in Host::all() {
            assert_eq!(host.to_string().parse::<Host>().unwrap(), host);
        }
        assert!("backend-9".parse::<Host>().is_err());
    }

    #[test]
    fn segment_addresses_belong_to_no_client() {
        for host in Host::all() {
            assert_eq!(client_host_of(host.v4().into()), None);
            assert_eq!(client_host_of(host.v6().into()), None);
        }
    }
}

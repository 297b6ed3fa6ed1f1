//! The ways to backends that the tests of modes `ipip` and `nat` have, and the origins of what is translated: what an agent
//! would write. The fuzzer of the packet's walk takes this file too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use balancer_common::{
    state::{Mode, Proto},
    table::{
        backend::NextHop,
        listener::{WideAddress, wide4},
        origin::{self, OriginEntry},
        ports::{self, Block},
        way::{Sources, Way, Words},
    },
};

/// Port of every backend.
pub(crate) const BACKEND_PORT: u16 = 8080;
/// First port of translated connections.
pub(crate) const FIRST: u16 = 2048;
/// Bits of a translated packet's source that may be anything: there are two of them.
const HOST_BITS: u8 = 1;
const SOURCE4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 2);
/// The first source of tunnels.
pub(crate) const TUNNEL4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 0);
/// The same of tunnels with an IPv6 header.
pub(crate) const TUNNEL6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 0);
/// Bits of a tunnel's source that may be anything.
pub(crate) const SPREAD: u8 = 8;

/// What backends are like whose packets are translated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Words of 64 ports of each source address.
    pub(crate) words: u16,
    /// Bits of a source that may be anything.
    pub(crate) host_bits: u8,
    /// Clients' addresses are kept.
    pub(crate) keep: bool,
    /// Port of the backends; 0: the one that the client asked.
    pub(crate) port: u16,
    /// As in a way.
    pub(crate) mtu: u16,
    /// As in a way.
    pub(crate) mss: u16,
}

impl Default for Shape {
    fn default() -> Self {
        Self { words: 4, host_bits: HOST_BITS, keep: false, port: BACKEND_PORT, mtu: 0, mss: 0 }
    }
}

impl Shape {
    /// Entries of one backend, or of all together where addresses are kept.
    pub(crate) const fn entries(self) -> u32 {
        let bits = if self.keep { 0 } else { self.host_bits };
        (self.words as u32 * ports::PORTS_A_WORD) << bits
    }

    fn block(self, number: u16) -> Block {
        let (base, first) = if self.keep { (0, 0) } else { (u32::from(number - 1) * self.entries(), FIRST) };
        Block { base, first, words: self.words }
    }

    fn sources(self, family: IpAddr) -> Sources {
        let first = if family.is_ipv4() { SOURCE4.into() } else { SOURCE6.into() };
        Sources { first: words(first), host_bits: self.host_bits }
    }

    /// The way to a backend for clients of a family, by this next hop.
    pub(crate) fn way(self, number: u16, family: IpAddr, hop: NextHop) -> Way {
        let sources = if self.keep { Sources::default() } else { self.sources(family) };
        Way {
            sources,
            destination: words(backend(number, family)),
            v6: family.is_ipv6(),
            keep: self.keep,
            port: self.port,
            mtu: self.mtu,
            mss: self.mss,
            block: self.block(number),
            hop: hop.by(Mode::Nat),
        }
    }

    /// A backend's origin; `kept` are the listeners whose clients' addresses are kept.
    pub(crate) fn origin(self, number: u16, family: IpAddr, proto: Proto, kept: [u16; 4]) -> OriginEntry {
        OriginEntry {
            key: origin::key(wide(backend(number, family)), self.port, proto as u8),
            sources: self.sources(family),
            block: if self.keep { Block::default() } else { self.block(number) },
            kept: if self.keep { kept } else { [0; 4] },
            mss: self.mss,
        }
    }
}

/// The way to a backend in a tunnel; of IPv6 if `v6`.
pub(crate) fn tunnel(number: u16, v6: bool, mtu: u16, hop: NextHop) -> Way {
    let (first, family) = match v6 {
        false => (TUNNEL4.into(), Ipv4Addr::UNSPECIFIED.into()),
        true => (TUNNEL6.into(), Ipv6Addr::UNSPECIFIED.into()),
    };
    Way {
        sources: Sources { first: words(first), host_bits: SPREAD },
        destination: words(backend(number, family)),
        v6,
        mtu,
        hop: hop.by(Mode::Ipip),
        ..Way::default()
    }
}

/// A backend's address of the family of `of`.
pub(crate) fn backend(number: u16, of: IpAddr) -> IpAddr {
    match of {
        IpAddr::V4(_) => Ipv4Addr::new(10, 0, 1, number as u8).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, number).into(),
    }
}

/// An address as the tables have it.
pub(crate) fn words(address: IpAddr) -> Words {
    match address {
        IpAddr::V4(v4) => [u32::from_ne_bytes(v4.octets()), 0, 0, 0],
        IpAddr::V6(v6) => bytemuck::cast(v6.octets()),
    }
}

fn wide(address: IpAddr) -> WideAddress {
    match address {
        IpAddr::V4(v4) => wide4(u32::from_ne_bytes(v4.octets())),
        IpAddr::V6(v6) => bytemuck::cast(v6.octets()),
    }
}

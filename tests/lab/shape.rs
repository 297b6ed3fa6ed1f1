//! Where the backends are, and which way their answers take.
//!
//! ```text
//! Segment          clients ─┬─ balancer ─┬─ backends
//!
//! Routed           clients ─┬─ balancer ─┬─ router ─┬─ backends
//!
//! TwoSegments      clients ─┬─ balancer ─┬─ router ─┬─ backends
//!                                └──────────────────┘
//! ```
//!
//! Hosts have the same addresses everywhere: the backends' are a prefix within the segment's, which the others reach through
//! the router.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Leading bits of the backends' segment, v4.
pub const FAR_V4_BITS: u8 = 28;
/// Leading bits of the backends' segment, v6.
pub const FAR_V6_BITS: u8 = 124;
/// The backends' segment.
pub const FAR_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 16);
/// The backends' segment, v6.
pub const FAR_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x10);
/// Addresses that the router sends to the balancer: it may give them as its own, for tunnels and translation.
pub const SOURCES: [&str; 2] = ["10.79.0.16/28", "fd79::10/124"];
/// Last byte of the router's addresses on the clients' segment, and on the backends'.
pub const ROUTER: [u8; 2] = [1, 30];
/// Last byte of the balancer's addresses on the backends' segment.
pub const BALANCER_FAR: u8 = 29;

/// Bytes of the largest packet of every link.
pub const MTU: u16 = 1500;

/// A network of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Where the backends are.
    pub backends: Backends,
    /// Which way their answers take.
    pub answers: Answers,
    /// Whether they have the service address on `lo`.
    pub service_on_lo: bool,
    /// Bytes of the largest packet that the router sends to the backends.
    pub mtu: u16,
    /// Bytes of the largest packet that it sends back from them.
    pub mtu_back: u16,
}

/// Where the backends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backends {
    /// On the one segment that there is.
    Segment,
    /// On a segment of their own, behind a router.
    Routed,
    /// The same, and the balancer has a second interface there.
    TwoSegments,
}

/// Which way answers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// By the backends' or the router's own routes.
    Direct,
    /// By the balancer, which is the gateway to the clients.
    ThroughBalancer,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            backends: Backends::Segment,
            answers: Answers::Direct,
            service_on_lo: true,
            mtu: MTU,
            mtu_back: MTU,
        }
    }
}

impl Shape {
    /// Backends there, everything else as in the usual one.
    #[must_use]
    pub fn of(backends: Backends) -> Self {
        Self { backends, ..Self::default() }
    }

    /// Whether a router stands between clients and backends.
    #[must_use]
    pub fn has_router(self) -> bool {
        self.backends != Backends::Segment
    }
}

/// An address of either segment, by its last byte.
#[must_use]
pub const fn v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

/// As [`v4`].
#[must_use]
pub const fn v6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Host, VIP_V4, VIP_V6};

    #[test]
    fn the_backends_are_in_their_segment_and_nobody_else_is() {
        let far4 = |address: Ipv4Addr| {
            address.to_bits() >> (32 - FAR_V4_BITS) == FAR_V4.to_bits() >> (32 - FAR_V4_BITS)
        };
        let far6 = |address: Ipv6Addr| {
            address.to_bits() >> (128 - FAR_V6_BITS) == FAR_V6.to_bits() >> (128 - FAR_V6_BITS)
        };
        for host in Host::all() {
            let is_backend = matches!(host, Host::Backend(_));
            assert_eq!((far4(host.v4()), far6(host.v6())), (is_backend, is_backend), "{host}");
        }
        assert!(!far4(VIP_V4) && !far6(VIP_V6) && !far4(v4(ROUTER[0])) && !far6(v6(ROUTER[0])));
        for number in [ROUTER[1], BALANCER_FAR] {
            assert!(far4(v4(number)) && far6(v6(number)), "{number}");
            assert!(Host::all().all(|host| host.v4() != v4(number)), "{number}");
        }
    }
}

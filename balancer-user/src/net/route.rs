//! Which interface and which next hop lead to an address.

use std::net::IpAddr;

use rtnetlink::{
    RouteMessageBuilder,
    packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia},
};

use crate::net::{NetError, Netlink, netlink::collect};

/// How this host reaches an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The interface that packets leave by.
    pub ifindex: u32,
    /// The next hop.
    pub hop: Hop,
    /// The source address that this host would use.
    pub source: Option<IpAddr>,
    /// Bytes of the largest IP packet on it, where that is less than the interface's.
    pub mtu: Option<u32>,
}

/// The next hop on the way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// The address itself: it stands on the interface's own segment.
    Direct,
    /// A gateway.
    Gateway(IpAddr),
    /// None: it is an address of this host.
    Local,
}

/// Why there is no route to a backend that serves.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The routing table leads nowhere.
    #[error("no route to {to} ({why}); `ip route get {to}` says the same")]
    NoRoute {
        /// The address.
        to: IpAddr,
        /// The kernel's word.
        why: String,
    },
    /// It is this host.
    #[error(
        "{to} is an address of this host, which cannot be a backend of its own: what it sends to itself leaves by no interface"
    )]
    Local {
        /// The address.
        to: IpAddr,
    },
    /// Netlink did not say.
    #[error(transparent)]
    Net(#[from] NetError),
}

/// How this host reaches `to` (`ip route get`).
///
/// # Errors
/// [`RouteError::NoRoute`], or what went wrong with netlink.
pub async fn look_up(netlink: &Netlink, to: IpAddr) -> Result<Route, RouteError> {
    let what = format!("the route to {to}");
    let request = netlink.handle().route().get(question(to));
    let answers = collect(&what, request.execute()).await.map_err(|error| no_route(to, error))?;
    let route = answers.first().and_then(|answer| Route::of(answer, to));
    route.ok_or_else(|| RouteError::NoRoute { to, why: "not to a single host".to_owned() })
}

/// The gateway on the way to `to`; `None`: it stands on the interface's own segment.
///
/// # Errors
/// If no interface leads there.
pub fn gateway_of(to: IpAddr, route: &Route) -> Result<Option<IpAddr>, RouteError> {
    match route.hop {
        Hop::Direct => Ok(None),
        Hop::Gateway(gateway) => Ok(Some(gateway)),
        Hop::Local => Err(RouteError::Local { to }),
    }
}

impl Route {
    fn of(message: &RouteMessage, to: IpAddr) -> Option<Self> {
        let mut route = Self { ifindex: 0, hop: Hop::Direct, source: None, mtu: None };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Oif(index) => route.ifindex = *index,
                RouteAttribute::Gateway(address) => route.hop = gateway(ip_of(address)?, to),
                RouteAttribute::Via(via) => route.hop = gateway(ip_via(via)?, to),
                RouteAttribute::PrefSource(address) => route.source = ip_of(address),
                RouteAttribute::Metrics(metrics) => route.mtu = metrics.iter().find_map(mtu),
                _ => {}
            }
        }
        match message.header.kind {
            RouteType::Unicast => {}
            RouteType::Local | RouteType::Anycast => route.hop = Hop::Local,
            _ => return None,
        }
        (route.ifindex != 0).then_some(route)
    }
}

/// Set by hand, or learned from a router on the way.
fn mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu).filter(|mtu| *mtu != 0),
        _ => None,
    }
}

/// A gateway that is the address itself is none.
fn gateway(gateway: IpAddr, to: IpAddr) -> Hop {
    if gateway == to { Hop::Direct } else { Hop::Gateway(gateway) }
}

fn question(to: IpAddr) -> RouteMessage {
    let bits = if to.is_ipv4() { 32 } else { 128 };
    match RouteMessageBuilder::<IpAddr>::new().destination_prefix(to, bits) {
        Ok(builder) => builder.build(),
        Err(error) => unreachable!("a host prefix of {to} is valid: {error}"),
    }
}

/// The answers of `ip route get` that mean "nowhere": no route, `unreachable`, `prohibit`, `blackhole`.
fn no_route(to: IpAddr, error: NetError) -> RouteError {
    let why = match error.errno() {
        Some(libc::ENETUNREACH) => "network unreachable",
        Some(libc::EHOSTUNREACH) => "host unreachable",
        Some(libc::EACCES) => "prohibited",
        Some(libc::EINVAL) => "black hole",
        _ => return RouteError::Net(error),
    };
    RouteError::NoRoute { to, why: why.to_owned() }
}

fn ip_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

fn ip_via(via: &RouteVia) -> Option<IpAddr> {
    match via {
        RouteVia::Inet(ip) => Some((*ip).into()),
        RouteVia::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

//! The router between the clients' segment and the backends', and the balancer's own way past it.

use anyhow::Result;

use super::{INTERFACE, SECOND_INTERFACE, cable, common_sysctls, plug, to_client_host};
use crate::{
    netns::Netns,
    paths::Place,
    shape::{
        Answers, BALANCER_FAR, FAR_V4, FAR_V4_BITS, FAR_V6, FAR_V6_BITS, ROUTER, SOURCES, Shape, v4, v6,
    },
    topology::{CLIENT_HOSTS, Host, SEGMENT_V4_BITS, SEGMENT_V6_BITS},
};

/// Name of the router's ports at the switches.
const PORT: &str = "router";

/// The router, with an interface at each switch.
pub(super) fn make(place: &Place, shape: Shape) -> Result<()> {
    let netns = place.router();
    netns.create()?;
    netns.sysctl(&common_sysctls())?;
    netns.sysctl(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")])?;
    // One that sends a packet back by where it came from need not tell its sender.
    netns.sysctl(&[("ipv4/conf/all/send_redirects", "0"), ("ipv4/conf/default/send_redirects", "0")])?;
    let sides = [
        (INTERFACE, place.switch(), ROUTER[0], SEGMENT_V4_BITS, SEGMENT_V6_BITS),
        (SECOND_INTERFACE, place.far_switch(), ROUTER[1], FAR_V4_BITS, FAR_V6_BITS),
    ];
    for (interface, switch, number, bits4, bits6) in sides {
        cable(&switch, &netns, interface, PORT)?;
        netns.ip(&format!(
            "address add {}/{bits4} dev {interface}\n\
             address add {}/{bits6} dev {interface} nodad\n\
             link set {interface} up\n",
            v4(number),
            v6(number)
        ))?;
    }
    netns.ip("link set lo up\n")?;
    narrow(&netns, shape.mtu)?;
    let gateway = |client| match shape.answers {
        Answers::Direct => Host::Client(client),
        Answers::ThroughBalancer => Host::Balancer,
    };
    let [sources4, sources6] = SOURCES;
    let (v4, v6) = (Host::Balancer.v4(), Host::Balancer.v6());
    let to_sources = format!("route add {sources4} via {v4}\nroute add {sources6} via {v6}\n");
    let to_clients = (1..=CLIENT_HOSTS).map(|n| to_client_host(n, gateway(n)));
    let back: String = to_clients.chain([to_sources]).collect();
    netns.ip(&back.replace('\n', &format!(" mtu {}\n", shape.mtu_back)))
}

/// Makes the way to the backends take smaller packets than their segment does, which nobody else knows of.
fn narrow(router: &Netns, mtu: u16) -> Result<()> {
    router.ip(&format!(
        "route replace {FAR_V4}/{FAR_V4_BITS} dev {SECOND_INTERFACE} proto kernel scope link mtu {mtu}\n\
         route replace {FAR_V6}/{FAR_V6_BITS} dev {SECOND_INTERFACE} proto kernel metric 256 mtu {mtu}\n"
    ))
}

/// A host's way to the other side.
pub(super) fn routes(host: Host) -> String {
    let [near, far] = ROUTER;
    match host {
        Host::Backend(_) => format!("route add default via {}\nroute add default via {}\n", v4(far), v6(far)),
        Host::Client(_) | Host::Balancer => format!(
            "route add {FAR_V4}/{FAR_V4_BITS} via {}\nroute add {FAR_V6}/{FAR_V6_BITS} via {}\n",
            v4(near),
            v6(near)
        ),
    }
}

/// The balancer's own interface on the backends' segment.
pub(super) fn second_interface(place: &Place) -> Result<()> {
    let balancer = place.netns(Host::Balancer);
    plug(place, &place.far_switch(), &balancer, SECOND_INTERFACE, Host::Balancer)?;
    // The address on the link brings a route that is as long as the one by the router, and must be the only one.
    let [near, _] = ROUTER;
    balancer.ip(&format!(
        "route del {FAR_V4}/{FAR_V4_BITS} via {}\n\
         route del {FAR_V6}/{FAR_V6_BITS} via {}\n\
         address add {}/{FAR_V4_BITS} dev {SECOND_INTERFACE}\n\
         address add {}/{FAR_V6_BITS} dev {SECOND_INTERFACE} nodad\n\
         link set {SECOND_INTERFACE} up\n",
        v4(near),
        v6(near),
        v4(BALANCER_FAR),
        v6(BALANCER_FAR)
    ))
}

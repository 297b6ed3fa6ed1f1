use super::*;
use crate::net::{
    links,
    testing::{Cable, is_root},
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn hop(netlink: &Netlink, to: &str) -> Hop {
    look_up(netlink, ip(to)).await.unwrap().hop
}

#[test]
fn a_route_that_stays_on_this_host_leads_to_no_backend() {
    let to = ip("10.2.0.9");
    let route = |hop| Route { ifindex: 7, hop, source: None, mtu: None };
    assert_eq!(gateway_of(to, &route(Hop::Direct)).unwrap(), None);
    assert_eq!(gateway_of(to, &route(Hop::Gateway(ip("10.0.0.1")))).unwrap(), Some(ip("10.0.0.1")));
    let local = gateway_of(to, &route(Hop::Local)).unwrap_err().to_string();
    assert!(local.starts_with("10.2.0.9 is an address of this host"), "{local}");
}

#[test]
fn the_kernel_tells_direct_gateway_local_and_nowhere_apart() {
    if !is_root("the_kernel_tells_direct_gateway_local_and_nowhere_apart") {
        return;
    }
    let cable = Cable::new();
    let balancer = &cable.balancer;
    balancer.ip("route add 10.20.0.0/16 via 10.9.0.2");
    balancer.ip("route add fd20::/16 via fd09::2");
    balancer.ip("route add 10.21.0.0/16 via inet6 fd09::2");
    balancer.ip("route add 10.22.0.0/16 via 10.9.0.2 mtu 1400");
    balancer.ip("route add unreachable 10.30.0.0/16");
    balancer.ip("route add prohibit 10.31.0.0/16");
    balancer.ip("route add blackhole 10.32.0.0/16");
    balancer.run(async || {
        let netlink = Netlink::open().unwrap();
        let eth0 = links::by_name(&netlink, "eth0").await.unwrap().index;
        let route = look_up(&netlink, ip("10.9.0.2")).await.unwrap();
        assert_eq!(route, Route { ifindex: eth0, hop: Hop::Direct, source: Some(ip("10.9.0.1")), mtu: None });
        let narrow = look_up(&netlink, ip("10.22.1.1")).await.unwrap();
        assert_eq!((narrow.hop, narrow.mtu), (Hop::Gateway(ip("10.9.0.2")), Some(1400)));
        assert_eq!(hop(&netlink, "fd09::2").await, Hop::Direct);
        assert_eq!(hop(&netlink, "10.20.1.1").await, Hop::Gateway(ip("10.9.0.2")));
        assert_eq!(hop(&netlink, "fd20::1").await, Hop::Gateway(ip("fd09::2")));
        assert_eq!(hop(&netlink, "10.21.1.1").await, Hop::Gateway(ip("fd09::2")));
        assert_eq!(hop(&netlink, "10.9.0.1").await, Hop::Local);
        assert_eq!(hop(&netlink, "fd09::1").await, Hop::Local);
        for to in ["10.99.0.1", "fd99::1", "10.30.0.1", "10.31.0.1", "10.32.0.1", "10.9.0.255", "224.0.0.9"] {
            let answer = look_up(&netlink, ip(to)).await;
            assert!(matches!(answer, Err(RouteError::NoRoute { .. })), "{to}: {answer:?}");
        }
    });
}

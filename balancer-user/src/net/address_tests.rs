use super::*;
use crate::net::{
    links,
    testing::{Cable, is_root},
};

#[test]
fn every_local_address_is_found_on_its_interface_and_no_peers() {
    if !is_root("every_local_address_is_found_on_its_interface_and_no_peers") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.ip("addr add 203.0.113.10/32 dev lo");
    cable.balancer.ip("addr add 10.50.0.1 peer 10.50.0.2/32 dev eth0");
    cable.balancer.run(async || {
        let netlink = Netlink::open().unwrap();
        let eth0 = links::by_name(&netlink, "eth0").await.unwrap().index;
        let found = local(&netlink).await.unwrap();
        let on = |address: &str| {
            let address = address.parse::<IpAddr>().unwrap();
            found.iter().find(|local| local.address == address).map(|local| (local.prefix, local.ifindex))
        };
        assert_eq!(on("10.9.0.1"), Some((24, eth0)));
        assert_eq!(on("fd09::1"), Some((64, eth0)));
        assert_eq!(on("203.0.113.10"), Some((32, 1)), "a service address on lo");
        assert_eq!(on("127.0.0.1"), Some((8, 1)));
        assert!(on("10.50.0.1").is_some());
        assert_eq!(on("10.50.0.2"), None, "the peer's");
    });
}

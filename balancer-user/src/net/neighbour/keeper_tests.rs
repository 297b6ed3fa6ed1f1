use super::*;
use crate::net::testing::{Cable, is_root};

/// What one step may take with the cable's quick kernels and a short recheck.
const PATIENCE: Duration = Duration::from_secs(8);
const QUICK: Duration = Duration::from_millis(500);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

struct Bench {
    keeper: Keeper,
    events: mpsc::Receiver<NeighbourEvent>,
}

impl Bench {
    /// As it runs, but looking more often.
    fn new() -> Self {
        Self::with(GROUPS, QUICK)
    }

    fn with(groups: &'static [MulticastGroup], recheck: Duration) -> Self {
        let (sender, events) = mpsc::channel(16);
        Self { keeper: Keeper::start_with(sender, groups, recheck).unwrap(), events }
    }

    async fn next(&mut self) -> (IpAddr, Reach) {
        let event = time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time");
        let NeighbourEvent { address, reach } = event.expect("a sender");
        (address, reach)
    }

    async fn next_mac(&mut self) -> Mac {
        match self.next().await.1 {
            Reach::Resolved(neighbour) => neighbour.mac,
            Reach::Unreachable { why } => panic!("{why}"),
        }
    }

    async fn next_why(&mut self) -> String {
        match self.next().await.1 {
            Reach::Unreachable { why } => why,
            Reach::Resolved(neighbour) => panic!("resolved to {neighbour:?}"),
        }
    }

    async fn is_silent_for(&mut self, time: Duration) -> bool {
        time::timeout(time, self.events.recv()).await.is_err()
    }
}

#[test]
fn both_families_are_resolved_and_named_with_their_interface() {
    if !is_root("both_families_are_resolved_and_named_with_their_interface") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let mut bench = Bench::new();
        bench.keeper.set(BTreeSet::from([ip("10.9.0.2"), ip("fd09::2")]));
        let told = HashMap::from([bench.next().await, bench.next().await]);
        let netlink = Netlink::open().unwrap();
        let ifindex = links::by_name(&netlink, "eth0").await.unwrap().index;
        let reach = |source| {
            let direct = Neighbour::on_segment(ifindex, mac(2));
            Reach::Resolved(Neighbour { source: Some(ip(source)), mtu: 1500, ..direct })
        };
        let wanted = [(ip("10.9.0.2"), reach("10.9.0.1")), (ip("fd09::2"), reach("fd09::1"))];
        assert_eq!(told, HashMap::from(wanted));
        // Entries go stale after half a second to a second and a half; the keeper lets no one notice.
        assert!(bench.is_silent_for(Duration::from_secs(4)).await);
    });
}

#[test]
fn the_reason_is_told_for_addresses_that_cannot_be_reached() {
    if !is_root("the_reason_is_told_for_addresses_that_cannot_be_reached") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let mut bench = Bench::new();
        bench.keeper.add(ip("10.9.0.1"));
        let why = bench.next_why().await;
        assert!(why.starts_with("10.9.0.1 is an address of this host"), "{why}");
        bench.keeper.add(ip("10.99.0.1"));
        let why = bench.next_why().await;
        assert!(why.starts_with("no route to 10.99.0.1 (network unreachable)"), "{why}");
        bench.keeper.add(ip("10.9.0.77"));
        assert_eq!(bench.next_why().await, "nobody answers ARP for 10.9.0.77 on eth0");
    });
}

#[test]
fn a_route_that_comes_later_is_noticed_by_its_notification() {
    if !is_root("a_route_that_comes_later_is_noticed_by_its_notification") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let mut bench = Bench::with(GROUPS, PATIENCE * 10);
        for (address, route) in [("10.99.0.1", "10.99.0.0/16"), ("fd99::1", "fd99::/64")] {
            bench.keeper.add(ip(address));
            bench.next_why().await;
            cable.backend.ip(&format!("addr add {address} dev eth0"));
            cable.balancer.ip(&format!("route add {route} dev eth0"));
            assert_eq!(bench.next().await.0, ip(address));
        }
    });
}

#[test]
fn a_neighbour_that_falls_silent_is_unreachable_until_it_answers_again() {
    if !is_root("a_neighbour_that_falls_silent_is_unreachable_until_it_answers_again") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let mut bench = Bench::new();
        for (address, protocol) in [("10.9.0.2/24", "ARP"), ("fd09::2/64", "neighbour discovery")] {
            let bare = address.split('/').next().unwrap();
            bench.keeper.set(BTreeSet::from([ip(bare)]));
            assert_eq!(bench.next_mac().await, mac(2));
            cable.backend.ip(&format!("addr del {address} dev eth0"));
            assert_eq!(bench.next_why().await, format!("nobody answers {protocol} for {bare} on eth0"));
            cable.backend.ip(&format!("addr add {address} dev eth0"));
            assert_eq!(bench.next_mac().await, mac(2));
        }
    });
}

#[test]
fn another_mac_and_a_deleted_entry_are_noticed() {
    if !is_root("another_mac_and_a_deleted_entry_are_noticed") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let mut bench = Bench::new();
        bench.keeper.add(ip("10.9.0.2"));
        assert_eq!(bench.next_mac().await, mac(2));
        cable.backend.ip("link set eth0 address 02:00:00:00:00:09");
        cable.balancer.ip("neigh del 10.9.0.2 dev eth0");
        assert_eq!(bench.next_mac().await, mac(9));
    });
}

#[test]
fn another_mac_is_noticed_at_once_when_the_old_one_is_doubted() {
    if !is_root("another_mac_is_noticed_at_once_when_the_old_one_is_doubted") {
        return;
    }
    let cable = Cable::new();
    // As the kernel is by itself: the entry would be good for half a minute.
    for family in ["ipv4", "ipv6"] {
        cable.balancer.sysctl(&format!("{family}/neigh/eth0/base_reachable_time_ms"), "30000");
    }
    cable.balancer.run(async || {
        let mut bench = Bench::with(GROUPS, RECHECK);
        for (address, last) in [("10.9.0.2", 9), ("fd09::2", 10)] {
            bench.keeper.set(BTreeSet::from([ip(address)]));
            bench.next_mac().await;
            cable.backend.ip(&format!("link set eth0 address 02:00:00:00:00:{last:02x}"));
            assert!(
                bench.is_silent_for(Duration::from_millis(300)).await,
                "the kernel tells nobody by itself"
            );
            bench.keeper.doubt(ip(address));
            assert_eq!(bench.next_mac().await, mac(last));
        }
    });
}

#[test]
fn a_lost_carrier_takes_no_mac_away() {
    if !is_root("a_lost_carrier_takes_no_mac_away") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let mut bench = Bench::new();
        bench.keeper.add(ip("10.9.0.2"));
        assert_eq!(bench.next_mac().await, mac(2));
        cable.backend.ip("link set eth0 down");
        assert!(bench.is_silent_for(Duration::from_secs(4)).await);
        cable.backend.ip("link set eth0 address 02:00:00:00:00:09 up");
        assert_eq!(bench.next_mac().await, mac(9));
    });
}

#[test]
fn nothing_depends_on_notifications_alone() {
    if !is_root("nothing_depends_on_notifications_alone") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let mut bench = Bench::with(&[], QUICK);
        bench.keeper.add(ip("10.9.0.2"));
        assert_eq!(bench.next_mac().await, mac(2));
        cable.backend.ip("addr del 10.9.0.2/24 dev eth0");
        bench.next_why().await;
    });
}

#[test]
fn a_removed_address_is_told_of_no_more() {
    if !is_root("a_removed_address_is_told_of_no_more") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let mut bench = Bench::new();
        bench.keeper.add(ip("10.9.0.2"));
        assert_eq!(bench.next_mac().await, mac(2));
        bench.keeper.remove(ip("10.9.0.2"));
        cable.backend.ip("addr del 10.9.0.2/24 dev eth0");
        cable.balancer.ip("neigh flush dev eth0");
        assert!(bench.is_silent_for(Duration::from_secs(4)).await);
    });
}

#[test]
fn routes_over_gateways_are_followed_and_so_are_their_mac_addresses() {
    if !is_root("routes_over_gateways_are_followed_and_so_are_their_mac_addresses") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.ip("route add 10.20.0.0/16 via 10.9.0.2 mtu 1400");
    cable.balancer.run(async || {
        let mut bench = Bench::new();
        bench.keeper.add(ip("10.20.0.9"));
        let Reach::Resolved(first) = bench.next().await.1 else { panic!("not resolved") };
        assert_eq!((first.mac, first.gateway, first.mtu), (mac(2), Some(ip("10.9.0.2")), 1400));
        assert_eq!(first.source, Some(ip("10.9.0.1")));
        cable.backend.ip("link set eth0 address 02:00:00:00:00:09");
        cable.balancer.ip("neigh del 10.9.0.2 dev eth0");
        assert_eq!(bench.next_mac().await, mac(9));
        cable.backend.ip("addr add 10.9.0.3/24 dev eth0");
        cable.balancer.ip("route replace 10.20.0.0/16 via 10.9.0.3");
        let Reach::Resolved(other) = bench.next().await.1 else { panic!("not resolved") };
        assert_eq!((other.mac, other.gateway, other.mtu), (mac(9), Some(ip("10.9.0.3")), 1500));
        // The interface takes the route with it, and the neighbours.
        cable.balancer.ip("link set eth0 down");
        assert!(bench.next_why().await.starts_with("no route to 10.20.0.9"));
        cable.balancer.ip("link set eth0 up");
        cable.balancer.ip("route add 10.20.0.0/16 via 10.9.0.2");
        let again = Neighbour { gateway: Some(ip("10.9.0.2")), ..other };
        while bench.next().await.1 != Reach::Resolved(again) {}
    });
}

use super::*;
use crate::net::testing::{Cable, is_root};

fn link(carrier: bool) -> Link {
    Link { index: 2, name: "eth0".to_owned(), mac: None, up: true, carrier, xdp: None, mtu: 1500, kind: None }
}

#[test]
fn only_watched_interfaces_that_differ_are_told() {
    let names = ["eth0".to_owned(), "eth1".to_owned()];
    let mut known = HashMap::new();
    let other = Link { name: "eth9".to_owned(), ..link(true) };
    let first = changes(&names, &mut known, &[link(true), other]);
    let told: Vec<_> = first.iter().map(|event| (event.name.as_str(), event.link.is_some())).collect();
    assert_eq!(told, [("eth0", true), ("eth1", false)], "each once, a missing one too");
    assert_eq!(changes(&names, &mut known, &[link(true)]), []);
    let lost = changes(&names, &mut known, &[link(false)]);
    assert_eq!(lost, [LinkEvent { name: "eth0".to_owned(), link: Some(link(false)) }]);
    let gone = changes(&names, &mut known, &[]);
    assert_eq!(gone, [LinkEvent { name: "eth0".to_owned(), link: None }]);
}

#[test]
fn an_interface_is_found_by_its_name_and_a_missing_one_named() {
    if !is_root("an_interface_is_found_by_its_name_and_a_missing_one_named") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let netlink = Netlink::open().unwrap();
        let eth0 = by_name(&netlink, "eth0").await.unwrap();
        assert_eq!(eth0.mac.unwrap().to_string(), "02:00:00:00:00:01");
        assert!(eth0.up && eth0.carrier);
        assert_eq!(by_name(&netlink, "lo").await.unwrap().mac, None);
        let error = by_name(&netlink, "a-name-longer-than-any-interface-has").await.unwrap_err();
        assert!(
            error.to_string().contains("\"a-name-longer-than-any-interface-has\" does not exist"),
            "{error}"
        );
    });
}

async fn next(events: &mut mpsc::Receiver<LinkEvent>) -> Option<Link> {
    // Well below the recheck: it must come from the notification.
    let event = time::timeout(Duration::from_secs(2), events.recv()).await.expect("an event in time");
    event.expect("a sender").link
}

#[test]
fn a_watch_tells_of_carrier_loss_and_of_removal() {
    if !is_root("a_watch_tells_of_carrier_loss_and_of_removal") {
        return;
    }
    let cable = Cable::new();
    cable.balancer.run(async || {
        let (sender, mut events) = mpsc::channel(4);
        let _watch = LinkWatch::start(vec!["eth0".to_owned()], sender).unwrap();
        assert!(next(&mut events).await.unwrap().carrier);
        cable.backend.ip("link set eth0 down");
        let lost = next(&mut events).await.unwrap();
        assert!(lost.up && !lost.carrier, "{lost:?}");
        cable.backend.ip("link set eth0 up");
        assert!(next(&mut events).await.unwrap().carrier);
        cable.backend.ip("link del eth0");
        loop {
            // Its end may be told in steps.
            if next(&mut events).await.is_none() {
                break;
            }
        }
    });
}

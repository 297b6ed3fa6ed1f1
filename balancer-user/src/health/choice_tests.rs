use super::*;
use crate::{
    config::model::{Backend, HealthCheck},
    control::testing,
    health::{Target, Way},
};

const V4: &str = "10.0.1.10";
const V6: &str = "fd00::a";

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|address| address.parse().unwrap()).collect()
}

/// A service that listens on these, and is checked this way.
fn service(via: Via, listen: &[&str], port: Option<u16>) -> Service {
    let plain = testing::service("ws", Vec::new());
    Service {
        listen: listen.iter().map(|listen| listen.parse().unwrap()).collect(),
        health: HealthCheck { via, port, ..plain.health.clone() },
        ..plain
    }
}

/// What is asked where: `SERVICE on BACKEND:PORT` by the datapath, else `BACKEND:PORT`.
fn asked_of(service: &Service, backend: &[&str], ways: &Ways) -> Option<String> {
    let backend: Vec<_> = addresses(backend).into_iter().map(Into::into).collect();
    let target = Target::of(service, &backend, ways)?;
    let at = target.socket_address();
    Some(match target.way {
        Way::Direct => at.to_string(),
        Way::Datapath { guise: Guise::Service { address, .. }, .. } => format!("{address} on {at}"),
        Way::Datapath { guise: Guise::Translated(origin), .. } => match origin.sources {
            Some(sources) => format!("{at} from {sources}"),
            None => format!("{at} from this host"),
        },
        Way::Datapath { guise: Guise::Kept { address, .. }, .. } => format!("{at} from {address}"),
    })
}

fn asked(via: Via, listen: &[&str], port: Option<u16>, backend: &[&str]) -> Option<String> {
    asked_of(&service(via, listen, port), backend, &Ways::in_memory())
}

#[test]
fn by_the_datapath_the_service_address_of_the_backends_family_is_asked() {
    let listen = ["203.0.113.10:53/udp", "[2001:db8::10]:80/tcp", "203.0.113.11:443/tcp"];
    for via in [Via::Datapath, Via::Auto] {
        let of = |backend: &[&str]| asked(via, &listen, None, backend);
        assert_eq!(of(&[V4, V6]).as_deref(), Some("203.0.113.11 on 10.0.1.10:443"));
        assert_eq!(of(&[V6, V4]).as_deref(), Some("2001:db8::10 on [fd00::a]:80"));
    }
    let with_port = asked(Via::Datapath, &["203.0.113.10:*/tcp"], Some(8081), &[V4]);
    assert_eq!(with_port.as_deref(), Some("203.0.113.10 on 10.0.1.10:8081"));
}

#[test]
fn by_the_datapath_a_backend_is_asked_at_the_address_that_a_service_address_can_replace() {
    let v6 = ["[2001:db8::10]:443/tcp"];
    for via in [Via::Datapath, Via::Auto] {
        let second = asked(via, &v6, None, &[V4, V6]);
        assert_eq!(second.as_deref(), Some("2001:db8::10 on [fd00::a]:443"));
    }
    assert_eq!(asked(Via::Datapath, &v6, None, &[V4]), None);
    assert_eq!(asked(Via::Datapath, &["203.0.113.10:*/tcp"], None, &[V4]), None);
}

#[test]
fn of_itself_a_check_goes_directly_where_the_service_address_may_not_answer_it() {
    let both = ["203.0.113.10:443/tcp", "203.0.113.10:8081/udp", "203.0.113.11:*/tcp"];
    let cases: [(&[&str], Option<u16>, &str); 7] = [
        (&both, None, "203.0.113.10 on 10.0.1.10:443"),
        (&both, Some(443), "203.0.113.10 on 10.0.1.10:443"),
        // Another port, even if the service takes every one, or this one by UDP.
        (&both, Some(8081), "10.0.1.10:8081"),
        (&["203.0.113.10:53/udp"], None, "10.0.1.10:53"),
        (&["203.0.113.10:53/udp"], Some(53), "10.0.1.10:53"),
        // No address that a service address can take the place of.
        (&["[2001:db8::10]:443/tcp"], None, "10.0.1.10:443"),
        (&["[2001:db8::10]:443/tcp", "203.0.113.10:80/tcp"], Some(443), "10.0.1.10:443"),
    ];
    for (listen, port, expected) in cases {
        assert_eq!(asked(Via::Auto, listen, port, &[V4]).as_deref(), Some(expected), "{listen:?} {port:?}");
    }
}

#[test]
fn of_itself_a_check_goes_directly_where_this_host_cannot_send_it_by_the_datapath() {
    let listen = ["203.0.113.10:443/tcp", "[2001:db8::10]:443/tcp"];
    let auto = service(Via::Auto, &listen, None);
    let insists = service(Via::Datapath, &listen, None);
    let old = Ways { datapath: false, ..Ways::in_memory() };
    assert_eq!(asked_of(&auto, &[V4, V6], &old).as_deref(), Some("10.0.1.10:443"));
    let elsewhere =
        |texts: &[&str]| Ways { elsewhere: addresses(texts).into_iter().collect(), ..Ways::in_memory() };
    let near = asked_of(&auto, &[V4, V6], &elsewhere(&[V4]));
    assert_eq!(near.as_deref(), Some("2001:db8::10 on [fd00::a]:443"));
    assert_eq!(asked_of(&auto, &[V4, V6], &elsewhere(&[V4, V6])).as_deref(), Some("10.0.1.10:443"));
    let all = asked_of(&insists, &[V4, V6], &elsewhere(&[V4, V6]));
    assert_eq!(all.as_deref(), Some("203.0.113.10 on 10.0.1.10:443"));
}

#[test]
fn the_programs_are_wanted_where_a_check_may_go_by_the_datapath() {
    let may =
        |via, listen: &str, port| may_go_by_datapath(&service(via, &[listen], port), &Guises::default());
    assert!(may(Via::Auto, "203.0.113.10:443/tcp", None));
    assert!(!may(Via::Auto, "203.0.113.10:443/tcp", Some(8081)));
    assert!(!may(Via::Auto, "203.0.113.10:443/udp", None));
    assert!(!may(Via::Direct, "203.0.113.10:443/tcp", None));
    assert!(may(Via::Datapath, "203.0.113.10:443/tcp", Some(8081)));
    let mut unasked = service(Via::Auto, &["203.0.113.10:443/tcp"], None);
    unasked.health.kind = HealthKind::None;
    assert!(!may_go_by_datapath(&unasked, &Guises::default()));
}

/// A host whose packets to backends come from these.
fn with_sources() -> Ways {
    let sources = vec!["192.0.2.64/28".parse().unwrap(), "fd79::10/124".parse().unwrap()];
    Ways { guises: Guises { sources, ..Guises::default() }, ..Ways::in_memory() }
}

fn asked_in(mode: Mode, service: Service, backend: &str, ways: &Ways) -> (Option<String>, bool) {
    let mut service = Service { mode, ..service };
    let at: Endpoint = backend.parse().unwrap();
    let target = Target::of(&service, &[at], ways);
    let words = target.map(|target| target.way.words(target.socket_address()));
    service.backends = vec![Backend { addresses: vec![at], ..testing::backend("b", 1) }];
    (words, may_go_by_datapath(&service, &ways.guises))
}

#[test]
fn a_translated_check_comes_from_the_sources_if_there_are_some() {
    let of = |via, port, backend, ways: &Ways| {
        asked_in(Mode::Nat, service(via, &["203.0.113.10:443/tcp"], port), backend, ways)
    };
    let (none, some) = (Ways::in_memory(), with_sources());
    let by = "10.0.1.10:8443 from 192.0.2.64/28 by the datapath";
    let cases = [
        // From this host's own address a direct check tells as much.
        (Via::Auto, None, "10.0.1.10:8443", &none, "10.0.1.10:8443", false),
        (Via::Datapath, None, "10.0.1.10:8443", &none, "10.0.1.10:8443 by the datapath", true),
        (Via::Auto, None, "10.0.1.10:8443", &some, by, true),
        (Via::Auto, Some(8443), "10.0.1.10:8443", &some, by, true),
        // A port that only checks are for.
        (Via::Auto, Some(81), "10.0.1.10:8443", &some, "10.0.1.10:81", false),
        (Via::Auto, None, "10.0.1.10", &some, "10.0.1.10:443 from 192.0.2.64/28 by the datapath", true),
        (Via::Direct, None, "10.0.1.10:8443", &some, "10.0.1.10:8443", false),
    ];
    for (via, port, backend, ways, words, may) in cases {
        assert_eq!(of(via, port, backend, ways), (Some(words.to_owned()), may), "{via:?} {port:?} {backend}");
    }
    let v6 = asked_in(Mode::Nat, service(Via::Auto, &["[2001:db8::10]:443/tcp"], None), "fd00::a", &some);
    assert_eq!(v6.0.as_deref(), Some("[fd00::a]:443 from fd79::10/124 by the datapath"));
}

#[test]
fn where_clients_addresses_are_kept_a_check_that_must_comes_from_the_service_address() {
    let of = |via, listens: &[&str]| {
        let service = Service { source: Source::Keep, ..service(via, &listens[..1], None) };
        let heard = listens.iter().map(|listen| listen.parse::<Listen>().unwrap());
        let heard = heard.map(|listen| (listen.address, listen.port)).collect();
        let ways = Ways { guises: Guises { heard, ..with_sources().guises }, ..Ways::in_memory() };
        asked_in(Mode::Nat, service, "10.0.1.10:8443", &ways)
    };
    let by = Some("10.0.1.10:8443 from 203.0.113.10 by the datapath".to_owned());
    let listens = ["203.0.113.10:443/tcp", "203.0.113.11:*/tcp"];
    assert_eq!(of(Via::Datapath, &listens), (by, true));
    // Its way back may be another one than clients' answers have.
    assert_eq!(of(Via::Auto, &listens), (Some("10.0.1.10:8443".to_owned()), false));
    // Every answer to the service address would be a client's packet.
    assert_eq!(of(Via::Datapath, &["203.0.113.10:443/tcp", "203.0.113.10:*/tcp"]).0, None);
}

#[test]
fn a_tunnel_takes_checks_with_it() {
    let tunnel = |mode| {
        let service = Service { mode, ..service(Via::Auto, &["[2001:db8::10]:443/tcp"], None) };
        let backend: Vec<_> = addresses(&[V6]).into_iter().map(Into::into).collect();
        match Target::of(&service, &backend, &with_sources()).unwrap().way {
            Way::Datapath { guise: Guise::Service { tunnel, .. }, .. } => {
                tunnel.map(|tunnel| tunnel.sources.unwrap().to_string())
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(tunnel(Mode::L2dsr), None);
    assert_eq!(tunnel(Mode::Ipip).as_deref(), Some("fd79::10/124"));
}

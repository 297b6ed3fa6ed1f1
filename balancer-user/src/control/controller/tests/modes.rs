//! Tunnels and translation: ways, origins and blocks.

use balancer_common::{
    state::Mode,
    table::{listener::Echo, origin::OriginEntry, ports::Block, way::Way},
};

use std::time::Duration;

use super::*;
use crate::{
    api::types::AddBackend,
    control::{
        entries::{wide, words_of},
        reconcile::Step,
    },
    net::{neighbour::Neighbour, too_big::TooBig},
};

const GATEWAY: Mac = Mac([2, 0, 0, 0, 0, 0x77]);

/// A file whose only service, with backends ws-1 and ws-2, is of this mode.
fn of_mode(mode: &str) -> String {
    two_backends().replacen("maglev_size", &format!("{mode}\nmaglev_size"), 1)
}

fn nat() -> String {
    of_mode("mode = \"nat\"")
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl Bench {
    fn number(&self, backend: &str) -> u16 {
        self.control.member("ws", backend).unwrap().0
    }

    fn way(&self, backend: &str, v4: bool) -> Way {
        self.control.standing.ways.get(&(self.number(backend), v4)).copied().unwrap_or_default()
    }

    /// Everybody is behind a gateway, on a way that is narrow.
    pub(super) fn behind_a_gateway(text: &str) -> Self {
        let mut bench = Self::cold(text);
        for address in bench.control.addresses() {
            bench.found(address, Neighbour::on_segment(3, GATEWAY));
        }
        bench.judge_all(Health::Up);
        bench
    }

    fn found(&mut self, address: IpAddr, neighbour: Neighbour) {
        let own = if address.is_ipv4() { ip("10.0.0.254") } else { ip("fd00::fe") };
        let neighbour =
            Neighbour { gateway: Some(ip("10.0.0.99")), source: Some(own), mtu: 1400, ..neighbour };
        self.control.on_neighbour(NeighbourEvent { address, reach: Reach::Resolved(neighbour) });
    }
}

#[test]
fn who_is_behind_a_gateway_is_no_backend_of_l2dsr_and_is_told_so() {
    let bench = Bench::behind_a_gateway(&two_backends());
    assert_eq!(bench.connect(1), None);
    let error = bench.row("ws-1").last_error.unwrap();
    assert!(error.starts_with("10.0.0.1 is behind the gateway 10.0.0.99; mode l2dsr"), "{error}");
}

#[test]
fn a_tunnel_begins_at_the_gateway() {
    let bench = Bench::behind_a_gateway(&of_mode("mode = \"ipip\"\nmss_clamp = 1300"));
    assert!(bench.connect(1).is_some());
    assert_eq!(bench.row("ws-1").last_error, None);
    let way = bench.way("ws-1", true);
    assert_eq!((way.destination, way.v6, way.mtu, way.mss), (words_of(ip("10.0.0.1")), false, 1400, 1300));
    assert_eq!(way.sources.first, words_of(ip("10.0.0.254")));
    assert_eq!(way.hop.mac().to_le_bytes()[..6], GATEWAY.0);
    assert_eq!(way.hop.mode(), Mode::Ipip as u8);
    assert_eq!(bench.way("ws-1", false), Way::default(), "it has no v6 clients");
    let stands = &bench.control.standing.backends[&bench.number("ws-1")];
    assert_eq!(stands.hop, way.hop);
}

#[test]
fn a_tunnel_of_either_family_carries_both() {
    let text = of_mode("mode = \"ipip\"")
        .replace("[\"203.0.113.10:443/tcp\"]", "[\"203.0.113.10:443/tcp\", \"[2001:db8::10]:443/tcp\"]")
        .replace("address = \"10.0.0.2\"", "address = [\"fd00::2\", \"10.0.0.2\"]")
        .replace("[\"eth0\"]", "[\"eth0\"]\nsources = [\"192.0.2.64/28\"]");
    let bench = Bench::behind_a_gateway(&text);
    let [one, two] = ["ws-1", "ws-2"].map(|name| [true, false].map(|v4| bench.way(name, v4)));
    assert_eq!(one.map(|way| way.destination), [words_of(ip("10.0.0.1")); 2]);
    assert_eq!(two.map(|way| way.v6), [false, true]);
    assert_eq!(one.map(|way| way.sources.host_bits), [4, 4]);
    assert_eq!(two[1].sources.first, words_of(ip("fd00::fe")), "no sources of that family: the route's");
}

#[test]
fn l2dsr_has_no_more_of_a_way_than_what_bounds_a_packet() {
    let mut bench = Bench::new(&of_mode("mss_clamp = 1300"));
    assert_eq!(bench.way("ws-1", true), Way { mss: 1300, ..Way::default() });
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let reach = Reach::Resolved(Neighbour { mtu: 1400, ..Neighbour::on_segment(3, mac) });
    bench.control.on_neighbour(NeighbourEvent { address: ip("10.0.0.1"), reach });
    assert_eq!(bench.way("ws-1", true), Way { mss: 1300, mtu: 1400, ..Way::default() });
}

#[test]
fn a_translated_backend_has_a_block_and_an_origin_before_its_clients_come() {
    let api = service("api", "203.0.113.11", 1).replace("maglev_size", "mode = \"nat\"\nmaglev_size");
    let bench = Bench::behind_a_gateway(&(nat() + &api.replace("10.0.0.1", "10.0.0.1:81")));
    let way = bench.way("ws-1", true);
    let block = Block { base: 0, first: 1024, words: 496 };
    assert_eq!((way.block, way.port, way.keep), (block, 0, false));
    let at = |it: &&OriginEntry| it.key.address == wide(ip("10.0.0.1"));
    let origins: Vec<_> = bench.control.standing.origins.iter().filter(at).collect();
    assert_eq!(origins.iter().map(|it| it.key.port).collect::<Vec<_>>(), [0, 81]);
    assert!(
        origins.iter().all(|it| (it.block, it.sources) == (block, way.sources)),
        "one leaves the port open"
    );
    assert!(bench.control.standing.listeners.as_ref().unwrap()[0].nat);
}

#[test]
fn a_translated_backend_without_a_source_address_takes_no_client() {
    let mut bench = Bench::new(&nat());
    assert_eq!(bench.connect(1), None, "the route names none");
    bench.found(ip("10.0.0.1"), Neighbour::on_segment(3, GATEWAY));
    assert_eq!(bench.connect(1).as_deref(), Some("ws-1"));
}

#[test]
fn blocks_stay_where_they_are_through_a_restart_and_a_change_of_address() {
    let mut bench = Bench::behind_a_gateway(&nat());
    let add = |name: &str, address: &str| AddBackend {
        name: name.to_owned(),
        addresses: vec![address.parse().unwrap()],
        weight: None,
    };
    bench.control.add("ws", &add("ws-3", "10.0.0.3:83")).unwrap();
    let blocks = |bench: &Bench| ["ws-1", "ws-2", "ws-3"].map(|name| bench.way(name, true).block.base);
    let before = blocks(&bench);
    assert_eq!(before, [0, 31_744, 2 * 31_744]);
    bench.rewrite(
        &nat().replace(
            "name = \"ws-1\"\naddress = \"10.0.0.1\"\n",
            "name = \"ws-1\"\naddress = \"10.0.0.9\"\n",
        ),
    );
    let mut bench = bench.restart();
    assert_eq!(blocks(&bench), before);
    assert_eq!(bench.way("ws-1", true).hop.mac(), 0, "nobody knows where it is now");
    assert_ne!(bench.way("ws-2", true).hop.mac(), 0, "it serves as it did");
    bench.found(ip("10.0.0.9"), Neighbour::on_segment(3, GATEWAY));
    assert_eq!(bench.way("ws-1", true).destination, words_of(ip("10.0.0.9")));
}

#[test]
fn a_backend_for_which_there_is_no_room_is_refused() {
    let mut bench = Bench::behind_a_gateway(&nat());
    let mut add = |n: u8| {
        let addresses = vec![IpAddr::from([10, 0, 1, n]).into()];
        bench.control.add("ws", &AddBackend { name: format!("more-{n}"), addresses, weight: None })
    };
    (0..8).for_each(|n| assert!(add(n).is_ok(), "room is kept for eight"));
    let error = add(8).unwrap_err();
    assert!(error.message.contains("no room for the translated flows"), "{error:?}");
    let bad = |bench: &mut Bench, address: &str| {
        let addresses = vec![address.parse().unwrap()];
        bench.control.add("ws", &AddBackend { name: "bad".to_owned(), addresses, weight: None }).unwrap_err()
    };
    assert!(bad(&mut bench, "2001:db8::1").message.contains("no address of the family"));
    let mut plain = Bench::new(&two_backends());
    assert!(bad(&mut plain, "10.0.0.9:81").message.contains("cannot change ports"));
}

#[test]
fn origins_outlive_their_service_as_long_as_its_numbers() {
    let mut bench = Bench::behind_a_gateway(&file(
        &(service("ws", "203.0.113.10", 2).replace("maglev_size", "mode = \"nat\"\nmaglev_size")
            + &service("other", "203.0.113.11", 1).replace("10.0.0.1", "10.0.0.7")),
    ));
    assert_eq!(bench.control.standing.origins.len(), 2);
    bench.rewrite(&file(&service("other", "203.0.113.11", 1).replace("10.0.0.1", "10.0.0.7")));
    let prepared = bench.control.prepare(Default::default(), None).unwrap();
    bench.control.apply(prepared).unwrap();
    assert_eq!(bench.control.standing.origins.len(), 2, "its numbers are there");
    bench.control.sweep(after(10));
    assert_eq!(bench.control.standing.origins.len(), 0);
    assert!(bench.control.standing.ways.values().all(|way| way.block.words == 0));
}

#[test]
fn another_mode_makes_new_tables_and_flows_of_the_old_one_are_never_read_as_such() {
    let mut bench = Bench::new(&two_backends());
    bench.rewrite(&nat());
    let error = bench.control.prepare(Default::default(), None).unwrap_err();
    assert!(
        error.message.contains("mode l2dsr → nat") && error.message.contains("needs new tables"),
        "{error:?}"
    );
    // Not by the back door either: the service goes, and comes again in the other mode.
    bench.rewrite(&file(&service("other", "203.0.113.11", 1)));
    let prepared = bench.control.prepare(Default::default(), None).unwrap();
    bench.control.apply(prepared).unwrap();
    bench.rewrite(&nat());
    let error = bench.control.prepare(Default::default(), None).unwrap_err();
    assert!(error.message.contains("needs new tables"), "{error:?}");
}

#[test]
fn an_agent_does_not_start_over_flows_of_another_mode() {
    let Bench { directory, control } = Bench::new(&two_backends());
    write(directory.path(), &nat());
    let error = start(directory.path(), Some(control.into_tables().reopened())).unwrap_err().to_string();
    assert!(error.contains("it has flows of mode \"l2dsr\", and the file says mode \"nat\""), "{error}");
}

#[test]
fn whether_clients_keep_their_address_is_known_from_the_tables() {
    let keep = of_mode("mode = \"nat\"\nsource = \"keep\"");
    let bench = Bench::behind_a_gateway(&keep);
    assert!(bench.way("ws-1", true).keep);
    let origin = bench.control.standing.origins[0];
    assert_eq!((origin.block.words, origin.kept[0]), (0, 1), "no block of its own, and the first listener");
    let bench = bench.restart();
    assert_eq!(bench.way("ws-1", true).block.words, 16, "1,000 flows in words of 64");
    let Bench { directory, control } = bench;
    write(directory.path(), &nat());
    let error = start(directory.path(), Some(control.into_tables().reopened())).unwrap_err().to_string();
    assert!(
        error.contains("with source \"keep\", and the file says mode \"nat\" with source \"pool\""),
        "{error}"
    );
}

#[test]
fn who_never_had_a_block_keeps_no_agent_from_starting() {
    let nine = |source: &str| {
        let text =
            file(&service("ws", "203.0.113.10", 2)).replace("maglev_size", &format!("{source}\nmaglev_size"));
        text.replace("[\"203.0.113.10:443/tcp\"]", "[\"203.0.113.10:443/tcp\"]\nmode = \"nat\"")
    };
    let bench = Bench::cold(&nine("source = \"keep\""));
    let Bench { directory, mut control } = bench;
    let numbers: Vec<u16> = control.members.keys().copied().collect();
    numbers.iter().for_each(|number| {
        [true, false].iter().for_each(|v4| control.tables.set_way(*number, *v4, &Way::default()).unwrap());
    });
    start(directory.path(), Some(control.into_tables().reopened())).unwrap();
}

#[test]
fn an_echo_request_is_answered_while_enough_backends_are_ready() {
    let mut bench = Bench::cold(&of_mode("icmp_echo = \"balancer\"\nmin_ready = 2"));
    let echo = |bench: &Bench| bench.control.standing.listeners.as_ref().unwrap()[0].echo;
    assert_eq!(echo(&bench), Echo::Drop, "nobody knows where they are");
    bench.resolve_all();
    bench.judge_all(Health::Up);
    assert_eq!(echo(&bench), Echo::Answer);
    bench.judge("ws", "ws-1", Health::Down);
    assert_eq!(echo(&bench), Echo::Drop);
    bench.judge("ws", "ws-1", Health::Up);
    assert_eq!(echo(&bench), Echo::Answer);
    assert_eq!(echo(&Bench::new(&two_backends())), Echo::Pass, "it is the host's");
}

#[test]
fn a_changed_way_is_one_step() {
    let mut bench = Bench::behind_a_gateway(&nat());
    let (before, mac) = (bench.control.standing.clone(), Mac([2, 0, 0, 0, 0, 0x78]));
    bench.found(ip("10.0.0.1"), Neighbour::on_segment(3, mac));
    let (wanted, _) = bench.control.wanted();
    let steps = reconcile::steps(&wanted, &before);
    assert!(matches!(steps[..], [Step::SetWay(..), Step::SetNextHop(..)]), "{steps:?}");
}

/// A router's word on a packet of 1400 bytes from there to ws-1.
fn word(source: &str, destination: &str, mtu: u32) -> TooBig {
    let (source, destination) = (ip(source), ip(destination));
    TooBig { router: ip("10.0.0.99"), source, destination, length: 1400, mtu }
}

#[test]
fn a_tunnel_takes_what_routers_say_for_ten_minutes() {
    let mut bench = Bench::behind_a_gateway(&of_mode("mode = \"ipip\""));
    let now = Instant::now();
    bench.control.on_too_big(word("10.0.0.254", "10.0.0.1", 1300), now);
    assert_eq!(["ws-1", "ws-2"].map(|name| bench.way(name, true).mtu), [1300, 1400]);
    assert_eq!(bench.row("ws-1").ways[0].mtu, Some(1300), "it is not shown");
    bench.found(ip("10.0.0.1"), Neighbour::on_segment(3, Mac([2, 0, 0, 0, 0, 0x78])));
    assert_eq!(bench.way("ws-1", true).mtu, 1300, "a new MAC address says nothing of the way");
    bench.control.tick(now + Duration::from_secs(599));
    assert_eq!(bench.way("ws-1", true).mtu, 1300);
    bench.control.tick(now + Duration::from_secs(600));
    assert_eq!(bench.way("ws-1", true).mtu, 1400);
}

#[test]
fn a_word_on_a_packet_that_no_tunnel_of_ours_sent_changes_nothing() {
    let sources = "[\"eth0\"]\nsources = [\"192.0.2.64/28\"]";
    let with_sources = of_mode("mode = \"ipip\"").replace("[\"eth0\"]", sources);
    let cases = [
        (of_mode("mode = \"ipip\""), word("10.0.0.253", "10.0.0.1", 1300), "from another address"),
        (of_mode("mode = \"ipip\""), word("10.0.0.254", "10.0.0.3", 1300), "to no backend"),
        (of_mode("mode = \"ipip\""), word("10.0.0.254", "10.0.0.1", 1400), "a packet that does fit"),
        (with_sources.clone(), word("10.0.0.254", "10.0.0.1", 1300), "from none of the sources"),
        (nat(), word("10.0.0.254", "10.0.0.1", 1300), "to a backend without a tunnel"),
    ];
    for (text, word, what) in cases {
        let mut bench = Bench::behind_a_gateway(&text);
        bench.control.on_too_big(word, Instant::now());
        assert_eq!(bench.way("ws-1", true).mtu, 1400, "{what}");
    }
    let mut bench = Bench::behind_a_gateway(&with_sources);
    bench.control.on_too_big(word("192.0.2.79", "10.0.0.1", 68), Instant::now());
    assert_eq!(bench.way("ws-1", true).mtu, 596, "the least of all");
}

//! What is said of a packet's way to its backend.

use balancer_common::state::Proto;

use super::{modes::ip, *};
use crate::api::types::{ExplainDoc, ExplainQuestion};

const SOURCES: &str = "[\"eth0\"]\nsources = [\"192.0.2.64/28\"]";

impl Bench {
    fn told_of(&self, client: SocketAddr) -> ExplainDoc {
        let question = ExplainQuestion {
            source: client.ip(),
            source_port: Some(client.port()),
            destination: vip().ip(),
            port: vip().port(),
            proto: Proto::Tcp,
        };
        self.control.explain(&[question]).remove(0)
    }

    /// The last step for client number `client`.
    fn way_of_client(&self, client: u8) -> String {
        let last = self.told_of(peer(client)).steps.pop().unwrap();
        assert_eq!(last.step, "way");
        last.detail
    }
}

/// Of one service with one backend, ws-1.
fn alone(mode: &str) -> String {
    file(&service("ws", "203.0.113.10", 1)).replacen("maglev_size", &format!("{mode}\nmaglev_size"), 1)
}

#[test]
fn in_l2dsr_the_way_is_a_mac_address_and_an_interface() {
    let bench = Bench::new(&alone("mode = \"l2dsr\""));
    assert_eq!(bench.way_of_client(1), "l2dsr, to 10.0.0.1 dev eth0 at 02:00:00:00:00:01");
}

#[test]
fn of_a_tunnel_both_ends_are_said_and_what_fits() {
    let leads =
        "to 10.0.0.1 via 10.0.0.99 dev eth0 at 02:00:00:00:00:77 mtu 1400, the tunnel's header included";
    let text = alone("mode = \"ipip\"");
    let bench = Bench::behind_a_gateway(&text);
    assert_eq!(bench.way_of_client(1), format!("ipip, in a tunnel from 10.0.0.254 {leads}"));
    let bench = Bench::behind_a_gateway(&text.replace("[\"eth0\"]", SOURCES));
    assert_eq!(bench.way_of_client(1), format!("ipip, in a tunnel from 192.0.2.64/28 {leads}"));
}

#[test]
fn of_a_translated_flow_the_port_is_said_that_it_really_has() {
    let text = alone("mode = \"nat\"").replace("\"10.0.0.1\"", "\"10.0.0.1:8081\"");
    let mut bench = Bench::behind_a_gateway(&text.replace("[\"eth0\"]", SOURCES));
    let to = "nat, to 10.0.0.1:8081 via 10.0.0.99 dev eth0 at 02:00:00:00:00:77 mtu 1400";
    assert_eq!(bench.way_of_client(1), format!("{to}, from a port of 192.0.2.64/28"), "no sweep has counted");
    bench.control.sweep(after(0));
    let free = |all| format!("{to}, from a port of 192.0.2.64/28, {all} of {} free", 16 * 31_744);
    assert_eq!(bench.way_of_client(1), free(16 * 31_744));
    // Embryonic, and then a flow.
    bench.control.tables.send(peer(1), vip(), 2, 1000);
    let embryonic = bench.way_of_client(1);
    bench.connect(1);
    let flow = bench.control.flows_doc(&Default::default()).unwrap().flows.remove(0);
    assert_eq!(bench.way_of_client(1), format!("{to}, from {}", flow.nat.unwrap()));
    assert_eq!(embryonic, bench.way_of_client(1));
    bench.control.sweep(after(1));
    assert_eq!(bench.way_of_client(2), free(16 * 31_744 - 1));
}

#[test]
fn who_keeps_his_address_is_said_to() {
    let bench = Bench::behind_a_gateway(&alone("mode = \"nat\"\nsource = \"keep\""));
    let way = "nat, to 10.0.0.1:443 via 10.0.0.99 dev eth0 at 02:00:00:00:00:77 mtu 1400, from the client's own \
               address and port";
    assert_eq!(bench.way_of_client(1), way);
    bench.connect(1);
    assert_eq!(bench.way_of_client(1), way);
}

#[test]
fn where_no_port_is_free_a_new_connection_is_refused_and_a_flow_goes_on() {
    let text = alone("mode = \"nat\"").replace("[limits]", "[limits]\nnat_ports = \"1024-1087\"");
    let mut bench = Bench::behind_a_gateway(&text);
    (0..64).for_each(|client| assert!(bench.connect(client).is_some()));
    bench.control.sweep(after(0));
    let told = bench.told_of(peer(64));
    assert_eq!((told.backend, &*told.reason), (None, "nat-exhausted"));
    assert!(bench.way_of_client(64).ends_with(", from a port of 10.0.0.254, 0 of 64 free"));
    let told = bench.told_of(peer(1));
    assert_eq!((told.backend.as_deref(), &*told.reason), (Some("ws-1"), "flow"));
}

#[test]
fn a_next_hop_that_an_agent_before_left_is_used_until_one_is_known() {
    let bench = Bench::new(&alone("mode = \"l2dsr\"")).restart();
    assert_eq!(bench.way_of_client(1), "l2dsr, to the next hop that an agent before left");
}

#[test]
fn a_flow_whose_backend_has_no_next_hop_goes_nowhere() {
    for mode in ["l2dsr", "ipip", "nat"] {
        let text = alone(&format!("mode = \"{mode}\""));
        let bench = if mode == "l2dsr" { Bench::new(&text) } else { Bench::behind_a_gateway(&text) };
        assert!(bench.connect(1).is_some());
        bench.rewrite(&text.replace("10.0.0.1\"", "10.0.0.9\""));
        let mut bench = bench.restart();
        let reach = Reach::Unreachable { why: "10.0.0.9 does not answer".to_owned() };
        bench.control.on_neighbour(NeighbourEvent { address: ip("10.0.0.9"), reach });
        let told = bench.told_of(peer(1));
        let wanted = format!("{mode}, but no next hop to ws-1 is known: 10.0.0.9 does not answer");
        assert_eq!(told.steps.last().unwrap().detail, wanted);
        assert_eq!((told.backend, &*told.reason), (None, "no-neighbour"));
    }
}

#[test]
fn what_goes_to_no_backend_has_no_way() {
    let bench = Bench::cold(&alone("mode = \"nat\""));
    assert!(bench.told_of(peer(1)).steps.iter().all(|it| it.step != "way"));
}

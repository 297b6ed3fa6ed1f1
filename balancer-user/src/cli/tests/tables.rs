//! What the reader sees, letter by letter.

use serde::Serialize;
use serde_json::Value;

use super::{
    documents::*,
    standin::{Ended, StandIn},
};
use crate::{
    api::types::{ExplainDoc, Schema, ServicesDoc, StatusDoc, WayInfo},
    cli::screen::Screen,
};

const NARROW: Screen = Screen { width: Some(60), color: false, live: Some(|| 60) };

/// Runs a command in a pipe, its answer a document; what it wrote.
fn piped(document: &impl Serialize, command: &str) -> String {
    let Ended { code, out, .. } = StandIn::with(document).balancer(command);
    assert_eq!(code, 0);
    out
}

fn check(out: &str, expected: &str) {
    assert_eq!(out, expected.trim_start_matches('\n'), "\n{out}");
}

#[test]
fn backend_list() {
    check(
        &piped(&three(), "backend list ws"),
        "
NAME  ADDRESS                   WEIGHT  ADMIN  HEALTH  FLOWS  SHARE  PINS
ws-1  10.0.1.10,2001:db8:1::10     100  ready  up       1200  25.0%   321
ws-2  10.0.1.10,2001:db8:1::10     100  drain  up          7  25.0%   321
ws-3  10.0.1.10,2001:db8:1::10     100  ready  down        0  25.0%   321
",
    );
}

#[test]
fn backend_list_wide_has_long_lines_whole() {
    let out = piped(&three(), "backend list ws -o wide");
    let titles = "NAME ADDRESS WEIGHT ADMIN HEALTH FLOWS SHARE PINS NUMBER SINCE TOTAL PACKETS BYTES RESETS MODE WAY ERROR";
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>().join(" "), titles);
    assert!(lines[3].ends_with("  connect to 10.0.1.12:443: connection refused"), "{out}");
    assert_eq!(lines.len(), 4);
}

#[test]
fn service_list() {
    let document = ServicesDoc { schema: Schema, services: vec![service()] };
    check(
        &piped(&document, "service list -o wide"),
        "
NAME  LISTEN                                       STATE     READY  FLOWS  MODE   BALANCE  AFFINITY
ws    203.0.113.10:443/tcp,[2001:db8::10]:443/tcp  degraded    1/3   1207  l2dsr  maglev   client
",
    );
}

#[test]
fn service_show() {
    check(
        &piped(&service_detail(), "service show ws"),
        "
name      ws
listen    203.0.113.10:443/tcp, [2001:db8::10]:443/tcp
state     degraded
ready     1 of 3, at least 2
flows     1207
pins      963
mode      l2dsr
balance   maglev, 65537 slots
affinity  client (/32, /64), pinned for 3h
timeouts  established 2h, closing 30s, syn 1m, udp 2m
health    http port 8081 /health directly (via auto) every 2s, timeout 0.5s, rise 2, fall 3

NAME  ADDRESS                   WEIGHT  ADMIN  HEALTH  FLOWS  SHARE  PINS
ws-1  10.0.1.10,2001:db8:1::10     100  ready  up       1200  25.0%   321
ws-2  10.0.1.10,2001:db8:1::10     100  drain  up          7  25.0%   321
ws-3  10.0.1.10,2001:db8:1::10     100  ready  down        0  25.0%   321
",
    );
}

#[test]
fn status_tells_drift_and_leaves_reasons_to_wide() {
    check(
        &piped(&status(), "status"),
        r#"
version      0.1.0
process      4711, since 2025-01-02T03:04:05Z
file         /etc/balancer/balancer.toml
last reload  ok, 2025-01-02T03:05:00Z
drift        1 runtime change
services     1
flows        1207
pins         963

INTERFACE  MODE    PROGRAM  CARRIER
eth0       native       42  yes

OBJECT                       KEY    FILE   RUNTIME
service "ws" backend "ws-2"  state  ready  drain

TABLE     ENTRIES  CAPACITY
flows-v4     1207   1048576
"#,
    );
}

#[test]
fn status_wide_shows_the_reasons_that_are_not_zero() {
    let out = piped(&status(), "status -o wide");
    assert!(out.ends_with("\nREASON  PACKETS\nflow      99000\n"), "{out}");
}

#[test]
fn flow_list() {
    check(
        &piped(&flows(), "flow list"),
        "
SERVICE  CLIENT               DESTINATION             BACKEND  STATE        IDLE
ws       [2001:db8::7]:40123  [2001:db8::10]:443/tcp  ws-1     established  1m4s
",
    );
}

#[test]
fn flow_list_shows_where_translated_packets_come_from() {
    let mut document = flows();
    document.flows[0].nat = Some("[2001:db8::40]:2000".into());
    check(
        &piped(&document, "flow list --nat 2000"),
        "
SERVICE  CLIENT               DESTINATION             BACKEND  STATE        IDLE  NAT
ws       [2001:db8::7]:40123  [2001:db8::10]:443/tcp  ws-1     established  1m4s  [2001:db8::40]:2000
",
    );
}

#[test]
fn backend_list_wide_says_the_way_once_where_both_families_go_alike() {
    let mut document = three();
    let way = |clients: &str, mtu| WayInfo {
        clients: clients.into(),
        address: "10.0.1.10".parse().unwrap(),
        gateway: Some("10.0.0.1".parse().unwrap()),
        interface: Some("eth0".into()),
        mac: Some("02:00:00:00:00:01".into()),
        mtu: Some(mtu),
        source: Some("192.0.2.64/28".into()),
    };
    let text =
        |mtu| format!("10.0.1.10 via 10.0.0.1 dev eth0 at 02:00:00:00:00:01 mtu {mtu} from 192.0.2.64/28");
    document.backends[0].ways = vec![way("v4", 1400), way("v6", 1400)];
    document.backends[1].ways = vec![way("v4", 1400), way("v6", 1300)];
    let out = piped(&document, "backend list ws -o wide");
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[1].contains(&format!("  l2dsr  {}  ", text(1400))), "{out}");
    assert!(lines[2].contains(&format!("{},{}", text(1400), text(1300))), "{out}");
}

#[test]
fn service_show_of_a_translated_one() {
    let mut document = service_detail();
    document.service.row.mode = "nat".into();
    document.service.source = Some("keep".into());
    document.service.mss_clamp = Some(1400);
    document.service.icmp_echo = "balancer".into();
    let out = piped(&document, "service show ws");
    for line in
        ["mode       nat, source keep", "mss clamp  1400", "icmp echo  answered while enough are ready"]
    {
        assert!(out.lines().any(|it| it == line), "{line:?} is not in\n{out}");
    }
}

#[test]
fn pin_list() {
    check(
        &piped(&pins(), "pin list"),
        "
SERVICE  CLIENT         BACKEND  FLOWS   AGE   EXPIRES
ws       198.51.100.7   ws-1         0  1m4s  2h58m56s
ws       2001:db8::/64  ws-1         2  1m4s         -
",
    );
}

#[test]
fn explain() {
    check(
        &piped(&[explanation()], "explain 198.51.100.7 203.0.113.10:443/tcp"),
        "
client        198.51.100.7
destination   203.0.113.10:443/tcp
service       ws
backend       ws-1
by            pin
reason        pin
maglev alone  ws-2

STEP     DETAIL
service  ws
flow     none
pin      ws-1, up
way      nat, to 10.0.1.10:8081 dev eth0 at 02:00:00:00:00:01 mtu 1500, from 192.0.2.73:2000
",
    );
}

#[test]
fn status_says_that_verdicts_are_frozen() {
    let out = piped(&StatusDoc { frozen: true, ..status() }, "status");
    assert!(out.contains("\nverdicts     frozen: no interface has a carrier\n"), "{out}");
}

#[test]
fn explain_of_a_flow_that_is_reset_names_the_backend_of_the_next_connection() {
    let next_backend = Some("ws-2".to_owned());
    let told = ExplainDoc { backend: None, next_backend, ..explanation() };
    let out = piped(&[told], "explain 198.51.100.7:40000 203.0.113.10:443/tcp");
    assert!(out.contains("\nbackend          -\nnext connection  ws-2\n"), "{out}");
}

#[test]
fn a_narrow_terminal_gets_fewer_columns_in_whole_lines() {
    let out = StandIn::with(&three()).balancer_on(NARROW, "backend list ws").out;
    check(
        &out,
        "
NAME  ADMIN  HEALTH  FLOWS  SHARE  PINS
ws-1  ready  up       1200  25.0%   321
ws-2  drain  up          7  25.0%   321
ws-3  ready  down        0  25.0%   321
",
    );
}

#[test]
fn a_column_that_cannot_be_spared_is_wrapped() {
    let out = StandIn::with(&[explanation()])
        .balancer_on(Screen { width: Some(20), ..NARROW }, "explain 198.51.100.7 203.0.113.10:443/tcp")
        .out;
    assert!(out.lines().all(|line| line.len() <= 20), "{out}");
    assert!(out.contains("ws-2"), "{out}");
}

#[test]
fn colours_only_where_the_screen_takes_them() {
    let list = |color| {
        let screen = Screen { width: Some(200), color, live: Some(|| 200) };
        StandIn::with(&three()).balancer_on(screen, "backend list ws").out
    };
    assert!(list(true).contains("\u{1b}["));
    assert!(!list(false).contains('\u{1b}'));
}

#[test]
fn control_characters_of_a_health_answer_do_not_reach_the_terminal() {
    let mut document = three();
    document.backends[2].last_error = Some("status 500:\n\u{1b}[2Jgone".into());
    let out = piped(&document, "backend list ws -o wide");
    assert!(out.ends_with("  status 500:  [2Jgone\n"), "{out:?}");
}

#[test]
fn an_empty_list_is_its_header() {
    check(
        &piped(&backends(vec![]), "backend list ws"),
        "
NAME  ADDRESS  WEIGHT  ADMIN  HEALTH  FLOWS  SHARE  PINS
",
    );
}

#[test]
fn json_is_the_document_of_the_api() {
    for format in ["-j", "-o json"] {
        let out = piped(&three(), &format!("backend list ws {format}"));
        let printed: Value = serde_json::from_str(&out).unwrap();
        let sent = serde_json::to_value(three()).unwrap();
        assert_eq!(printed, sent);
    }
}

#[test]
fn json_has_the_fields_of_the_contract() {
    let fields = |value: Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let row = serde_json::to_value(&three().backends[1]).unwrap();
    assert_eq!(
        (&row["admin"], &row["health"], &row["remaining"]),
        (&"drain".into(), &"up".into(), &7.into())
    );
    for field in
        "name address port weight admin health since flows flows_total share pins packets bytes resets door \
                  last_error number remaining"
            .split_whitespace()
    {
        assert!(fields(row.clone()).contains(&field.to_owned()), "{field}");
    }
    let explained = fields(serde_json::to_value(explanation()).unwrap());
    for field in "schema client destination service backend by reason steps maglev_backend".split_whitespace()
    {
        assert!(explained.contains(&field.to_owned()), "{field}");
    }
    assert_eq!(serde_json::to_value(status()).unwrap()["schema"], 1);
}

#[test]
fn explain_prints_one_document_not_a_list() {
    let out = piped(&[explanation()], "explain 198.51.100.7 203.0.113.10:443/tcp -j");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["maglev_backend"], "ws-2");
}

#[test]
fn a_cut_list_is_told_on_stderr() {
    let ended = StandIn::with(&flows()).balancer("flow list --limit 1 -j");
    assert_eq!(ended.err, "cut after 1 rows: --limit 0 shows all\n");
}

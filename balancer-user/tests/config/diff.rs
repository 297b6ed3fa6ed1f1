//! What a reload says that it would change.

use balancer_user::config::{self, Change, Config, Target, diff, keys::Effect};

use crate::WHOLE;

fn whole() -> Config {
    config::parse(WHOLE, "whole").unwrap().config
}

/// The changes that an edit of the whole file makes.
fn after(edits: &[(&str, &str)]) -> Vec<Change> {
    let edited = edits.iter().fold(WHOLE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in the file");
        text.replacen(from, to, 1)
    });
    diff(&whole(), &config::parse(&edited, "edited").unwrap().config)
}

fn shown(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_changes_between_a_configuration_and_itself() {
    assert_eq!(diff(&whole(), &whole()), []);
}

#[test]
fn a_backend_change_names_service_backend_key_and_both_values() {
    let changes = after(&[("weight = 65_535", "weight = 50"), ("state = \"drain\"", "state = \"ready\"")]);
    assert_eq!(
        shown(&changes),
        ["service ws: backend ws-1: state drain → ready", "service ws: backend ws-2: weight 65535 → 50"]
    );
    assert_eq!(changes[1].target, Target::Backend("ws".to_owned(), "ws-2".to_owned()));
    assert!(changes.iter().all(|change| change.effect() == Effect::Live));
}

#[test]
fn added_and_removed_services_and_backends_are_live() {
    let changes = after(&[
        ("name = \"ws-2\"", "name = \"ws-9\""),
        ("name = \"game\"", "name = \"chat\""),
        ("min_ready = 2", "min_ready = 1"),
    ]);
    assert_eq!(
        shown(&changes),
        [
            "service ws: min_ready 2 → 1",
            "service ws: backend ws-2: removed",
            "service ws: backend ws-9: added",
            "service game: removed",
            "service chat: added",
        ]
    );
    assert!(changes.iter().all(|change| !change.needs_new_maps() && !change.needs_restart()));
}

#[test]
fn keys_that_appear_or_vanish_are_unset_on_the_other_side() {
    let changes = after(&[("heartbeat = \"30s\"\n", ""), ("port = 8081\n", "")]);
    assert_eq!(
        shown(&changes),
        ["service ws: heartbeat 30s → unset", "service ws: health.port 8081 → unset"]
    );
}

#[test]
fn sizes_and_prefixes_need_new_maps_and_only_those() {
    let changes = after(&[
        ("flows = 2_000_000", "flows = 1_000_000"),
        ("pins = 0x10_0000", "pins = 5000"),
        ("hash_seed = \"00", "hash_seed = \"ff"),
        ("maglev_size = 16_411", "maglev_size = 65_537"),
        ("v4_prefix = 24", "v4_prefix = 32"),
        ("v6_prefix = 56", "v6_prefix = 64"),
        ("timeout = \"20days\"", "timeout = \"1h\""),
        ("sources = [\"192.0.2.64/28\", ", "sources = ["),
        ("nat_ports = \"2048-30000\"", "nat_ports = \"2048-20000\""),
        ("mode = \"ipip\"", "mode = \"l2dsr\""),
        ("source = \"keep\"", "source = \"pool\""),
        ("mss_clamp = 1400", "mss_clamp = 1300"),
    ]);
    let new_maps: Vec<_> = changes.iter().filter(|change| change.needs_new_maps()).cloned().collect();
    let shown = shown(&new_maps);
    assert_eq!(shown.len(), 10, "{shown:?}");
    assert_eq!(shown[1], "limits: flows 2000000 → 1000000");
    assert_eq!(changes.len(), 12);
}

#[test]
fn a_changed_seed_shows_but_not_the_seed() {
    let shown = shown(&after(&[("hash_seed = \"00", "hash_seed = \"ff")]));
    assert!(shown[0].starts_with("limits: hash_seed fingerprint "), "{shown:?}");
    assert!(!shown[0].contains("0102030405") && !shown[0].contains("→ ff"), "{shown:?}");
}

#[test]
fn agent_keys_need_a_restart() {
    let changes =
        after(&[("on_exit = \"detach\"", "on_exit = \"keep\""), ("\"eth0\", \"eth1\"", "\"eth0\"")]);
    assert_eq!(shown(&changes), ["agent: interfaces eth0, eth1 → eth0", "agent: on_exit detach → keep"]);
    assert!(changes.iter().all(Change::needs_restart));
}

#[test]
fn the_order_of_services_and_backends_is_no_change() {
    let mut other = whole();
    other.services.reverse();
    other.services.iter_mut().for_each(|service| service.backends.reverse());
    assert_eq!(diff(&whole(), &other), []);
}

#[test]
fn every_key_with_a_value_shows_as_itself() {
    for (from, to, key) in [
        ("xdp_mode = \"native\"", "xdp_mode = \"generic\"", "xdp_mode"),
        ("api = \"/run/lb/api.sock\"", "api = \"/a\"", "api"),
        ("stats = \"[::1]:9181\"", "stats = \"[::1]:1\"", "stats"),
        ("state_dir = \"/srv/lb\"", "state_dir = \"/a\"", "state_dir"),
        ("bpffs = \"/sys/fs/bpf/lb\"", "bpffs = \"/a\"", "bpffs"),
        ("pins = 0x10_0000", "pins = 64", "pins"),
        (", \"203.0.113.10:*/tcp\"", "", "listen"),
        ("by = \"client\"", "by = \"connection\"", "affinity.by"),
        ("timeout = \"20days\"", "timeout = \"1h\"", "affinity.timeout"),
        ("established = \"36h\"", "established = \"35h\"", "timeouts.established"),
        ("closing = \"30s\"", "closing = \"31s\"", "timeouts.closing"),
        ("syn = \"1m 30s\"", "syn = \"1m\"", "timeouts.syn"),
        ("udp = \"2m\"", "udp = \"1m\"", "timeouts.udp"),
        ("port = 8081", "port = 1", "health.port"),
        ("host = \"app.example\"", "host = \"a\"", "health.host"),
        ("path = \"/health?deep=1\"", "path = \"/\"", "health.path"),
        ("expect = [200, 204]", "expect = [200]", "health.expect"),
        ("interval = \"500ms\"", "interval = \"1s\"", "health.interval"),
        ("\ntimeout = \"500ms\"", "\ntimeout = \"10ms\"", "health.timeout"),
        ("rise = 1", "rise = 9", "health.rise"),
        ("fall = 5", "fall = 9", "health.fall"),
        ("mss_clamp = 1400\n", "", "mss_clamp"),
        ("mode = \"ipip\"", "mode = \"l2dsr\"", "mode"),
        ("10.0.1.10:8081", "10.0.1.10:8083", "backend api-1: address"),
        ("\"10.0.1.10\", \"2001:db8:0:1::10\"", "\"10.0.1.10\"", "backend ws-1: address"),
    ] {
        let shown = shown(&after(&[(from, to)]));
        assert!(matches!(&shown[..], [line] if line.contains(&format!(": {key} "))), "{key}: {shown:?}");
    }
}

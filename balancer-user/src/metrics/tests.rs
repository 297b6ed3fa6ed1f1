use super::*;
use crate::control::causes::Cause;

fn snapshot() -> Snapshot {
    let counts = BackendCounts {
        packets: 1000,
        settled: 900,
        bytes: 64_000,
        opened: 12,
        closed: 3,
        expired: 2,
        revived: 1,
        reset: 0,
    };
    let mut resets = Causes::default();
    resets.add(Cause::Down, 3);
    Snapshot {
        backends: vec![BackendSample {
            service: "ws".to_owned(),
            backend: "ws-1".to_owned(),
            counts,
            share: 0.25,
            pins: 7,
            ports: Some(PortUse { taken: 3, resting: 2, free: 59 }),
            signals: Some(Signals {
                began: 9,
                accepted: 8,
                accepted_after: 2_500_000,
                reset: 1,
                out_of_ports: 4,
            }),
            drift: Some(-1),
            up: true,
            state: "up",
            weight: 100,
            resets,
            transitions: 1,
            failures: 4,
        }],
        services: vec![ServiceSample {
            service: "ws".to_owned(),
            panic: true,
            ready: 1,
            min_ready: 2,
            table: Some(0xabc),
        }],
        reasons: vec![(Reason::Flow, 900)],
        tables: vec![TableRow { table: "flows4".to_owned(), entries: 8, capacity: 3000 }],
        untracked: [5, 6],
        pins_lost: 0,
        unconfirmed: 9,
        interfaces: vec![InterfaceSample { name: "eth0".to_owned(), mode: "native" }],
        last_reload_ok: true,
    }
}

#[test]
fn every_family_of_the_contract_has_its_samples() {
    let text = render(snapshot()).unwrap();
    let ws1 = "service=\"ws\",backend=\"ws-1\"";
    for line in [
        format!("balancer_backend_flows{{{ws1}}} 8"),
        format!("balancer_backend_flows_total{{{ws1}}} 12"),
        format!("balancer_backend_packets_total{{{ws1}}} 1000"),
        format!("balancer_backend_bytes_total{{{ws1}}} 64000"),
        format!("balancer_backend_share{{{ws1}}} 0.25"),
        format!("balancer_backend_pins{{{ws1}}} 7"),
        format!("balancer_nat_ports{{{ws1},state=\"taken\"}} 3"),
        format!("balancer_nat_ports{{{ws1},state=\"resting\"}} 2"),
        format!("balancer_nat_ports{{{ws1},state=\"free\"}} 59"),
        format!("balancer_backend_up{{{ws1}}} 1"),
        format!("balancer_backend_state{{{ws1},state=\"up\"}} 1"),
        format!("balancer_backend_state{{{ws1},state=\"drain\"}} 0"),
        format!("balancer_backend_resets_total{{{ws1},cause=\"down\"}} 3"),
        format!("balancer_backend_resets_total{{{ws1},cause=\"drain\"}} 0"),
        "balancer_resets_unconfirmed_total 9".to_owned(),
        format!("balancer_backend_weight{{{ws1}}} 100"),
        format!("balancer_backend_transitions_total{{{ws1}}} 1"),
        format!("balancer_backend_check_failures_total{{{ws1}}} 4"),
        format!("balancer_flow_drift{{{ws1}}} -1"),
        "balancer_service_ready_backends{service=\"ws\"} 1".to_owned(),
        "balancer_service_panic{service=\"ws\"} 1".to_owned(),
        "balancer_service_min_ready{service=\"ws\"} 2".to_owned(),
        "balancer_maglev_table_info{service=\"ws\",hash=\"0000000000000abc\"} 1".to_owned(),
        "balancer_packets_total{reason=\"flow\"} 900".to_owned(),
        "balancer_flow_entries{table=\"flows4\"} 8".to_owned(),
        "balancer_flow_capacity{table=\"flows4\"} 3000".to_owned(),
        "balancer_flow_untracked_total{family=\"v6\"} 6".to_owned(),
        "balancer_xdp_mode_info{interface=\"eth0\",mode=\"native\"} 1".to_owned(),
        "balancer_config_last_reload_successful 1".to_owned(),
        format!("balancer_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
}

#[test]
fn no_family_is_declared_twice_and_every_sample_has_its_type() {
    let text = render(snapshot()).unwrap();
    let mut types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(types.contains(&"balancer_backend_flows gauge"));
    assert!(types.contains(&"balancer_backend_flows_total counter"));
    let families: Vec<_> = types.iter().filter_map(|line| line.split(' ').next()).collect();
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap();
        assert!(families.contains(&name), "{name} has no type");
    }
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), all);
    assert!(!text.contains("# EOF"));
}

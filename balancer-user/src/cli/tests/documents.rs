//! Documents as the agent would send them.

use balancer_common::state::{Admin, Health};

use crate::api::types::*;

pub(super) fn backend(name: &str, admin: Admin, health: Health, flows: u64) -> BackendRow {
    BackendRow {
        name: name.into(),
        address: "10.0.1.10".parse().unwrap(),
        addresses: vec!["10.0.1.10".parse().unwrap(), "2001:db8:1::10".parse().unwrap()],
        mode: "l2dsr".into(),
        ways: vec![],
        port: None,
        weight: 100,
        admin,
        health,
        since: Some("2025-01-02T03:04:05Z".into()),
        flows,
        flows_total: 9000,
        share: 0.25,
        pins: 321,
        packets: 1_234_567,
        bytes: 987_654_321,
        resets: 0,
        door: None,
        last_error: None,
        number: 3,
        max_flows: None,
        remaining: (admin == Admin::Drain).then_some(flows),
        drain_ends: None,
    }
}

pub(super) fn backends(rows: Vec<BackendRow>) -> BackendsDoc {
    BackendsDoc { schema: Schema, service: "ws".into(), backends: rows }
}

pub(super) fn one(row: BackendRow) -> BackendDoc {
    BackendDoc { schema: Schema, service: "ws".into(), backend: row, notes: vec![] }
}

pub(super) fn three() -> BackendsDoc {
    let mut down = backend("ws-3", Admin::Ready, Health::Down, 0);
    down.last_error = Some("connect to 10.0.1.12:443: connection refused".into());
    backends(vec![
        backend("ws-1", Admin::Ready, Health::Up, 1200),
        backend("ws-2", Admin::Drain, Health::Up, 7),
        down,
    ])
}

pub(super) fn service() -> ServiceRow {
    ServiceRow {
        name: "ws".into(),
        listen: vec!["203.0.113.10:443/tcp".into(), "[2001:db8::10]:443/tcp".into()],
        mode: "l2dsr".into(),
        balance: "maglev".into(),
        affinity: AffinityInfo { by: "client".into(), timeout: 10_800, v4_prefix: 32, v6_prefix: 64 },
        ready_backends: 1,
        backends: 3,
        flows: 1207,
        state: ServiceState::Degraded,
    }
}

pub(super) fn service_detail() -> ServiceDoc {
    ServiceDoc {
        schema: Schema,
        service: ServiceDetail {
            row: service(),
            pins: 963,
            min_ready: 2,
            maglev_size: 65_537,
            source: None,
            mss_clamp: None,
            icmp_echo: "host".into(),
            timeouts: TimeoutsInfo { established: 7200, closing: 30, syn: 60, udp: 120 },
            health: HealthInfo {
                kind: "http".into(),
                port: Some(8081),
                path: Some("/health".into()),
                via: Some(CheckVia::Direct),
                via_configured: "auto".into(),
                interval: 2.0,
                timeout: 0.5,
                rise: 2,
                fall: 3,
            },
        },
        backends: three().backends,
    }
}

pub(super) fn status() -> StatusDoc {
    StatusDoc {
        schema: Schema,
        version: "0.1.0".into(),
        pid: 4711,
        started: "2025-01-02T03:04:05Z".into(),
        config: "/etc/balancer/balancer.toml".into(),
        interfaces: vec![InterfaceRow {
            name: "eth0".into(),
            mode: "native".into(),
            program_id: 42,
            carrier: Some(true),
        }],
        services: 1,
        panic: vec![],
        frozen: false,
        flows: 1207,
        pins: 963,
        drift: vec![ChangeRow {
            object: "service \"ws\" backend \"ws-2\"".into(),
            key: "state".into(),
            from: Some("ready".into()),
            to: Some("drain".into()),
        }],
        last_reload: Some(LastReload { ok: true, at: "2025-01-02T03:05:00Z".into(), error: None }),
        reasons: vec![
            ReasonRow { reason: "flow".into(), packets: 99_000 },
            ReasonRow { reason: "fragment".into(), packets: 0 },
        ],
        tables: vec![TableRow { table: "flows-v4".into(), entries: 1207, capacity: 1_048_576 }],
    }
}

pub(super) fn flows() -> FlowsDoc {
    FlowsDoc {
        schema: Schema,
        flows: vec![FlowRow {
            service: "ws".into(),
            client: "[2001:db8::7]:40123".into(),
            destination: "[2001:db8::10]:443/tcp".into(),
            backend: "ws-1".into(),
            state: "established".into(),
            idle: 64,
            nat: None,
        }],
        truncated: true,
    }
}

pub(super) fn pins() -> PinsDoc {
    let pin = |client: &str, expires_in, flows| PinRow {
        service: "ws".into(),
        client: client.into(),
        backend: "ws-1".into(),
        age: 64,
        expires_in,
        flows,
    };
    let pins = vec![pin("198.51.100.7", Some(10_736), 0), pin("2001:db8::/64", None, 2)];
    PinsDoc { schema: Schema, pins, truncated: false }
}

const WAY: &str = "nat, to 10.0.1.10:8081 dev eth0 at 02:00:00:00:00:01 mtu 1500, from 192.0.2.73:2000";

pub(super) fn explanation() -> ExplainDoc {
    let step = |step: &str, detail: &str| ExplainStep { step: step.into(), detail: detail.into() };
    ExplainDoc {
        schema: Schema,
        client: "198.51.100.7".into(),
        destination: "203.0.113.10:443/tcp".into(),
        service: Some("ws".into()),
        backend: Some("ws-1".into()),
        next_backend: None,
        by: "pin".into(),
        reason: "pin".into(),
        steps: vec![step("service", "ws"), step("flow", "none"), step("pin", "ws-1, up"), step("way", WAY)],
        maglev_backend: Some("ws-2".into()),
    }
}

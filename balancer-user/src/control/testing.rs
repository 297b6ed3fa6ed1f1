//! Configurations for tests.

use std::{net::IpAddr, time::Duration};

use balancer_common::{
    serve::{Candidate, Policy},
    state::{Admin, AffinityBy, DrainEnd, Health, Mode, OnDown, OnExpire, OnNone, Proto},
};

use super::judge::Rules;
use crate::config::{
    Affinity, Agent, Backend, Config, Drain, HealthCheck, HealthKind, IcmpEcho, Limits, Listen, OnExit,
    PortRange, Service, Source, Timeouts, Via, XdpMode,
};

pub(crate) fn backend(name: &str, host: u8) -> Backend {
    Backend {
        name: name.to_owned(),
        addresses: vec![IpAddr::from([10, 0, 0, host]).into()],
        weight: 100,
        state: Admin::Ready,
        backup: false,
        max_flows: None,
    }
}

/// A backend of weight 100 that can be reached.
pub(crate) fn candidate(admin: Admin, health: Health) -> Candidate {
    Candidate {
        admin,
        health,
        weight: 100,
        reachable: true,
        backup: false,
        keeps_pins: false,
        overdue: false,
        unsure: false,
    }
}

/// The rules of [`service`].
pub(crate) fn rules() -> Rules {
    let policy = Policy { on_down: OnDown::Reset, panic_below: Some(0) };
    Rules { policy, min_ready: 1, maglev_size: 251 }
}

/// A service on an address that its name's length decides.
pub(crate) fn service(name: &str, backends: Vec<Backend>) -> Service {
    let host = u8::try_from(name.len()).unwrap();
    let second = Duration::from_secs(1);
    Service {
        name: name.to_owned(),
        listen: vec![Listen {
            address: IpAddr::from([203, 0, 113, host]),
            port: Some(443),
            proto: Proto::Tcp,
        }],
        mode: Mode::L2dsr,
        source: Source::Pool,
        mss_clamp: None,
        icmp_echo: IcmpEcho::Host,
        maglev_size: 251,
        affinity: Affinity { by: AffinityBy::Client, timeout: 3600 * second, v4_prefix: 32, v6_prefix: 64 },
        timeouts: Timeouts {
            established: 7200 * second,
            closing: 30 * second,
            syn: 60 * second,
            udp: 120 * second,
        },
        heartbeat: None,
        min_ready: 1,
        on_down: OnDown::Reset,
        reset_rate: 2_000,
        on_expire: OnExpire::Forget,
        on_none: OnNone::Reset,
        panic_below: Some(0),
        drain: Drain { deadline: 300 * second, end: DrainEnd::Reset },
        health: HealthCheck {
            kind: HealthKind::Tcp,
            port: None,
            via: Via::Direct,
            interval: 2 * second,
            timeout: second,
            rise: 2,
            fall: 3,
        },
        backends,
    }
}

pub(crate) fn config(services: Vec<Service>) -> Config {
    Config {
        agent: Agent {
            interfaces: vec!["eth0".to_owned()],
            xdp_mode: XdpMode::Auto,
            on_exit: OnExit::Keep,
            api: "/run/balancer/api.sock".into(),
            stats: ([127, 0, 0, 1], 9180).into(),
            state_dir: "/var/lib/balancer".into(),
            bpffs: "/sys/fs/bpf/balancer".into(),
            sources: Vec::new(),
        },
        limits: Limits {
            flows: 1000,
            pins: 1000,
            hash_seed: None,
            nat_ports: PortRange { first: 1024, last: 32767 },
        },
        services,
    }
}

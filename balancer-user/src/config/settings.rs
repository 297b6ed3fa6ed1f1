//! The values of a configuration as text, by key: for the diff and for `check -v`.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::{
    keys::{Key, Section},
    model::{Affinity, Agent, Backend, Drain, HealthCheck, HealthKind, Limits, Mode, Service, Timeouts},
};

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where the key stands.
    pub section: Section,
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

impl Setting {
    fn new(section: Section, key: &'static str, value: impl ToString) -> Self {
        Self { section, key, value: value.to_string() }
    }

    /// The key as it is spoken of, `timeouts.udp`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.section {
            Section::Affinity => format!("affinity.{}", self.key),
            Section::Timeouts => format!("timeouts.{}", self.key),
            Section::Drain => format!("drain.{}", self.key),
            Section::Health => format!("health.{}", self.key),
            Section::Top | Section::Agent | Section::Limits | Section::Service | Section::Backend => {
                self.key.to_owned()
            }
        }
    }

    /// Its row in the table of keys.
    #[must_use]
    pub fn row(&self) -> Option<&'static Key> {
        self.section.key(self.key)
    }
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `[agent]`.
#[must_use]
pub fn agent_settings(agent: &Agent) -> Vec<Setting> {
    let Agent { interfaces, xdp_mode, on_exit, api, stats, state_dir, bpffs, sources } = agent;
    let setting = |key, value: String| Setting::new(Section::Agent, key, value);
    let mut settings = vec![
        setting("interfaces", list(interfaces)),
        setting("xdp_mode", xdp_mode.word().to_owned()),
        setting("on_exit", on_exit.word().to_owned()),
        setting("api", api.display().to_string()),
        setting("stats", stats.to_string()),
        setting("state_dir", state_dir.display().to_string()),
        setting("bpffs", bpffs.display().to_string()),
    ];
    settings.extend((!sources.is_empty()).then(|| setting("sources", list(sources))));
    settings
}

/// `[limits]`. The seed is a secret and shows as a fingerprint.
#[must_use]
pub fn limit_settings(limits: &Limits) -> Vec<Setting> {
    let Limits { flows, pins, hash_seed, nat_ports } = limits;
    let seed = hash_seed.map(|seed| Setting::new(Section::Limits, "hash_seed", fingerprint(&seed)));
    let counts = [("flows", flows), ("pins", pins)];
    let ports = Setting::new(Section::Limits, "nat_ports", nat_ports);
    let counts = counts.map(|(key, value)| Setting::new(Section::Limits, key, value));
    counts.into_iter().chain(seed).chain([ports]).collect()
}

fn fingerprint(seed: &[u8; 16]) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(seed);
    format!("fingerprint {:016x}", hasher.finish())
}

/// `[[service]]` without its name and its backends.
#[must_use]
pub fn service_settings(service: &Service) -> Vec<Setting> {
    let Service {
        name: _,
        listen,
        mode,
        source,
        mss_clamp,
        icmp_echo,
        maglev_size,
        affinity,
        timeouts,
        heartbeat,
        min_ready,
        on_down,
        reset_rate,
        on_expire,
        on_none,
        panic_below,
        drain,
        health,
        backends: _,
    } = service;
    let heartbeat = heartbeat.map(humantime::format_duration);
    let mut settings = vec![
        Setting::new(Section::Service, "listen", list(listen)),
        Setting::new(Section::Service, "mode", mode),
        Setting::new(Section::Service, "icmp_echo", icmp_echo.word()),
        Setting::new(Section::Service, "maglev_size", maglev_size),
        Setting::new(Section::Service, "min_ready", min_ready),
        Setting::new(Section::Service, "on_down", on_down),
        Setting::new(Section::Service, "reset_rate", reset_rate),
        Setting::new(Section::Service, "on_expire", on_expire),
        Setting::new(Section::Service, "on_none", on_none),
        Setting::new(Section::Service, "panic_below", share(*panic_below)),
    ];
    settings.extend((*mode == Mode::Nat).then(|| Setting::new(Section::Service, "source", source.word())));
    settings.extend(mss_clamp.map(|mss| Setting::new(Section::Service, "mss_clamp", mss)));
    settings.extend(heartbeat.map(|heartbeat| Setting::new(Section::Service, "heartbeat", heartbeat)));
    settings.extend(affinity_settings(affinity));
    settings.extend(timeout_settings(timeouts));
    settings.extend(drain_settings(drain));
    settings.extend(health_settings(health));
    settings
}

fn affinity_settings(affinity: &Affinity) -> [Setting; 4] {
    let Affinity { by, timeout, v4_prefix, v6_prefix } = affinity;
    [
        Setting::new(Section::Affinity, "by", by),
        Setting::new(Section::Affinity, "timeout", humantime::format_duration(*timeout)),
        Setting::new(Section::Affinity, "v4_prefix", v4_prefix),
        Setting::new(Section::Affinity, "v6_prefix", v6_prefix),
    ]
}

fn timeout_settings(timeouts: &Timeouts) -> [Setting; 4] {
    let Timeouts { established, closing, syn, udp } = timeouts;
    let each = [("established", established), ("closing", closing), ("syn", syn), ("udp", udp)];
    each.map(|(key, value)| Setting::new(Section::Timeouts, key, humantime::format_duration(*value)))
}

/// As it stands in the file.
fn share(thousandths: Option<u16>) -> String {
    thousandths.map_or_else(|| "off".to_owned(), |share| (f64::from(share) / 1_000.0).to_string())
}

fn drain_settings(drain: &Drain) -> [Setting; 2] {
    let Drain { deadline, end } = drain;
    [
        Setting::new(Section::Drain, "deadline", humantime::format_duration(*deadline)),
        Setting::new(Section::Drain, "end", end),
    ]
}

fn health_settings(health: &HealthCheck) -> Vec<Setting> {
    let HealthCheck { kind, port, via, interval, timeout, rise, fall } = health;
    let setting = |key, value: &dyn std::fmt::Display| Setting::new(Section::Health, key, value);
    let mut settings = match kind {
        // Nothing is asked, so that the rest means nothing.
        HealthKind::None => return vec![setting("kind", &"none")],
        HealthKind::Tcp => vec![setting("kind", &"tcp")],
        HealthKind::Http { host, path, expect, drain_on } => {
            let mut http =
                vec![setting("kind", &"http"), setting("path", path), setting("expect", &list(expect))];
            http.extend((!drain_on.is_empty()).then(|| setting("drain_on", &list(drain_on))));
            http.extend(host.as_ref().map(|host| setting("host", host)));
            http
        }
    };
    settings.extend(port.map(|port| setting("port", &port)));
    settings.push(setting("interval", &humantime::format_duration(*interval)));
    settings.push(setting("timeout", &humantime::format_duration(*timeout)));
    settings.push(setting("rise", rise));
    settings.push(setting("fall", fall));
    settings.push(setting("via", &via.word()));
    settings
}

/// `[[service.backend]]` without its name.
#[must_use]
pub fn backend_settings(backend: &Backend) -> Vec<Setting> {
    let Backend { name: _, addresses, weight, state, backup, max_flows } = backend;
    let mut settings = vec![
        Setting::new(Section::Backend, "address", list(addresses)),
        Setting::new(Section::Backend, "weight", weight),
        Setting::new(Section::Backend, "state", state),
        Setting::new(Section::Backend, "backup", backup),
    ];
    settings.extend(max_flows.map(|limit| Setting::new(Section::Backend, "max_flows", limit)));
    settings
}

//! Any text as a configuration.

use std::fmt::Write as _;

use balancer_user::config::{self, Backend, Config, HealthCheck, HealthKind, Mode, Service};

use crate::{hold, verdict::verdict};

/// The input is a configuration: a verdict, each problem with its place and remedy. What is taken, written out with
/// every key, is taken again as the same; it differs in nothing from itself, and its values can be shown.
///
/// # Panics
/// If that does not hold.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    hold(verdict(text));
    let Ok(loaded) = config::parse(text, "f") else { return };
    let written = written(&loaded.config);
    let again = config::parse(&written, "f").unwrap_or_else(|problems| panic!("{problems}\nof {written}"));
    assert_eq!(again.config, loaded.config, "it came back otherwise from {written}");
    assert_eq!(config::diff(&loaded.config, &again.config), [], "equal, and yet they differ");
    assert!(config::footprint(&loaded.config).total() > 0);
    assert!(loaded.config.services.iter().all(|service| !config::service_settings(service).is_empty()));
}

/// The text of a configuration, every key written.
fn written(config: &Config) -> String {
    let Config { agent, limits, services } = config;
    let sources = match &agent.sources[..] {
        [] => String::new(),
        some => format!("sources = {}\n", list(some)),
    };
    let mut text = format!(
        "schema = 1\n[agent]\ninterfaces = {}\nxdp_mode = {}\non_exit = {}\napi = {}\nstats = {}\n\
         state_dir = {}\nbpffs = {}\n{sources}[limits]\nflows = {}\npins = {}\nnat_ports = {}\n",
        list(&agent.interfaces),
        quoted(agent.xdp_mode.word()),
        quoted(agent.on_exit.word()),
        quoted(agent.api.display()),
        quoted(agent.stats),
        quoted(agent.state_dir.display()),
        quoted(agent.bpffs.display()),
        limits.flows,
        limits.pins,
        quoted(limits.nat_ports),
    );
    if let Some(seed) = limits.hash_seed {
        let _ = writeln!(text, "hash_seed = \"{:032x}\"", u128::from_be_bytes(seed));
    }
    services.iter().for_each(|service| write_service(&mut text, service));
    text
}

fn write_service(text: &mut String, service: &Service) {
    let Service {
        name,
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
        backends,
    } = service;
    let _ = write!(
        text,
        "[[service]]\nname = {}\nlisten = {}\nmode = {}\nmaglev_size = {maglev_size}\nmin_ready = {min_ready}\n\
         affinity = {{ by = {}, timeout = {}, v4_prefix = {}, v6_prefix = {} }}\n\
         timeouts = {{ established = {}, closing = {}, syn = {}, udp = {} }}\n",
        quoted(name),
        list(listen),
        quoted(mode),
        quoted(affinity.by),
        quoted(humantime::format_duration(affinity.timeout)),
        affinity.v4_prefix,
        affinity.v6_prefix,
        quoted(humantime::format_duration(timeouts.established)),
        quoted(humantime::format_duration(timeouts.closing)),
        quoted(humantime::format_duration(timeouts.syn)),
        quoted(humantime::format_duration(timeouts.udp)),
    );
    let panic_below = panic_below.map_or_else(|| quoted("off"), |it| (f64::from(it) / 1_000.0).to_string());
    let _ = write!(
        text,
        "on_down = {}\nreset_rate = {reset_rate}\non_expire = {}\non_none = {}\npanic_below = {panic_below}\n\
         drain = {{ deadline = {}, end = {} }}\n",
        quoted(on_down),
        quoted(on_expire),
        quoted(on_none),
        quoted(humantime::format_duration(drain.deadline)),
        quoted(drain.end),
    );
    let _ = writeln!(text, "icmp_echo = {}", quoted(icmp_echo.word()));
    if *mode == Mode::Nat {
        let _ = writeln!(text, "source = {}", quoted(source.word()));
    }
    if let Some(mss) = mss_clamp {
        let _ = writeln!(text, "mss_clamp = {mss}");
    }
    if let Some(heartbeat) = heartbeat {
        let _ = writeln!(text, "heartbeat = {}", quoted(humantime::format_duration(*heartbeat)));
    }
    write_health(text, health);
    backends.iter().for_each(|backend| write_backend(text, backend));
}

fn write_health(text: &mut String, health: &HealthCheck) {
    let HealthCheck { kind, port, via, interval, timeout, rise, fall } = health;
    let _ = write!(
        text,
        "[service.health]\ninterval = {}\ntimeout = {}\nrise = {rise}\nfall = {fall}\n",
        quoted(humantime::format_duration(*interval)),
        quoted(humantime::format_duration(*timeout)),
    );
    if let Some(port) = port {
        let _ = writeln!(text, "port = {port}");
    }
    let _ = writeln!(text, "via = {}", quoted(via.word()));
    let _ = match kind {
        HealthKind::None => writeln!(text, "kind = \"none\""),
        HealthKind::Tcp => writeln!(text, "kind = \"tcp\""),
        HealthKind::Http { host, path, expect, drain_on } => {
            if let Some(host) = host {
                let _ = writeln!(text, "host = {}", quoted(host));
            }
            let _ = writeln!(text, "kind = \"http\"\npath = {}\nexpect = {expect:?}", quoted(path));
            writeln!(text, "drain_on = {drain_on:?}")
        }
    };
}

fn write_backend(text: &mut String, backend: &Backend) {
    let Backend { name, addresses, weight, state, backup, max_flows } = backend;
    let (name, addresses, state) = (quoted(name), list(addresses), quoted(state));
    let _ = write!(
        text,
        "[[service.backend]]\nname = {name}\naddress = {addresses}\nweight = {weight}\nstate = {state}\n\
         backup = {backup}\n"
    );
    if let Some(limit) = max_flows {
        let _ = writeln!(text, "max_flows = {limit}");
    }
}

fn list(items: &[impl ToString]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item.to_string())).collect::<Vec<_>>().join(", "))
}

/// A TOML string: each character by its number where it might mean something.
fn quoted(text: impl ToString) -> String {
    let character = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.to_string().chars().map(character).collect::<String>())
}

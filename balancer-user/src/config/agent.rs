//! `[agent]` and `[limits]`.

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;

use super::{
    model::{Agent, Limits, OnExit, PortRange, XdpMode},
    place::Placed,
    problem::{Fault, Report},
    sources::{families, prefix},
    table::Table,
};

/// A path of a unix socket has this many bytes at most (`sun_path` without its final zero).
const SOCKET_PATH_MAX: usize = 107;
/// A name of an interface has this many bytes at most (`IFNAMSIZ` without its final zero).
const INTERFACE_MAX: usize = 15;

impl XdpMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Native, Self::Generic];

    /// Its word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl OnExit {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Keep, Self::Detach];

    /// Its word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Detach => "detach",
        }
    }
}

/// `[agent]`, and the places of what services are held against.
pub(super) struct Draft {
    pub(super) agent: Agent,
    /// No service may take it.
    pub(super) stats: Placed<SocketAddr>,
    /// No service may have one of them, nor a backend.
    pub(super) sources: Vec<Placed<IpNet>>,
}

/// Reads `[agent]`.
pub(super) fn agent(table: &Table<'_>) -> Option<Draft> {
    let interfaces = table.texts("interfaces", interface);
    let xdp_mode = table.word("xdp_mode", |word| XdpMode::ALL.into_iter().find(|mode| mode.word() == word));
    let on_exit = table.word("on_exit", |word| OnExit::ALL.into_iter().find(|exit| exit.word() == word));
    let api = table.text("api", socket);
    let stats = table.text("stats", socket_address);
    let state_dir = table.text("state_dir", absolute);
    let bpffs = table.text("bpffs", absolute);
    let sources = table.texts("sources", prefix).unwrap_or_default();
    families(&sources, table.report);
    distinct(interfaces.as_deref().unwrap_or_default(), table.report);
    let stats = stats?;
    let agent = Agent {
        interfaces: interfaces?.into_iter().map(|name| name.value).collect(),
        xdp_mode: xdp_mode?.value,
        on_exit: on_exit?.value,
        api: api?.value,
        stats: stats.value,
        state_dir: state_dir?.value,
        bpffs: bpffs?.value,
        sources: sources.iter().map(|it| it.value).collect(),
    };
    Some(Draft { agent, stats, sources })
}

/// Reads `[limits]`.
pub(super) fn limits(table: &Table<'_>) -> Option<(Limits, Placed<PortRange>)> {
    let flows = table.number("flows");
    let pins = table.number("pins");
    let hash_seed = table.text("hash_seed", seed).map(|seed| seed.value);
    let nat_ports = table.text("nat_ports", str::parse::<PortRange>)?;
    Some((
        Limits { flows: flows?.value, pins: pins?.value, hash_seed, nat_ports: nat_ports.value },
        nat_ports,
    ))
}

fn distinct(interfaces: &[Placed<String>], report: &Report<'_>) {
    for (n, name) in interfaces.iter().enumerate() {
        if interfaces[..n].iter().any(|earlier| earlier.value == name.value) {
            report.error(&name.at, format!("interface {:?} is listed twice", name.value), "take one out");
        }
    }
}

fn interface(text: &str) -> Result<String, Fault> {
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if text.is_empty() || text.len() > INTERFACE_MAX || text.contains(odd) || matches!(text, "." | "..") {
        return Err(Fault::new(format!("{text:?} is no name of an interface"), "`ip link` lists them"));
    }
    Ok(text.to_owned())
}

fn absolute(text: &str) -> Result<PathBuf, Fault> {
    if !text.starts_with('/') || text.contains('\0') {
        return Err(Fault::new(format!("{text:?} is no absolute path"), "let it begin with /"));
    }
    Ok(PathBuf::from(text))
}

fn socket(text: &str) -> Result<PathBuf, Fault> {
    if text.len() > SOCKET_PATH_MAX {
        let message = format!("api has a path of {} bytes, too long for a socket", text.len());
        return Err(Fault::new(message, format!("use at most {SOCKET_PATH_MAX} bytes")));
    }
    absolute(text)
}

fn socket_address(text: &str) -> Result<std::net::SocketAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::new(format!("stats {text:?} is no address with a port"), "write it like \"127.0.0.1:9180\"")
    })
}

fn seed(text: &str) -> Result<[u8; 16], Fault> {
    let fault = || {
        // The seed is a secret: what was written is not repeated.
        Fault::new(
            "hash_seed is not 16 bytes in hex",
            "write 32 hex digits, for example from `openssl rand -hex 16`",
        )
    };
    if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(fault());
    }
    u128::from_str_radix(text, 16).map(u128::to_be_bytes).map_err(|_| fault())
}

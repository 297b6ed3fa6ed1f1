//! The programs that the lab and its tests call.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use super::{apt::Apt, say};
use crate::run;

/// A program, and Debian's package of it.
const PROGRAMS: [(&str, &str); 6] = [
    ("curl", "curl"),
    ("ethtool", "ethtool"),
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("nginx", "nginx"),
    ("tcpdump", "tcpdump"),
];

/// Packages that start a server of their own on the host: the lab only wants the programs.
const SERVERS: [&str; 2] = ["haproxy", "nginx"];

/// Installs those that are missing; returns their names.
pub(crate) fn ensure(apt: &mut Apt) -> Result<String> {
    let missing = missing();
    if !missing.is_empty() {
        if !Apt::usable() {
            let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
            bail!(
                "the lab needs {}: install them, or run this as root on a host with apt-get",
                names.join(", ")
            );
        }
        let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        apt.install(&packages)?;
        for server in SERVERS.iter().filter(|server| packages.contains(server)) {
            stop(server)?;
        }
    }
    Ok(PROGRAMS.map(|(program, _)| program).join(", "))
}

fn missing() -> Vec<(&'static str, &'static str)> {
    PROGRAMS.into_iter().filter(|(program, _)| run::find(program).is_none()).collect()
}

fn stop(server: &str) -> Result<()> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    say(&format!("stopping the {server} that the package has started"));
    run::check(Command::new("systemctl").args(["disable", "--now", "--quiet", server]))
}

//! Where a lab keeps what: the names of its namespaces and its directory under `/run`.

use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::bail;

use crate::{netns::Netns, topology::Host};

/// What tells one lab from another: the beginning of all its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix of the lab that `cargo xtask lab` works on.
    pub const DEFAULT: &str = "bl-";
}

impl FromStr for Prefix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > 16 || !text.chars().all(fits) {
            bail!("lab prefix {text:?} must be 1 to 16 of a-z, 0-9 and -, e.g. {:?}", Self::DEFAULT);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The places of one lab.
#[derive(Clone, Debug)]
pub struct Place {
    prefix: Prefix,
}

impl Place {
    /// The places of the lab with this prefix.
    #[must_use]
    pub const fn new(prefix: Prefix) -> Self {
        Self { prefix }
    }

    /// The lab's prefix.
    #[must_use]
    pub const fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The namespace of a host.
    #[must_use]
    pub fn netns(&self, host: Host) -> Netns {
        Netns::new(format!("{}{host}", self.prefix))
    }

    /// The namespace of the bridge.
    #[must_use]
    pub fn switch(&self) -> Netns {
        Netns::new(format!("{}switch", self.prefix))
    }

    /// The namespace of the backends' own bridge, in a lab that has one.
    #[must_use]
    pub fn far_switch(&self) -> Netns {
        Netns::new(format!("{}far-switch", self.prefix))
    }

    /// The namespace of the router, in a lab that has one.
    #[must_use]
    pub fn router(&self) -> Netns {
        Netns::new(format!("{}router", self.prefix))
    }

    /// Every namespace that a lab may have, whether it exists or not.
    pub fn all_netns(&self) -> impl Iterator<Item = Netns> {
        let rest = [self.switch(), self.far_switch(), self.router()];
        Host::all().map(|host| self.netns(host)).chain(rest)
    }

    /// The lab's directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        PathBuf::from(format!("/run/{}lab", self.prefix))
    }

    /// Mount point of the lab's own bpffs: unmounting it takes every object away at once.
    #[must_use]
    pub fn bpffs(&self) -> PathBuf {
        self.dir().join("bpf")
    }

    /// The agent's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir().join("balancer.toml")
    }

    /// The agent's API socket.
    #[must_use]
    pub fn api(&self) -> PathBuf {
        self.dir().join("api.sock")
    }

    /// The agent's journal, numbers and seed.
    #[must_use]
    pub fn agent_state(&self) -> PathBuf {
        self.dir().join("state")
    }

    /// The log of a program on a host.
    #[must_use]
    pub fn log(&self, host: Host, program: &str) -> PathBuf {
        self.dir().join("log").join(format!("{host}.{program}"))
    }

    /// The record of a running program.
    #[must_use]
    pub fn record(&self, host: Host, program: &str) -> PathBuf {
        self.dir().join("run").join(format!("{host}.{program}.json"))
    }

    /// While this file is there, `/health` of the backend's web server answers 503.
    #[must_use]
    pub fn sick(&self, host: Host) -> PathBuf {
        self.dir().join(format!("{host}.sick"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_could_leave_its_directory_is_refused() {
        assert!("../".parse::<Prefix>().is_err());
        assert!("".parse::<Prefix>().is_err());
        assert!("bl-".parse::<Prefix>().is_ok());
    }

    #[test]
    fn two_labs_share_no_name() {
        let names = |prefix: &str| -> Vec<String> {
            Place::new(prefix.parse().unwrap()).all_netns().map(|n| n.name().to_owned()).collect()
        };
        let (one, other) = (names("bl-"), names("bl-2-"));
        assert!(one.iter().all(|name| !other.contains(name)));
    }
}

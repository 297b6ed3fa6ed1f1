//! Debian's packages.

use std::{fs, os::unix::fs::MetadataExt as _, process::Command};

use anyhow::Result;

use super::say;
use crate::run;

/// apt, whose lists are fetched at most once a run, and only before something is installed.
#[derive(Default)]
pub(crate) struct Apt {
    updated: bool,
}

impl Apt {
    /// Whether this user may install packages on this host.
    pub(crate) fn usable() -> bool {
        let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        root && run::find("apt-get").is_some()
    }

    /// The version of the package that would be installed.
    pub(crate) fn candidate(&mut self, package: &str) -> Result<Option<String>> {
        self.update()?;
        let policy = run::output(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"));
        let candidate = policy
            .iter()
            .flat_map(|text| text.lines())
            .find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(candidate.filter(|version| *version != "(none)").map(str::to_owned))
    }

    /// Installs packages, without what they merely recommend.
    pub(crate) fn install(&mut self, packages: &[&str]) -> Result<()> {
        self.update()?;
        say(&format!("installing {} with apt-get", packages.join(" ")));
        let mut install = apt_get();
        run::check(install.args(["install", "--yes", "--no-install-recommends"]).args(packages))
    }

    fn update(&mut self) -> Result<()> {
        if !self.updated {
            say("fetching the package lists with apt-get");
            run::check(apt_get().arg("update"))?;
            self.updated = true;
        }
        Ok(())
    }
}

fn apt_get() -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet=2").env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

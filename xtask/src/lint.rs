//! `cargo xtask lint`.

use std::{env::consts::ARCH, process::Command};

use anyhow::{Context as _, Result};

use crate::{bpf, run, setup};

/// Checks the format, the host's crates, and the BPF crate on its own target.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::Talk::WhenBusy)?;
    run::check(run::cargo("fmt").args(["--all", "--check"]))?;
    run::check(run::cargo("clippy").args([run::PROFILE, "--all-targets", "--", "-D", "warnings"]))?;
    bpf()
}

/// A run of its own: with the whole workspace, features unify and the panic handler is there twice.
fn bpf() -> Result<()> {
    let cache = bpf::cache_dir().context("neither XDG_CACHE_HOME nor HOME is set")?;
    let toolchain = bpf::toolchain(&cache).context("run `cargo xtask setup` first")?;
    if run::output(Command::new("rustup").args(["run", &toolchain, "cargo-clippy", "--version"])).is_none() {
        eprintln!("lint: toolchain {toolchain} has no clippy: the BPF crate is not linted");
        return Ok(());
    }
    let mut clippy = bpf::cargo(&cache, &toolchain, run::root(), "clippy", ARCH);
    run::check(clippy.args(["--", "-D", "warnings"]))
}

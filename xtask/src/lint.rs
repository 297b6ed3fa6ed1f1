//! `cargo xtask lint`.

use std::{env::consts::ARCH, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{bpf, run, setup};

/// Checks the format, the host's crates, and the BPF crate on its own target; each is told of all the same.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::Talk::WhenBusy)?;
    let results = [format(), host(), bpf()];
    let errors: Vec<String> =
        results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if !errors.is_empty() {
        bail!("{}", errors.join("\nerror: "));
    }
    Ok(())
}

fn format() -> Result<()> {
    run::check(run::cargo("fmt").args(["--all", "--check"]))
}

fn host() -> Result<()> {
    run::check(run::cargo("clippy").args([run::PROFILE, "--all-targets", "--", "-D", "warnings"]))
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
    // Its compiler is another one: in a directory of its own nothing of the host's build is touched.
    clippy.arg("--target-dir").arg(run::target()?.join("bpf"));
    run::check(clippy.args(["--", "-D", "warnings"]))
}

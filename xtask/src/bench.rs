//! `cargo xtask bench`: what a packet costs.

use std::{env, ffi::OsString};

use anyhow::{Context as _, Result};

use crate::{bpf, run, setup};

/// The object with the measuring programs.
const OBJECT: &str = "balancer-ebpf-bench";

/// Sets up, builds, and runs the benchmark with these arguments.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    setup::run(setup::Talk::WhenBusy)?;
    let cache = bpf::cache_dir().context("neither XDG_CACHE_HOME nor HOME is set")?;
    let toolchain = bpf::toolchain(&cache).context("reading which toolchain compiles for BPF")?;
    let target = run::target()?.join("bpf");
    let mut object = bpf::cargo(&cache, &toolchain, run::root(), "build", env::consts::ARCH);
    run::check(object.args(["--bin", OBJECT]).arg("--target-dir").arg(&target))?;
    let mut bench = run::cargo("bench");
    bench.args(["--package", "balancer-tests", "--bench", "packets", "--"]).args(args);
    run::check(bench.env("BALANCER_BENCH_OBJECT", target.join(bpf::TARGET).join("release").join(OBJECT)))
}

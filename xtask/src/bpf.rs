//! How the BPF crate is compiled: its toolchain, its flags, its environment.
//!
//! `balancer-user/build.rs` includes this file too, so it uses std alone.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// The target of the BPF crate.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Flags of rustc for the BPF crate and what it is made of.
const RUSTFLAGS: [&str; 4] = [
    // BTF is made from debug information; the kernel wants it for maps of maps.
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    // 32-bit registers and jumps (Linux 5.1): fewer instructions, and bounds that the verifier can follow.
    "-Ctarget-cpu=v3",
    // BPF loads may be misaligned: without this each unaligned read is a load per byte.
    "-Ctarget-feature=+allows-misaligned-mem-access",
];

/// What cargo tells a build script about its own toolchain and flags: none of it fits the BPF crate.
const FOREIGN: [&str; 8] = [
    "CARGO",
    "CLIPPY_ARGS",
    "RUSTC",
    "RUSTC_LINKER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTUP_TOOLCHAIN",
];

/// Where `cargo xtask setup` keeps its tools, for every clone alike.
pub(crate) fn cache_dir() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .map(|dir| dir.join("balancer"))
}

/// The file in which setup leaves the toolchain that it found or installed.
///
/// The first line is its name for `rustup run`, the rest what it says of its version.
pub(crate) fn record(cache: &Path) -> PathBuf {
    cache.join("bpf-toolchain")
}

/// The name of the toolchain that setup left.
pub(crate) fn toolchain(cache: &Path) -> io::Result<String> {
    let record = fs::read_to_string(record(cache))?;
    Ok(record.lines().next().unwrap_or_default().to_owned())
}

/// `cargo VERB` for the BPF crate of the workspace at `root`, to be loaded on a host of `arch`.
pub(crate) fn cargo(cache: &Path, toolchain: &str, root: &Path, verb: &str, arch: &str) -> Command {
    let mut rustflags = vec![format!("--cfg=bpf_target_arch=\"{arch}\"")];
    rustflags.extend(RUSTFLAGS.map(String::from));

    let mut cargo = Command::new("rustup");
    cargo.current_dir(root);
    for name in FOREIGN {
        cargo.env_remove(name);
    }
    cargo
        .args(["run", toolchain, "cargo", verb, "--locked", "--release"])
        .args(["--package", "balancer-ebpf", "--target", TARGET])
        .env("PATH", path(cache))
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags.join("\x1f"))
        // Unstable features for these crates alone, also on a stable compiler.
        .env("RUSTC_BOOTSTRAP", "aya_ebpf,balancer_ebpf,balancer_ebpf_bench");
    if toolchain.starts_with("nightly") {
        // rustup has no prebuilt `core` for BPF.
        cargo.args(["-Z", "build-std=core"]);
    }
    cargo
}

/// PATH with the directory of bpf-linker in front.
fn path(cache: &Path) -> std::ffi::OsString {
    let rest = env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(cache.join("bin")).chain(env::split_paths(&rest));
    env::join_paths(dirs).unwrap_or(rest.clone())
}

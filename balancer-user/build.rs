//! Compiles the XDP program with its own toolchain and leaves the object in `OUT_DIR` as `balancer-ebpf`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

#[path = "../xtask/src/bpf.rs"]
mod bpf;

/// What the object is made of; a change elsewhere does not compile it anew.
const INPUTS: [&str; 6] = [
    "Cargo.lock",
    "Cargo.toml",
    "balancer-common/Cargo.toml",
    "balancer-common/src",
    "balancer-ebpf",
    "xtask/src/bpf.rs",
];

fn main() {
    println!("cargo::rerun-if-env-changed=XDG_CACHE_HOME");
    // cargo shows an error of this form as it stands, and what was printed only when the script exits with one.
    if let Err(message) = build() {
        println!("cargo::error={message}");
    }
}

fn build() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = manifest.parent().ok_or("balancer-user is not inside a workspace")?;
    for input in INPUTS {
        // Relative to this package: in a copy of the tree, what is built is built of the copy.
        println!("cargo::rerun-if-changed=../{input}");
    }
    let cache =
        bpf::cache_dir().ok_or("neither XDG_CACHE_HOME nor HOME is set: the tools of setup are there")?;
    println!("cargo::rerun-if-changed={}", bpf::record(&cache).display());
    let toolchain = bpf::toolchain(&cache)
        .map_err(|_| "the tools that compile the XDP program are missing: run `cargo xtask setup` first")?;

    // One inner build for all profiles: `OUT_DIR` is target/PROFILE/build/PACKAGE/out.
    let target = out.ancestors().nth(4).unwrap_or(&out).join("bpf");
    compile(&cache, &toolchain, root, &target)?;
    let object = target.join(bpf::TARGET).join("release/balancer-ebpf");
    fs::copy(&object, out.join("balancer-ebpf"))
        .map_err(|error| format!("cannot copy {}: {error}", object.display()))?;
    Ok(())
}

/// Runs the inner cargo. Its target directory is its own, so it waits for no lock of the outer one.
fn compile(cache: &Path, toolchain: &str, root: &Path, target: &Path) -> Result<(), String> {
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    let mut cargo = bpf::cargo(cache, toolchain, root, "build", &arch);
    let output =
        cargo.args(["--bin", "balancer-ebpf"]).arg("--target-dir").arg(target).output().map_err(|error| {
            format!("cannot start rustup to compile the XDP program ({error}): run `cargo xtask setup` first")
        })?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("the XDP program does not compile with toolchain {toolchain}, see above");
    eprintln!("if a tool is missing there: run `cargo xtask setup`");
    process::exit(1);
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name} from cargo: {error}"))
}

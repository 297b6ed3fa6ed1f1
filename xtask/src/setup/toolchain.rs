//! A compiler with a `core` for the BPF target: Debian's, or a nightly that compiles its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{apt::Apt, say};
use crate::{bpf, run};

/// Debian's compiler, linked into rustup by this name.
const DEBIAN: &str = "ebpf";
/// Debian's packages of it, with the prebuilt `core` for BPF.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"];
/// Elsewhere: a nightly that is known to work.
const NIGHTLY: &str = "nightly-2026-05-20";

/// A toolchain that can compile the BPF crate.
pub(crate) struct Toolchain {
    /// Its name for `rustup run`.
    pub(crate) name: &'static str,
    /// What `rustc -vV` says.
    pub(crate) version: String,
}

impl Toolchain {
    /// `rustc 1.96.0 (…)`.
    pub(crate) fn short(&self) -> &str {
        self.version.lines().next().unwrap_or_default()
    }

    /// The major version of its LLVM.
    pub(crate) fn llvm(&self) -> Result<&str> {
        let version = self.version.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let major = version.and_then(|version| version.split('.').next());
        major.with_context(|| format!("toolchain {} does not name its LLVM", self.name))
    }

    /// The toolchain of this name if rustup has it and it has what BPF takes.
    fn find(name: &'static str) -> Option<Self> {
        let version = run::output(Command::new("rustup").args(["run", name, "rustc", "-vV"]))?;
        let sysroot = run::output(Command::new("rustup").args(["run", name, "rustc", "--print=sysroot"]))?;
        let rustlib = PathBuf::from(sysroot.trim()).join("lib/rustlib");
        let core =
            if name == DEBIAN { rustlib.join(bpf::TARGET) } else { rustlib.join("src/rust/library/core") };
        let release = version.lines().find_map(|line| line.strip_prefix("release: "))?;
        (core.exists() && new_enough(release)).then_some(Self { name, version })
    }
}

/// Finds a toolchain, or installs the one that this host can have.
pub(crate) fn ensure(apt: &mut Apt) -> Result<Toolchain> {
    if let Some(found) = Toolchain::find(DEBIAN).or_else(|| Toolchain::find(NIGHTLY)) {
        return Ok(found);
    }
    match debian(apt) {
        Ok(Some(toolchain)) => return Ok(toolchain),
        Ok(None) => {}
        Err(error) => say(&format!("Debian's compiler cannot be had ({error:#}), trying {NIGHTLY}")),
    }
    nightly()
}

/// Debian's compiler: as it is, else in a version that apt offers and that is new enough.
fn debian(apt: &mut Apt) -> Result<Option<Toolchain>> {
    if Path::new("/usr/lib/rustlib").join(bpf::TARGET).exists()
        && let Some(toolchain) = link_debian()?
    {
        return Ok(Some(toolchain));
    }
    if !Apt::usable() || !apt.candidate(PACKAGES[0])?.is_some_and(|version| new_enough(&version)) {
        return Ok(None);
    }
    apt.install(&PACKAGES)?;
    link_debian()
}

fn link_debian() -> Result<Option<Toolchain>> {
    say(&format!("linking Debian's compiler as rustup toolchain {DEBIAN}"));
    run::check(Command::new("rustup").args(["toolchain", "link", DEBIAN, "/usr"]))?;
    Ok(Toolchain::find(DEBIAN))
}

fn nightly() -> Result<Toolchain> {
    say(&format!("installing {NIGHTLY} with rust-src through rustup"));
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", NIGHTLY, "--no-self-update", "--profile=minimal"]);
    run::check(install.arg("--component=rust-src,clippy"))?;
    match Toolchain::find(NIGHTLY) {
        Some(toolchain) => Ok(toolchain),
        None => bail!("rustup installed {NIGHTLY}, but it cannot compile for {}", bpf::TARGET),
    }
}

/// Whether a compiler of this version compiles the workspace.
fn new_enough(version: &str) -> bool {
    let parse = |version: &str| {
        let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    parse(version) >= parse(env!("CARGO_PKG_RUST_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers_whatever_follows_them() {
        assert!(new_enough("1.95.0"));
        assert!(new_enough("1.96.0+dfsg1-1~deb12u2"));
        assert!(new_enough("1.100.0-nightly"));
        assert!(!new_enough("1.85.0+dfsg3-1~deb12u3"));
        assert!(!new_enough("(none)"));
    }

    #[test]
    fn the_major_version_of_llvm_is_read_from_what_rustc_says() {
        let version = "rustc 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8\n".to_owned();
        assert_eq!(Toolchain { name: DEBIAN, version }.llvm().unwrap(), "22");
    }
}

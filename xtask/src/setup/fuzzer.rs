//! cargo-fuzz, and the C++ compiler that libFuzzer is compiled with.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use super::{apt::Apt, say};
use crate::run;

/// The version that is installed.
const VERSION: &str = "0.13.2";
/// The C++ compiler by the name that every distribution gives it, and Debian's package.
const COMPILER: (&str, &str) = ("c++", "g++");

/// Makes sure of both; the directory of cargo-fuzz.
pub(crate) fn ensure(cache: &Path, apt: &mut Apt) -> Result<PathBuf> {
    let (compiler, package) = COMPILER;
    if run::find(compiler).is_none() {
        if !Apt::usable() {
            bail!("libFuzzer needs a C++ compiler: install one, or run this as root on a host with apt-get");
        }
        apt.install(&[package])?;
    }
    let bin = cache.join("bin");
    if !works(&bin) {
        say(&format!("compiling cargo-fuzz {VERSION} (about a minute)"));
        let mut install = run::cargo("install");
        install.args(["cargo-fuzz", "--version", VERSION, "--locked", "--force", "--quiet"]);
        run::check(install.arg("--root").arg(cache))?;
    }
    Ok(bin)
}

fn works(bin: &Path) -> bool {
    let version = run::output(Command::new(bin.join("cargo-fuzz")).arg("--version"));
    version.is_some_and(|text| text.trim().ends_with(VERSION))
}

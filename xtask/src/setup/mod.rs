//! `cargo xtask setup`: finds what building and the lab need, and installs what is missing.

mod apt;
mod fuzzer;
mod linker;
mod programs;
mod toolchain;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

use self::apt::Apt;
use crate::{bpf, run};

/// When setup says that nothing was missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// In any case.
    Always,
    /// Only what it installs.
    WhenBusy,
}

/// Makes sure of the BPF toolchain, its linker and the lab's programs.
pub(crate) fn run(talk: Talk) -> Result<()> {
    ensure!(
        run::find("rustup").is_some(),
        "rustup is missing: install it (https://rustup.rs) and run this again"
    );
    let cache = cache()?;
    let mut apt = Apt::default();

    let toolchain = toolchain::ensure(&mut apt)?;
    let record = bpf::record(&cache);
    let text = format!("{}\n{}", toolchain.name, toolchain.version);
    // The record stands for a linker that was made for exactly this toolchain: the linker comes first.
    if fs::read_to_string(&record).ok().as_ref() != Some(&text) || !linker::works(&cache) {
        linker::install(&cache, &toolchain)?;
        fs::write(&record, text).with_context(|| format!("cannot write {}", record.display()))?;
    }
    let programs = programs::ensure(&mut apt)?;

    if talk == Talk::Always {
        eprintln!(
            "setup: all is there: toolchain {} ({}), bpf-linker {}, {programs}",
            toolchain.name,
            toolchain.short(),
            linker::VERSION,
        );
    }
    Ok(())
}

/// Makes sure of what the fuzzers take besides, which nothing else needs; the directory of cargo-fuzz.
pub(crate) fn fuzzer() -> Result<PathBuf> {
    fuzzer::ensure(&cache()?, &mut Apt::default())
}

fn cache() -> Result<PathBuf> {
    bpf::cache_dir().context("neither XDG_CACHE_HOME nor HOME is set: nowhere to keep the tools")
}

/// Says what setup does, as it does it.
fn say(what: &str) {
    eprintln!("setup: {what}");
}

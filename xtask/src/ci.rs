//! `cargo xtask ci`.

use std::process::Command;

use anyhow::Result;

use crate::run;

/// Becomes `.ci/run`.
pub(crate) fn run() -> Result<()> {
    run::become_program(&mut Command::new(run::root().join(".ci/run")))
}

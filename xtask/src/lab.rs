//! `cargo xtask lab`.

use std::{ffi::OsString, process::Command};

use anyhow::Result;

use crate::{run, setup};

/// Sets up and builds what changed, without a word, and becomes the lab.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    setup::run(setup::Talk::WhenBusy)?;
    run::check(run::cargo("build").args([run::PROFILE, "--quiet"]))?;
    run::become_program(Command::new(run::release("lab")?).args(args))
}

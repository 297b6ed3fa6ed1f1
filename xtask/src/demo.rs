//! `cargo xtask demo`.

use std::process::Command;

use anyhow::Result;

use crate::{build, run, setup};

/// Sets up, builds, and becomes the demo.
pub(crate) fn run(keep: bool) -> Result<()> {
    setup::run(setup::Talk::Always)?;
    build::run()?;
    let mut demo = Command::new(run::release("lab")?);
    demo.arg("demo");
    if keep {
        demo.arg("--keep");
    }
    run::become_program(&mut demo)
}

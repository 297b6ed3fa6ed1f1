//! `cargo xtask doc`.

use anyhow::Result;

use crate::{run, setup};

/// Builds the documentation of the workspace.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::Talk::WhenBusy)?;
    let mut doc = run::cargo("doc");
    run::check(doc.args([run::PROFILE, "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

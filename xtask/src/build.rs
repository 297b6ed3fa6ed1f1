//! `cargo xtask build`.

use anyhow::Result;

use crate::run;

/// Builds every program in release, the XDP object with them.
pub(crate) fn run() -> Result<()> {
    run::check(run::cargo("build").arg(run::PROFILE))
}

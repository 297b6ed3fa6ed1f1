//! `cargo xtask dist`.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{build, run, setup};

/// Builds, and copies what a host needs into dist/.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::Talk::WhenBusy)?;
    build::run()?;
    let dist = run::root().join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("cannot make {}", dist.display()))?;
    let files = [run::release("balancer")?, run::root().join("packaging/balancer.service")];
    for file in files {
        let to = dist.join(file.file_name().context("a file of the build has no name")?);
        fs::copy(&file, &to).with_context(|| format!("cannot copy {}", file.display()))?;
        println!("{}", to.display());
    }
    Ok(())
}

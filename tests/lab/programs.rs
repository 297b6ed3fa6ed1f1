//! Where the binaries are that the lab runs.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The agent and its command line: `BALANCER_BIN`, or `balancer` beside the running program.
///
/// # Errors
/// When it is in neither place.
pub fn balancer() -> Result<PathBuf> {
    match env::var_os("BALANCER_BIN") {
        Some(path) => Ok(path.into()),
        None => sibling("balancer").context("or name it with BALANCER_BIN"),
    }
}

/// The lab's servers and clients: `LAB_NODE_BIN`, or `lab-node` beside the running program.
///
/// # Errors
/// When it is in neither place.
pub fn lab_node() -> Result<PathBuf> {
    match env::var_os("LAB_NODE_BIN") {
        Some(path) => Ok(path.into()),
        None => sibling("lab-node").context("or name it with LAB_NODE_BIN"),
    }
}

/// An example of `balancer-user`: `examples` beside the running program, where cargo puts them when it tests the workspace.
///
/// # Errors
/// When it is not there.
pub fn example(name: &str) -> Result<PathBuf> {
    sibling(&format!("examples/{name}"))
        .with_context(|| format!("cargo build --release -p balancer-user --example {name}"))
}

/// A file of that name beside this program, or one directory up: tests run from `deps/`.
fn sibling(name: &str) -> Result<PathBuf> {
    let own = env::current_exe()?;
    let candidate = own.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    match candidate {
        Some(path) => Ok(path),
        None => {
            let dir = own.parent().unwrap_or(Path::new("."));
            bail!("program {name} is not in {}: build it first (cargo build)", dir.display())
        }
    }
}

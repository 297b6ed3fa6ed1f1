//! Where the command line meets the agent and the data path that it does not reach through the API.

use std::path::{Path, PathBuf};

use super::exit::{Code, Failure};
use crate::{config, dataplane};

/// Runs the agent until it is told to end.
pub(super) fn agent(_config: &Path, _force: bool) -> Result<(), Failure> {
    Err(Failure::said(Code::Failed, "the agent is not built in"))
}

/// The bpffs directory that a configuration file names.
pub(super) fn bpffs_of(file: &Path) -> Result<PathBuf, Failure> {
    config::load(file)
        .map(|loaded| loaded.config.agent.bpffs)
        .map_err(|problems| Failure::said(Code::InvalidConfig, problems.to_string()))
}

/// Takes the program and its bpffs objects away, without an agent; what was taken away.
pub(super) fn detach(bpffs: &Path) -> Result<Vec<String>, Failure> {
    match dataplane::detach(bpffs) {
        Ok(existed) => Ok(existed.then(|| bpffs.display().to_string()).into_iter().collect()),
        Err(error) => Err(Failure::said(Code::Failed, error.to_string())),
    }
}

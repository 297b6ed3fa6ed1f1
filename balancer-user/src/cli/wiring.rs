//! Where the command line meets the agent and the data path that it does not reach through the API.

use std::path::Path;

use super::exit::{Code, Failure};

/// Runs the agent until it is told to end.
pub(super) fn agent(_config: &Path, _force: bool) -> Result<(), Failure> {
    Err(Failure::said(Code::Failed, "the agent is not built in"))
}

/// The bpffs directory that a configuration file names.
pub(super) fn bpffs_of(_config: &Path) -> Result<std::path::PathBuf, Failure> {
    Err(Failure::said(Code::Failed, "the configuration is not built in"))
}

/// Takes the program and its bpffs objects away, without an agent; what was taken away.
pub(super) fn detach(_bpffs: &Path) -> Result<Vec<String>, Failure> {
    Err(Failure::said(Code::Failed, "the data path is not built in"))
}

//! Where the command line meets the agent and the data path that it does not reach through the API.

use std::path::{Path, PathBuf};

use super::exit::{Code, Failure};
use crate::{
    agent,
    config::{self, Problems},
    dataplane,
};

/// Runs the agent until it is told to end.
pub(super) fn agent(config: &Path, force: bool) -> Result<(), Failure> {
    agent::main(config, force).map_err(|error| match error.downcast::<Problems>() {
        Ok(problems) => invalid(&problems),
        Err(error) => Failure::said(Code::Failed, format!("{error:#}")),
    })
}

/// The bpffs directory that a configuration file names.
pub(super) fn bpffs_of(file: &Path) -> Result<PathBuf, Failure> {
    config::load(file).map(|loaded| loaded.config.agent.bpffs).map_err(|problems| invalid(&problems))
}

/// Takes the program and its bpffs objects away, without an agent; what was taken away.
pub(super) fn detach(bpffs: &Path) -> Result<Vec<String>, Failure> {
    match dataplane::detach(bpffs) {
        Ok(true) => Ok(vec![format!("XDP programs and bpffs objects in {}", bpffs.display())]),
        Ok(false) => Ok(Vec::new()),
        Err(error) => Err(Failure::said(Code::Failed, error.to_string())),
    }
}

fn invalid(problems: &Problems) -> Failure {
    Failure::said(Code::InvalidConfig, problems.to_string())
}

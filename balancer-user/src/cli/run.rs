//! `balancer run`: the agent in the foreground.

use std::path::PathBuf;

use clap::Args;

use super::{exit::Failure, wiring};
use crate::config::DEFAULT_PATH;

/// Run the agent in the foreground.
///
/// A service manager hears when it is ready. A second agent on the host is refused, and so is a foreign XDP program on an interface. When it exits or dies,
/// packets go on flowing with the last verdicts, and the next one adopts flows, pins and counters. SIGHUP does
/// what `reload` does.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Configuration file.
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,

    /// Start even if a service address carries the operator's own SSH session.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    wiring::agent(&args.config, args.force)
}

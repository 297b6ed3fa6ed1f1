//! `balancer config`: placeholder until the configuration is here.

use std::{io, io::Write};

use clap::Args;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {}

/// Runs it; the exit code.
///
/// # Errors
/// When the output cannot be written.
pub fn run(_args: &ConfigArgs, _out: &mut dyn Write, _err: &mut dyn Write) -> io::Result<u8> {
    Ok(1)
}

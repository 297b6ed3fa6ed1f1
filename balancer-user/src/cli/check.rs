//! `balancer check`: placeholder until the configuration is here.

use std::{io, io::Write};

use clap::Args;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {}

/// Runs it; the exit code.
///
/// # Errors
/// When the output cannot be written.
pub fn run(_args: &CheckArgs, _out: &mut dyn Write, _err: &mut dyn Write) -> io::Result<u8> {
    Ok(1)
}

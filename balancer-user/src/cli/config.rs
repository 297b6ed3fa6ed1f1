//! `balancer config`.

use std::io::{self, Write};

use crate::config;

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs of `config`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Print a commented file that names each key with its default
    Example,
}

/// Runs the verb; the value is the exit code.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(args: &ConfigArgs, out: &mut dyn Write) -> io::Result<u8> {
    match args.verb {
        Verb::Example => out.write_all(config::example().as_bytes())?,
    }
    Ok(0)
}

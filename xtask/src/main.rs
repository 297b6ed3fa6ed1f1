//! The project's own commands: `cargo xtask VERB`.
#![forbid(unsafe_code)]

mod bench;
mod bpf;
mod build;
mod ci;
mod demo;
mod dist;
mod doc;
mod lab;
mod lint;
mod run;
mod setup;
mod test;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's own commands")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find what building and the lab need, and install what is missing.
    Setup,
    /// Build everything in release.
    Build,
    /// Show the balancer at work on a small network of namespaces.
    Demo {
        /// Leave the network running and print commands to try.
        #[arg(long)]
        keep: bool,
    },
    /// Run the tests and print their counts.
    Test {
        /// Only tests whose name contains this; or the long form of a suite: `affinity` (what long-lived connections
        /// are promised), `flood` (ten times every table's size in forged packets), `modes` (every mode, family, protocol and place of the
        /// backends: one table), `nat` (five minutes in which every port is used again and again), `soak` (minutes of random operations, a million packets in kernel and host, the tables'
        /// proofs), `fuzz` (every fuzzer for a while).
        what: Option<String>,
        /// Seconds for each fuzzer, 60 if absent.
        #[arg(requires = "what")]
        seconds: Option<String>,
        /// A test that is skipped for want of privileges fails (also with CI=true).
        #[arg(long)]
        require_privileged: bool,
    },
    /// Drive the lab's network: `up`, `down`, `status`, `exec HOST -- COMMAND`.
    Lab {
        /// Passed on to the lab.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<OsString>,
    },
    /// Measure what a packet costs: `[FILTER] [--runs N] [--json FILE] [--compare FILE]`.
    Bench {
        /// Passed on to the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Check the format, then clippy for the host and for the BPF target.
    Lint,
    /// Build the documentation; a warning is an error.
    Doc,
    /// Put the release binary, the object inside, and its unit into dist/.
    Dist,
    /// What continuous integration runs.
    Ci,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Setup => setup::run(setup::Talk::Always),
        Verb::Build => build::run(),
        Verb::Demo { keep } => demo::run(keep),
        Verb::Test { what, seconds, .. } if what.as_deref() == Some(test::fuzz::WORD) => {
            test::fuzz::run(test::fuzz::seconds(seconds.as_deref())?)
        }
        Verb::Test { seconds: Some(word), .. } => anyhow::bail!("{word:?}: only `test fuzz` takes seconds"),
        Verb::Test { what, seconds: None, require_privileged } => {
            test::run(what.as_deref(), require_privileged)
        }
        Verb::Lab { args } => lab::run(&args),
        Verb::Bench { args } => bench::run(&args),
        Verb::Lint => lint::run(),
        Verb::Doc => doc::run(),
        Verb::Dist => dist::run(),
        Verb::Ci => ci::run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_gets_its_arguments_as_they_were_typed() {
        let typed = ["exec", "client-1", "--", "curl", "-s", "--max-time", "3", "http://[2001:db8::10]/"];
        let cli = Cli::try_parse_from(["xtask", "lab"].into_iter().chain(typed)).unwrap();
        let Verb::Lab { args } = cli.verb else { panic!("another verb") };
        assert_eq!(args, typed);
    }
}

//! The command line: `balancer NOUN VERB`, one verb a file.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use self::{
    exit::{Code, Failure},
    screen::{Format, Screen},
    ui::Ui,
};
use crate::api::{DEFAULT_SOCKET, client::Client};

mod backend;
pub mod check;
pub mod config;
mod decap;
mod detach;
mod exit;
mod explain;
mod flow;
mod parse;
mod pin;
mod progress;
mod reload;
mod run;
mod screen;
mod service;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod ui;
mod wiring;

/// Keeps each client on its backend: pins, tracks, drains.
#[derive(Debug, Parser)]
#[command(name = "balancer", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 agent unreachable, \
    5 invalid configuration, 6 timed out or cut";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The agent's socket.
    #[arg(long, global = true, value_name = "SOCKET", env = "BALANCER_API", default_value = DEFAULT_SOCKET)]
    api: PathBuf,

    /// How data is written.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,

    /// Short for `--output json`.
    #[arg(short, long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Local(Local),
    #[command(flatten)]
    Remote(Remote),
}

/// Commands that work by themselves.
#[derive(Debug, Subcommand)]
enum Local {
    Run(run::RunArgs),
    /// Validate a configuration file.
    Check(check::CheckArgs),
    /// What a configuration file may hold.
    Config(config::ConfigArgs),
    Decap(decap::DecapArgs),
}

/// Commands that ask the agent.
#[derive(Debug, Subcommand)]
enum Remote {
    Reload(reload::ReloadArgs),
    /// The agent, its interfaces, and what differs from the file.
    Status,
    Detach(detach::DetachArgs),
    /// Services: front-end addresses with their backends.
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Backends: look at them, take them in and out.
    #[command(subcommand)]
    Backend(backend::BackendCommand),
    /// Flows: the connections, each with its backend.
    #[command(subcommand)]
    Flow(flow::FlowCommand),
    /// Pins: the clients, each with its backend.
    #[command(subcommand)]
    Pin(pin::PinCommand),
    Explain(explain::ExplainArgs),
}

/// What the `balancer` binary does.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody may be left to read it; the exit code stands all the same.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Code::Usage as u8));
        }
    };
    // Not locked: the agent's log goes to stderr from its own threads.
    let (mut out, mut err) = (io::BufWriter::new(io::stdout()), io::stderr());
    let mut ui = Ui::new(&mut out, &mut err, Screen::detect(), cli.global.format());
    ExitCode::from(execute(cli, &mut ui))
}

impl Global {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// Runs one command; the exit code. What went wrong is told on `ui`.
fn execute(cli: Cli, ui: &mut Ui<'_>) -> u8 {
    let result = dispatch(cli, ui).and_then(|code| {
        ui.out.flush()?;
        Ok(code)
    });
    result.unwrap_or_else(|failure| {
        ui.complain(&failure);
        failure.code() as u8
    })
}

fn dispatch(cli: Cli, ui: &mut Ui<'_>) -> Result<u8, Failure> {
    match cli.command {
        Command::Local(Local::Run(args)) => run::run(&args).map(|()| Code::Ok as u8),
        Command::Local(Local::Check(args)) => Ok(check::run(&args, ui.out, ui.err)?),
        Command::Local(Local::Config(args)) => Ok(config::run(&args, ui.out)?),
        Command::Local(Local::Decap(args)) => {
            runtime()?.block_on(decap::run(&args, ui)).map(|()| Code::Ok as u8)
        }
        Command::Remote(command) => {
            runtime()?.block_on(ask(command, &Client::new(cli.global.api), ui)).map(|()| Code::Ok as u8)
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn ask(command: Remote, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    match command {
        Remote::Reload(args) => reload::run(&args, client, ui).await,
        Remote::Status => status::run(client, ui).await,
        Remote::Detach(args) => detach::run(&args, client, ui).await,
        Remote::Service(command) => service::run(command, client, ui).await,
        Remote::Backend(command) => backend::run(command, client, ui).await,
        Remote::Flow(command) => flow::run(command, client, ui).await,
        Remote::Pin(command) => pin::run(command, client, ui).await,
        Remote::Explain(args) => explain::run(&args, client, ui).await,
    }
}

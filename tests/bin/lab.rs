//! The lab's command: up, down, status, exec, and the demo.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use lab::{
    agent::AGENT,
    demo,
    lifecycle::{self, Claim, Extent},
    paths::{Place, Prefix},
    process, programs, servers,
    signals::Signals,
    topology::{Host, UDP_PORT, VIP_V4, VIP_V6, WEB_PORT, WS_PORT},
};

/// A network of namespaces with clients, backends and the balancer.
#[derive(Parser)]
#[command(name = "lab", version)]
struct Cli {
    /// Beginning of the names of all that the lab makes; labs with different ones live side by side.
    #[arg(long, global = true, default_value = Prefix::DEFAULT)]
    prefix: Prefix,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make the network, start the backends' servers and the agent, wait until all backends are up.
    Up {
        /// Stop after this part.
        #[arg(long, value_enum, default_value_t = Part::Agent)]
        only: Part,
    },
    /// End all programs of the lab and remove all that it made.
    Down,
    /// Which hosts and programs are there.
    Status,
    /// Run a command on a host.
    Exec {
        /// client-1 … client-4, balancer, backend-1 … backend-5.
        host: Host,
        /// The command, after `--`.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Show in under two minutes what the balancer does, and check it.
    Demo {
        /// Leave all running at the end, and say what to try.
        #[arg(long)]
        keep: bool,
    },
}

/// The parts of a lab, each with those before it.
#[derive(Clone, Copy, ValueEnum)]
enum Part {
    Network,
    Servers,
    Agent,
}

impl From<Part> for Extent {
    fn from(part: Part) -> Self {
        match part {
            Part::Network => Self::Network,
            Part::Servers => Self::Servers,
            Part::Agent => Self::Agent,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { prefix, verb } = Cli::parse();
    let place = Place::new(prefix);
    let outcome = match verb {
        Verb::Up { only } => up(&place, only.into()).await,
        Verb::Down => down(&place),
        Verb::Status => status(&place),
        Verb::Exec { host, command } => exec(&place, host, &command),
        Verb::Demo { keep } => demo::run(&place, keep).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn up(place: &Place, extent: Extent) -> Result<()> {
    let _claim = Claim::on(place)?;
    if lifecycle::exists(place) {
        bail!("the lab is there already: `lab status` shows it, `lab down` takes it away");
    }
    let mut signals = Signals::take()?;
    if let Err(error) = signals.or(lifecycle::up(place, extent)).await {
        lifecycle::down(place)?;
        return Err(error);
    }
    println!("VIP        {VIP_V4}  [{VIP_V6}]");
    println!("services   ws {WS_PORT}/tcp  udp {UDP_PORT}/udp  web {WEB_PORT}/tcp");
    println!("agent      BALANCER_API={}", place.api().display());
    println!("try        lab exec client-1 -- curl http://{VIP_V4}/");
    println!("           lab exec client-1 -- curl 'http://[{VIP_V6}]/'");
    println!("           lab exec balancer -- balancer status");
    Ok(())
}

fn down(place: &Place) -> Result<()> {
    let _claim = Claim::on(place)?;
    lifecycle::down(place)
}

fn status(place: &Place) -> Result<()> {
    if !lifecycle::exists(place) {
        println!("no lab: `lab up` makes one");
        return Ok(());
    }
    for host in Host::all() {
        let there = place.netns(host).path().exists();
        let programs = [AGENT, servers::WEB, servers::WS, servers::UDP];
        let running: Vec<_> = programs
            .iter()
            .filter_map(|program| {
                Some(format!("{program} ({})", process::running(place, host, program).ok()?.pid))
            })
            .collect();
        let state = if there { running.join("  ") } else { "missing".to_owned() };
        println!("{:<10} {:<12} {:<10} {state}", host.to_string(), host.v4(), host.v6());
    }
    Ok(())
}

/// Becomes the command: its exit code is that of `lab`.
fn exec(place: &Place, host: Host, command: &[OsString]) -> Result<()> {
    let netns = place.netns(host);
    if !netns.path().exists() {
        bail!("{host} is not there: `lab up` first");
    }
    let error = Command::new("nsenter")
        .arg(format!("--net={}", netns.path().display()))
        .arg("--")
        .args(command)
        .env("BALANCER_API", place.api())
        .env("VIP4", VIP_V4.to_string())
        .env("VIP6", VIP_V6.to_string())
        .env("PATH", path_with_balancer()?)
        .exec();
    Err(error).context("nsenter can't be started: install util-linux")
}

/// The search path with the balancer's directory in front, so that `balancer` is this build's.
fn path_with_balancer() -> Result<OsString> {
    let own = programs::balancer().ok().and_then(|program| Some(program.parent()?.to_owned()));
    let rest = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(own.into_iter().chain(env::split_paths(&rest)))?)
}

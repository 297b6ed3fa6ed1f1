//! A lab with an agent that runs with the test's own file.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lab::{
    agent::{AGENT, Balancer, Outcome},
    lifecycle::Extent,
    netns::Netns,
    network::INTERFACE,
    paths::Place,
    process::{self, Record},
    programs,
    topology::Host,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{
    file::File,
    labs::Lab,
    xdp::{self, OnInterface},
};

/// How long anything may take that is only a matter of time.
const PATIENCE: Duration = Duration::from_secs(8);

/// A lab and its balancer.
pub(crate) struct Stand {
    /// Its command line.
    pub(crate) balancer: Balancer,
    lab: Lab,
}

impl Stand {
    /// A lab with servers, and no agent yet.
    pub(crate) async fn make(prefix: &str) -> Result<Self> {
        let lab = Lab::up(prefix, Extent::Servers).await?;
        Ok(Self { balancer: Balancer::of(&lab.place)?, lab })
    }

    /// A lab with servers, and an agent with this file; all its backends are up.
    pub(crate) async fn up(prefix: &str, file: impl FnOnce(&Place) -> File) -> Result<Self> {
        let stand = Self::make(prefix).await?;
        stand.write(&file(stand.place()))?;
        stand.start().await?;
        stand.all_up().await?;
        Ok(stand)
    }

    /// Where the lab is.
    pub(crate) fn place(&self) -> &Place {
        &self.lab.place
    }

    /// The balancer's namespace.
    pub(crate) fn netns(&self) -> Netns {
        self.place().netns(Host::Balancer)
    }

    /// Writes the agent's file, whatever it is.
    pub(crate) fn write(&self, file: &impl ToString) -> Result<()> {
        let path = self.place().config();
        fs::write(&path, file.to_string()).with_context(|| path.display().to_string())
    }

    /// Starts the agent and waits until it answers.
    pub(crate) async fn start(&self) -> Result<Record> {
        let agent = self.balancer.start()?;
        self.balancer.await_ready().await?;
        Ok(agent)
    }

    /// `balancer run` with further words, in the balancer's namespace.
    pub(crate) fn run_command(&self, words: &[&str]) -> Result<Command> {
        self.run_with(self.place().config(), words)
    }

    /// As [`Self::run_command`], with another file.
    pub(crate) fn run_with(&self, file: PathBuf, words: &[&str]) -> Result<Command> {
        let mut command = self.netns().command(&programs::balancer()?.to_string_lossy());
        command.arg("run").arg("-c").arg(file).args(words);
        Ok(command)
    }

    /// Starts this command as the agent and waits until it answers.
    pub(crate) async fn start_as(&self, command: Command) -> Result<Record> {
        let agent = process::start(self.place(), Host::Balancer, AGENT, command)?;
        self.balancer.await_ready().await?;
        Ok(agent)
    }

    /// The agent that runs.
    pub(crate) fn agent(&self) -> Result<Record> {
        process::running(self.place(), Host::Balancer, AGENT)
    }

    /// Sends the agent a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.agent()?.pid).context("no pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Ends the agent in order.
    pub(crate) async fn stop(&self) -> Result<()> {
        let agent = self.agent()?;
        self.signal(Signal::TERM)?;
        until("the agent ends", async || Ok(!agent.alive())).await
    }

    /// The program on the balancer's interface.
    pub(crate) fn xdp(&self) -> Result<Option<OnInterface>> {
        xdp::on(&self.netns(), INTERFACE)
    }

    /// Neither a program nor a bpffs object of ours is there.
    pub(crate) fn nothing_left(&self) -> Result<()> {
        let (xdp, objects) = (self.xdp()?, xdp::objects(self.place())?);
        ensure!(xdp.is_none(), "a program is left on {INTERFACE}: {xdp:?}");
        ensure!(objects.is_empty(), "bpffs objects are left: {objects:?}");
        Ok(())
    }

    /// A field of a backend's row.
    pub(crate) async fn field(&self, service: &str, backend: &str, field: &str) -> Result<Value> {
        let mut row = self.row(service, backend).await?.with_context(|| format!("no backend {backend}"))?;
        Ok(row[field].take())
    }

    /// A row of `backend list`.
    pub(crate) async fn row(&self, service: &str, backend: &str) -> Result<Option<Value>> {
        let rows = self.rows(service).await?;
        Ok(rows.into_iter().find(|row| row["name"] == backend))
    }

    /// `backend list`.
    pub(crate) async fn rows(&self, service: &str) -> Result<Vec<Value>> {
        let mut document = self.balancer.json(&["backend", "list", service]).await?;
        match document["backends"].take() {
            Value::Array(rows) => Ok(rows),
            other => bail!("backends of {service} are no list: {other}"),
        }
    }

    /// Waits until a backend's row has this value.
    pub(crate) async fn becomes(&self, service: &str, backend: &str, field: &str, value: &str) -> Result<()> {
        until(&format!("{field} of {backend} becomes {value}"), async || {
            Ok(self.field(service, backend, field).await? == value)
        })
        .await
    }

    /// Waits until every backend of every service is up.
    pub(crate) async fn all_up(&self) -> Result<()> {
        let outcome = until("all backends are up", async || {
            let mut services = self.balancer.json(&["service", "list"]).await?;
            let Value::Array(services) = services["services"].take() else { bail!("no list of services") };
            Ok(services.iter().all(|service| service["ready_backends"] == service["backends"]))
        });
        outcome.await.with_context(|| self.balancer.log_tail())
    }
}

/// Runs a command that must end by itself.
pub(crate) async fn outcome(mut command: Command) -> Result<Outcome> {
    command.stdin(std::process::Stdio::null());
    let mut command = tokio::process::Command::from(command);
    let output = timeout(PATIENCE, command.kill_on_drop(true).output());
    let output = output.await.context("it goes on, and should have ended with an error")??;
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok(Outcome { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// It ended with this exit code, and said all of these on stderr.
pub(crate) fn refused(outcome: &Outcome, code: i32, words: &[&str]) -> Result<()> {
    ensure!(outcome.status.code() == Some(code), "not exit code {code}: {outcome:?}");
    for word in words {
        ensure!(outcome.stderr.contains(word), "not a word of {word:?}: {outcome:?}");
    }
    Ok(())
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let outcome = holds().await;
        match outcome {
            Ok(true) => return Ok(()),
            outcome if Instant::now() > give_up => {
                let why = outcome.err().map(|error| format!(": {error:#}")).unwrap_or_default();
                bail!("it does not come about within {PATIENCE:?} that {what}{why}");
            }
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

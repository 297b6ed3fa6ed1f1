//! The balancer under test: its agent in the lab, and its command line.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::{process::Command, time::sleep};

use crate::{
    config::Service,
    paths::Place,
    process::{self, Record},
    programs,
    topology::{Host, vip_for},
};

/// Name of the agent among the balancer host's programs.
pub const AGENT: &str = "agent";
/// How long the agent may take from its start until its API answers.
const START: Duration = Duration::from_secs(15);
/// How long checks may take until all configured backends are up.
const ALL_UP: Duration = Duration::from_secs(10);

/// The balancer of one lab.
#[derive(Clone, Debug)]
pub struct Balancer {
    place: Place,
    program: PathBuf,
}

impl Balancer {
    /// The balancer of the lab at `place`.
    ///
    /// # Errors
    /// When the binary can't be found.
    pub fn of(place: &Place) -> Result<Self> {
        Ok(Self { place: place.clone(), program: programs::balancer()? })
    }

    /// Starts the agent, and does not wait.
    ///
    /// # Errors
    /// When it runs already or can't be started.
    pub fn start(&self) -> Result<Record> {
        let mut command = self.place.netns(Host::Balancer).command(&self.program.to_string_lossy());
        command.arg("run").arg("-c").arg(self.place.config());
        process::start(&self.place, Host::Balancer, AGENT, command)
    }

    /// Waits until the API answers.
    ///
    /// # Errors
    /// When the agent ends, or does not answer in time; with the end of its log.
    pub async fn await_ready(&self) -> Result<()> {
        self.wait(START, "the agent's API does not answer", async || {
            self.json(&["status"]).await.map(|_| true)
        })
        .await
    }

    /// Waits until every backend of every service is up.
    ///
    /// # Errors
    /// When that takes too long; with the end of the agent's log.
    pub async fn await_all_up(&self) -> Result<()> {
        self.wait(ALL_UP, "not all backends came up", async || {
            for service in Service::ALL {
                if !self.backends(service).await?.iter().all(|backend| backend.health == "up") {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    /// Waits until one backend of a service has this health.
    ///
    /// # Errors
    /// As [`Self::await_all_up`].
    pub async fn await_health(&self, service: Service, name: &str, health: &str) -> Result<()> {
        let complaint = format!("backend {name} of {} did not become {health}", service.name());
        self.wait(ALL_UP, &complaint, async || {
            let backends = self.backends(service).await?;
            Ok(backends.iter().any(|backend| backend.name == name && backend.health == health))
        })
        .await
    }

    async fn wait(
        &self,
        patience: Duration,
        complaint: &str,
        holds: impl AsyncFn() -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let outcome = holds().await;
            if matches!(outcome, Ok(true)) {
                return Ok(());
            }
            let dead = process::running(&self.place, Host::Balancer, AGENT).is_err();
            if dead || Instant::now() > deadline {
                let why = outcome.err().map(|error| format!(": {error:#}")).unwrap_or_default();
                bail!("{complaint}{why}\n{}", self.log_tail());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The last lines of the agent's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let path = self.place.log(Host::Balancer, AGENT);
        let log = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        format!("the end of the agent's log ({}):\n{tail}", path.display())
    }

    /// Kills the agent with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<()> {
        process::running(&self.place, Host::Balancer, AGENT)?.kill()
    }

    /// A `balancer` command that will talk to this lab's agent.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env("BALANCER_API", self.place.api()).stdin(Stdio::null()).process_group(0);
        command.kill_on_drop(true);
        command
    }

    /// Runs a `balancer` command to its end, whatever that is.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn outcome(&self, args: &[&str]) -> Result<Outcome> {
        let output = self.command(args).output().await?;
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(Outcome { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs a `balancer` command that must succeed.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let Outcome { status, stdout, stderr } = self.outcome(args).await?;
        if !status.success() {
            bail!("balancer {} failed ({status}): {stderr}", args.join(" "));
        }
        Ok(stdout)
    }

    /// Runs a `balancer` command with `-j` and reads its document.
    ///
    /// # Errors
    /// When it fails, or writes something else than a JSON document of schema 1.
    pub async fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.run(&[args, &["-j"]].concat()).await?;
        let document: Value = serde_json::from_str(&text)
            .with_context(|| format!("balancer {args:?} wrote no JSON: {text}"))?;
        if document["schema"] != 1 {
            bail!("balancer {args:?}: schema is {}, not 1", document["schema"]);
        }
        Ok(document)
    }

    /// `backend list SERVICE`.
    ///
    /// # Errors
    /// As [`Self::json`], or when the document lacks a field.
    pub async fn backends(&self, service: Service) -> Result<Vec<Backend>> {
        let mut document = self.json(&["backend", "list", service.name()]).await?;
        serde_json::from_value(document["backends"].take())
            .with_context(|| format!("backend list {} is not what is documented", service.name()))
    }

    /// `explain` for one client of a service.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub async fn explain(&self, client: IpAddr, service: Service) -> Result<Explained> {
        let vip = SocketAddr::new(vip_for(client), service.port());
        let document =
            self.json(&["explain", &client.to_string(), &format!("{vip}/{}", service.proto())]).await?;
        serde_json::from_value(document).context("explain is not what is documented")
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code or signal.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// A row of `backend list`.
#[derive(Clone, Debug, Deserialize)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// What the operator wants.
    pub admin: String,
    /// What its checks say.
    pub health: String,
    /// Live flows.
    pub flows: u64,
    /// Share of the service's live flows, 0 to 1.
    pub share: f64,
    /// Pins that name it.
    pub pins: u64,
}

/// What `explain` says of a client.
#[derive(Clone, Debug, Deserialize)]
pub struct Explained {
    /// Backend that a connection of this client would reach now.
    pub backend: Option<String>,
    /// Backend that the current Maglev table alone would choose.
    pub maglev_backend: Option<String>,
}

//! All clients of one kind, on all client hosts, and where each of them is at home.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    config::Service,
    paths::Place,
    programs,
    topology::{Host, VIP_V4, VIP_V6, client_host_of},
    wire::{Ask, ProbeReport, Reply, Report},
};

/// What the clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WebSocket, to service `ws`.
    Ws,
    /// UDP, to service `udp`.
    Udp,
}

impl Kind {
    /// The service that they use.
    #[must_use]
    pub const fn service(self) -> Service {
        match self {
            Self::Ws => Service::Ws,
            Self::Udp => Service::Udp,
        }
    }

    const fn subcommand(self) -> &'static str {
        match self {
            Self::Ws => "ws-clients",
            Self::Udp => "udp-clients",
        }
    }
}

/// The clients of one kind.
#[derive(Debug)]
pub struct Crowd {
    /// What they speak.
    pub kind: Kind,
    /// The backend that each client's state is on.
    pub home: BTreeMap<IpAddr, String>,
    hosts: BTreeMap<u8, ClientHost>,
}

impl Crowd {
    /// Starts the client programs; they talk to the service addresses.
    ///
    /// # Errors
    /// When a program can't be started.
    pub fn start(place: &Place, kind: Kind) -> Result<Self> {
        let port = kind.service().port();
        Self::start_towards(place, kind, (VIP_V4, port).into(), (VIP_V6, port).into())
    }

    /// Starts the client programs; they talk to these addresses.
    ///
    /// # Errors
    /// When a program can't be started.
    pub fn start_towards(place: &Place, kind: Kind, v4: SocketAddr, v6: SocketAddr) -> Result<Self> {
        let mut hosts = BTreeMap::new();
        for host in Host::clients() {
            let Host::Client(number) = host else { continue };
            hosts.insert(number, ClientHost::start(place, host, kind, v4, v6)?);
        }
        Ok(Self { kind, home: BTreeMap::new(), hosts })
    }

    /// The clients whose state is on `backend`.
    #[must_use]
    pub fn at(&self, backend: &str) -> Vec<IpAddr> {
        self.home.iter().filter(|(_, home)| *home == backend).map(|(source, _)| *source).collect()
    }

    /// All clients.
    #[must_use]
    pub fn everyone(&self) -> Vec<IpAddr> {
        self.home.keys().copied().collect()
    }

    /// Begins a session from each source; where it lands is its client's home.
    ///
    /// # Errors
    /// When the clients can't be reached; a session that fails is in its report.
    pub async fn open(&mut self, sources: Vec<IpAddr>) -> Result<Vec<Report>> {
        let reports = self.each(sources, |sources| Ask::Open { sources }).await?;
        self.settle(&reports);
        Ok(reports)
    }

    /// Ends these clients' sessions and begins anew; their homes stay in the books.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn reconnect(&mut self, sources: Vec<IpAddr>) -> Result<Vec<Report>> {
        self.each(sources, |sources| Ask::Reconnect { sources }).await
    }

    /// One more connection of each client, beside its session.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn try_once(&mut self, sources: Vec<IpAddr>) -> Result<Vec<Report>> {
        self.each(sources, |sources| Ask::Try { sources }).await
    }

    /// Gives these sessions up and tries new connections until one answers.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn retry(&mut self, sources: Vec<IpAddr>, for_ms: u64) -> Result<Vec<Report>> {
        self.each(sources, |sources| Ask::Retry { sources, for_ms }).await
    }

    /// Ends these sessions.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn close(&mut self, sources: Vec<IpAddr>) -> Result<Vec<Report>> {
        self.each(sources, |sources| Ask::Close { sources }).await
    }

    /// How all sessions are.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn status(&mut self) -> Result<Vec<Report>> {
        let asked = self.hosts.values_mut().map(|host| host.ask(Ask::Status));
        Ok(try_join_all(asked).await?.into_iter().flat_map(|reply| reply.clients).collect())
    }

    /// Begins a steady series of new connections on the client host of `sources`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn probe_start(&mut self, sources: Vec<IpAddr>, every_ms: u64) -> Result<()> {
        self.each(sources, |sources| Ask::ProbeStart { sources, every_ms }).await.map(drop)
    }

    /// Ends the series on this client host.
    ///
    /// # Errors
    /// As [`Self::open`], or when none was begun there.
    pub async fn probe_stop(&mut self, host: u8) -> Result<ProbeReport> {
        let host = self.hosts.get_mut(&host).context("no such client host")?;
        host.ask(Ask::ProbeStop).await?.probe.context("no series of connections was begun")
    }

    /// Lets the clients go on with their sessions when this process ends.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn stay(mut self) -> Result<()> {
        for host in self.hosts.values_mut() {
            host.ask(Ask::Stay).await?;
        }
        // Dropped, they would be ended.
        self.hosts.into_values().for_each(std::mem::forget);
        Ok(())
    }

    /// Makes where these clients are now their home.
    pub fn settle(&mut self, reports: &[Report]) {
        for report in reports {
            if let Some(backend) = &report.backend {
                self.home.insert(report.source, backend.clone());
            }
        }
    }

    /// Those of the reports that are not from their client's home.
    #[must_use]
    pub fn strays<'a>(&self, reports: &'a [Report]) -> Vec<&'a Report> {
        reports.iter().filter(|report| report.backend.as_ref() != self.home.get(&report.source)).collect()
    }

    async fn each(&mut self, sources: Vec<IpAddr>, ask: impl Fn(Vec<IpAddr>) -> Ask) -> Result<Vec<Report>> {
        let mut by_host: BTreeMap<u8, Vec<IpAddr>> = BTreeMap::new();
        for source in sources {
            let host = client_host_of(source).with_context(|| format!("{source} is no client's address"))?;
            by_host.entry(host).or_default().push(source);
        }
        let asked = self
            .hosts
            .iter_mut()
            .filter_map(|(number, host)| by_host.remove(number).map(|sources| host.ask(ask(sources))));
        Ok(try_join_all(asked).await?.into_iter().flat_map(|reply| reply.clients).collect())
    }
}

/// The client program of one host.
#[derive(Debug)]
struct ClientHost {
    host: Host,
    /// Ends with this value.
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl ClientHost {
    fn start(place: &Place, host: Host, kind: Kind, v4: SocketAddr, v6: SocketAddr) -> Result<Self> {
        let mut command = place.netns(host).command(&programs::lab_node()?.to_string_lossy());
        command.args([kind.subcommand(), "--v4", &v4.to_string(), "--v6", &v6.to_string()]);
        let mut child = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("the clients of {host} can't be started"))?;
        let stdin = child.stdin.take().context("no pipe to the clients")?;
        let stdout = child.stdout.take().context("no pipe from the clients")?;
        Ok(Self { host, _child: child, stdin, stdout: BufReader::new(stdout).lines() })
    }

    async fn ask(&mut self, ask: Ask) -> Result<Reply> {
        let mut line = serde_json::to_vec(&ask)?;
        line.push(b'\n');
        let ended = || format!("the clients of {} have ended", self.host);
        self.stdin.write_all(&line).await.with_context(ended)?;
        let answer = self.stdout.next_line().await?.with_context(ended)?;
        let reply: Reply = serde_json::from_str(&answer)?;
        if let Some(error) = reply.error {
            bail!("the clients of {} do not understand: {error}", self.host);
        }
        Ok(reply)
    }
}

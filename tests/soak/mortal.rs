//! A program with some clients in it, which is there to be killed.

use std::{net::IpAddr, process::Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    paths::Place,
    programs,
    topology::{Host, LINES_PORT, VIP_V4, VIP_V6},
    wire::{Ask, Reply, Report},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The program, and where its sessions are.
pub(crate) struct Mortal {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    sessions: Vec<(IpAddr, String)>,
}

impl Mortal {
    /// Starts it on a client host, with a session of each of these clients of that host.
    pub(crate) async fn start(place: &Place, host: Host, sources: Vec<IpAddr>) -> Result<Self> {
        let mut command = place.netns(host).command(&programs::lab_node()?.to_string_lossy());
        let (v4, v6) = (format!("{VIP_V4}:{LINES_PORT}"), format!("[{VIP_V6}]:{LINES_PORT}"));
        command.args(["lines-clients", "--v4", &v4, "--v6", &v6]);
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("the clients of {host} can't be started"))?;
        let stdin = child.stdin.take().context("no pipe to the clients")?;
        let stdout = child.stdout.take().context("no pipe from the clients")?;
        let stdout = BufReader::new(stdout).lines();
        let mut mortal = Self { child, stdin, stdout, sessions: Vec::new() };
        for Report { source, backend, lost, .. } in mortal.ask(Ask::Open { sources }).await? {
            let Some(backend) = backend else { bail!("{source} is not served: {lost:?}") };
            mortal.sessions.push((source, backend));
        }
        Ok(mortal)
    }

    /// Its clients, with the backends that their sessions are on.
    pub(crate) fn sessions(&self) -> &[(IpAddr, String)] {
        &self.sessions
    }

    /// Whether it has this client.
    pub(crate) fn has(&self, source: IpAddr) -> bool {
        self.sessions.iter().any(|(own, _)| *own == source)
    }

    /// Its clients at a backend.
    pub(crate) fn at(&self, backend: &str) -> Vec<IpAddr> {
        self.sessions.iter().filter(|(_, at)| at == backend).map(|(source, _)| *source).collect()
    }

    /// None of its sessions is broken; each talks once a second by itself.
    pub(crate) async fn unharmed(&mut self) -> Result<()> {
        for Report { source, lost, .. } in self.ask(Ask::Status).await? {
            if let (true, Some(lost)) = (self.has(source), lost) {
                bail!("the session of {source} is broken: {lost}");
            }
        }
        Ok(())
    }

    /// Whether every session with this backend is broken.
    pub(crate) async fn all_lost_at(&mut self, backend: &str) -> Result<bool> {
        let reports = self.ask(Ask::Status).await?;
        let theirs = self.at(backend);
        Ok(reports.iter().all(|report| report.lost.is_some() || !theirs.contains(&report.source)))
    }

    /// Those with this backend are no longer in the books.
    pub(crate) fn forget(&mut self, backend: &str) {
        self.sessions.retain(|(_, at)| at != backend);
    }

    /// Kills it: its kernel ends its connections, in whatever state they are.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    async fn ask(&mut self, ask: Ask) -> Result<Vec<Report>> {
        let mut line = serde_json::to_vec(&ask)?;
        line.push(b'\n');
        self.stdin.write_all(&line).await.context("the clients have ended")?;
        let answer = self.stdout.next_line().await?.context("the clients have ended")?;
        let Reply { clients, probe: _, error } = serde_json::from_str(&answer)?;
        ensure!(error.is_none(), "the clients do not understand: {error:?}");
        Ok(clients)
    }
}

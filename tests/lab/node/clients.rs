//! The clients of one host: told what to do line by line on stdin, answering line by line on stdout.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout},
    task::JoinSet,
};

use super::{
    probe::Probe,
    session::{self, Session},
    talk::{self, Failure, Talk},
};
use crate::wire::{Ask, Reply, Report};

/// How long a new connection may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the clients go: the service, by family.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    /// For v4 clients.
    pub v4: SocketAddr,
    /// For v6 clients.
    pub v6: SocketAddr,
}

impl Targets {
    const fn of(self, source: IpAddr) -> SocketAddr {
        match source {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }
}

/// Does what stdin says until it ends, or for ever after [`Ask::Stay`].
///
/// # Errors
/// When stdin or stdout breaks.
pub async fn obey<T: Talk>(targets: Targets) -> Result<()> {
    let mut clients = Clients { targets, sessions: BTreeMap::new(), probe: None, stay: false };
    let mut lines = BufReader::new(stdin()).lines();
    let mut out = stdout();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line) {
            Ok(ask) => clients.answer::<T>(ask).await,
            Err(error) => Reply { error: Some(error.to_string()), ..Reply::default() },
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        out.write_all(&text).await?;
        out.flush().await?;
    }
    if clients.stay {
        std::future::pending::<()>().await;
    }
    Ok(())
}

struct Clients {
    targets: Targets,
    sessions: BTreeMap<IpAddr, Session>,
    probe: Option<Probe>,
    stay: bool,
}

impl Clients {
    async fn answer<T: Talk>(&mut self, ask: Ask) -> Reply {
        let clients = match ask {
            Ask::Open { sources } => self.open::<T>(sources).await,
            Ask::Reconnect { sources } => {
                self.close(&sources).await;
                self.open::<T>(sources).await
            }
            Ask::Try { sources } => self.try_once::<T>(sources).await,
            Ask::Retry { sources, for_ms } => self.retry::<T>(sources, Duration::from_millis(for_ms)).await,
            Ask::Close { sources } => self.close(&sources).await,
            Ask::Status => self.sessions.values().map(Session::report).collect(),
            Ask::ProbeStart { sources, every_ms } => {
                let clients = sources.into_iter().map(|source| (source, self.targets.of(source))).collect();
                self.probe = Some(Probe::start::<T>(clients, Duration::from_millis(every_ms)));
                Vec::new()
            }
            Ask::Stay => {
                self.stay = true;
                Vec::new()
            }
            Ask::ProbeStop => {
                let probe = match self.probe.take() {
                    Some(probe) => Some(probe.stop().await),
                    None => None,
                };
                return Reply { probe, ..Reply::default() };
            }
        };
        Reply { clients, ..Reply::default() }
    }

    async fn open<T: Talk>(&mut self, sources: Vec<IpAddr>) -> Vec<Report> {
        self.begin(sources, |source, target| Session::open::<T>(source, target, PATIENCE)).await
    }

    async fn retry<T: Talk>(&mut self, sources: Vec<IpAddr>, patience: Duration) -> Vec<Report> {
        for source in &sources {
            if let Some(session) = self.sessions.remove(source) {
                session.abandon();
            }
        }
        self.begin(sources, |source, target| session::retry::<T>(source, target, patience)).await
    }

    /// Begins a session for each source, all at once, and keeps those that came about.
    async fn begin<F>(&mut self, sources: Vec<IpAddr>, how: impl Fn(IpAddr, SocketAddr) -> F) -> Vec<Report>
    where
        F: Future<Output = Result<Session, Failure>> + Send + 'static,
    {
        let mut attempts = JoinSet::new();
        for source in sources {
            let attempt = how(source, self.targets.of(source));
            let begun = Instant::now();
            attempts.spawn(async move {
                let outcome = attempt.await;
                (source, begun.elapsed(), outcome)
            });
        }
        let mut reports = Vec::new();
        for (source, took, outcome) in attempts.join_all().await {
            reports.push(match outcome {
                Ok(session) => {
                    let report = Report { millis: session::millis(took), ..session.report() };
                    self.sessions.insert(source, session);
                    report
                }
                Err(failure) => session::failed(source, &failure, took),
            });
        }
        reports
    }

    async fn try_once<T: Talk>(&self, sources: Vec<IpAddr>) -> Vec<Report> {
        let mut attempts = JoinSet::new();
        for source in sources {
            let target = self.targets.of(source);
            attempts.spawn(async move {
                let begun = Instant::now();
                match talk::open::<T>(source, target, PATIENCE).await {
                    Ok((talk, answer)) => {
                        let report = session::answered(source, talk.port(), &answer, begun.elapsed());
                        talk::close(talk).await;
                        report
                    }
                    Err(failure) => session::failed(source, &failure, begun.elapsed()),
                }
            });
        }
        attempts.join_all().await
    }

    async fn close(&mut self, sources: &[IpAddr]) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut endings = JoinSet::new();
        for source in sources {
            if let Some(session) = self.sessions.remove(source) {
                reports.push(session.report());
                endings.spawn(session.close());
            }
        }
        endings.join_all().await;
        reports
    }
}

//! What the test knows by itself: who is connected to whom, who is pinned where, and what each backend may do.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::topology::Host;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::{
    clients::{self, Client},
    mortal::Mortal,
    stand::{SERVICE, Setup, Stand, until},
};

/// How long an answer or a connection may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// The backend that comes and goes.
pub(crate) const GUEST: Host = Host::Backend(5);

/// Flows whose client was reset do not stay for long; checks are quick.
const SETUP: Setup = Setup {
    entries: 16_384,
    backends: 4,
    service: "timeouts = { syn = \"8s\", closing = \"4s\", established = \"8s\" }",
    health: "interval = \"250ms\"\ntimeout = \"240ms\"\nrise = 1\nfall = 3",
};

/// What a backend may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything.
    Ready,
    /// It keeps what it has.
    Drained,
    /// Its link is down.
    Cut,
    /// It is deleted and keeps what it has.
    Leaving,
    /// There is no such backend.
    Absent,
}

/// The lab, and what must be true of it.
pub(crate) struct World {
    /// The lab and its balancer.
    pub(crate) stand: Stand,
    /// What decides.
    pub(crate) random: StdRng,
    /// Sessions of this process.
    pub(crate) sessions: Vec<Client>,
    /// Client programs with sessions of their own.
    pub(crate) mortals: Vec<Mortal>,
    /// Where each client that was there must come to when he returns.
    pub(crate) pins: BTreeMap<IpAddr, String>,
    /// What each backend may do.
    pub(crate) states: BTreeMap<Host, State>,
    /// Number of the next client that was never there.
    pub(crate) next: u32,
    /// What was done, in order.
    pub(crate) story: Vec<String>,
}

impl World {
    /// Brings the lab up.
    pub(crate) async fn make(seed: u64) -> Result<Self> {
        let stand = Stand::up("bs-soak-", SETUP).await?;
        let state = |host| (host, if host == GUEST { State::Absent } else { State::Ready });
        Ok(Self {
            stand,
            random: StdRng::seed_from_u64(seed),
            sessions: Vec::new(),
            mortals: Vec::new(),
            pins: BTreeMap::new(),
            states: Host::backends().map(state).collect(),
            next: 0,
            story: Vec::new(),
        })
    }

    /// Backends in this state.
    pub(crate) fn in_state(&self, state: State) -> Vec<Host> {
        self.states.iter().filter(|(_, is)| **is == state).map(|(host, _)| *host).collect()
    }

    /// One of these, at random.
    pub(crate) fn pick(&mut self, hosts: &[Host]) -> Result<Host> {
        ensure!(!hosts.is_empty(), "none to pick from");
        Ok(hosts[self.random.random_range(0..hosts.len())])
    }

    fn takes_newcomers(&self, backend: &str) -> bool {
        self.states.iter().any(|(host, state)| *state == State::Ready && host.to_string() == backend)
    }

    /// A client has come to this backend: whether he had to, or may.
    pub(crate) fn placed(&mut self, source: IpAddr, backend: &str) -> Result<()> {
        if let Some(pinned) = self.pins.get(&source)
            && self.takes_newcomers(pinned)
            && pinned != backend
        {
            bail!("{source} is pinned to {pinned}, and reached {backend}");
        }
        ensure!(self.takes_newcomers(backend), "{source} reached {backend}, which takes nobody");
        self.pins.insert(source, backend.to_owned());
        Ok(())
    }

    /// Sessions from these clients, each of them where it belongs.
    pub(crate) async fn open(&mut self, sources: &[IpAddr]) -> Result<()> {
        for client in clients::open_all(self.stand.place(), sources, PATIENCE).await? {
            self.placed(client.source, &client.backend)?;
            self.sessions.push(client);
        }
        Ok(())
    }

    /// Addresses of clients that were never there.
    pub(crate) fn newcomers(&mut self, count: u32) -> Vec<IpAddr> {
        self.next += count;
        (self.next - count..self.next).map(clients::address).collect()
    }

    /// Clients that were there, and are not.
    pub(crate) fn absent(&self) -> Vec<IpAddr> {
        let here: BTreeSet<IpAddr> = self.sessions.iter().map(|session| session.source).collect();
        let there = |source| self.mortals.iter().any(|mortal| mortal.has(source));
        self.pins.keys().copied().filter(|source| !here.contains(source) && !there(*source)).collect()
    }

    /// So many sessions at random, which are no longer in the books.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Client> {
        self.sessions.shuffle(&mut self.random);
        let rest = self.sessions.len().saturating_sub(count);
        self.sessions.split_off(rest)
    }

    /// Every session exchanges a message: the same backend answers, with the same state.
    pub(crate) async fn beat(&mut self) -> Result<()> {
        let broken = clients::exchange_all(&mut self.sessions, PATIENCE).await;
        ensure!(broken.is_empty(), "{} sessions are broken: {:#}", broken.len(), broken[0]);
        for mortal in &mut self.mortals {
            mortal.unharmed().await?;
        }
        Ok(())
    }

    /// Sessions by backend, those of the client programs too.
    pub(crate) fn count(&self, backend: Host) -> usize {
        let name = backend.to_string();
        let own = self.sessions.iter().filter(|session| session.backend == name).count();
        own + self.mortals.iter().map(|mortal| mortal.at(&name).len()).sum::<usize>()
    }

    /// Waits until the agent sees every backend as it is.
    pub(crate) async fn settled(&self) -> Result<()> {
        until("the agent sees every backend as it is", async || {
            let document = self.stand.balancer.json(&["backend", "list", SERVICE]).await?;
            let rows = document["backends"].as_array().context("no list of backends")?;
            Ok(self.states.iter().all(|(host, state)| {
                let row = rows.iter().find(|row| row["name"] == host.to_string());
                match (state, row) {
                    (State::Absent | State::Leaving, _) => true,
                    (_, None) => false,
                    (State::Ready, Some(row)) => row["admin"] == "ready" && row["health"] == "up",
                    (State::Drained, Some(row)) => row["admin"] == "drain" && row["health"] == "up",
                    (State::Cut, Some(row)) => row["health"] == "down",
                }
            }))
        })
        .await
    }
}

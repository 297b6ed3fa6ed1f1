//! Operations that take something away: links, backends, the agent.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{agent::AGENT, process, servers, topology::Host};
use rand::RngExt as _;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::{
    clients,
    stand::{SERVICE, until},
    world::{GUEST, PATIENCE, State, World},
};

impl World {
    /// The link of a client host is down for a moment: nobody loses anything.
    pub(crate) async fn blink(&mut self) -> Result<()> {
        let host = Host::Client(self.random.random_range(1..=3));
        self.link(host, "down")?;
        sleep(Duration::from_millis(self.random.random_range(50..500))).await;
        self.link(host, "up")?;
        self.beat().await
    }

    fn link(&self, host: Host, state: &str) -> Result<()> {
        self.stand.place().switch().ip(&format!("link set dev {host} {state}\n"))
    }

    /// The link of a backend goes down: who was there is reset by another one, and comes back elsewhere.
    pub(crate) async fn cut(&mut self) -> Result<()> {
        let candidates: Vec<_> =
            self.in_state(State::Ready).into_iter().filter(|host| *host != GUEST).collect();
        let backend = self.pick(&candidates)?;
        self.link(backend, "down")?;
        self.states.insert(backend, State::Cut);
        self.settled().await?;
        self.lost_at(backend).await
    }

    /// The link comes back, and the backend with it.
    pub(crate) async fn restore(&mut self) -> Result<()> {
        let backend = self.pick(&self.in_state(State::Cut))?;
        self.link(backend, "up")?;
        self.states.insert(backend, State::Ready);
        self.settled().await
    }

    /// Every session with a backend is over, and with the next packet its client hears of it.
    async fn lost_at(&mut self, backend: Host) -> Result<()> {
        let name = backend.to_string();
        let (mut lost, rest) =
            std::mem::take(&mut self.sessions).into_iter().partition::<Vec<_>, _>(|it| it.backend == name);
        self.sessions = rest;
        let broken = clients::exchange_all(&mut lost, PATIENCE).await;
        ensure!(broken.len() == lost.len(), "{} of {} sessions hear of it", broken.len(), lost.len());
        let silent: Vec<_> =
            broken.iter().filter(|error| format!("{error:#}").contains("no answer")).collect();
        ensure!(silent.is_empty(), "{} clients are left in silence: {:#}", silent.len(), silent[0]);
        for source in lost.iter().map(|session| session.source) {
            // Where his pin went with that packet is not for this test to know.
            self.pins.remove(&source);
        }
        for mortal in &mut self.mortals {
            let give_up = std::time::Instant::now() + PATIENCE;
            while !mortal.all_lost_at(&name).await? {
                ensure!(std::time::Instant::now() < give_up, "a client program hears nothing of {name}");
                sleep(Duration::from_millis(100)).await;
            }
            mortal.at(&name).iter().for_each(|source| drop(self.pins.remove(source)));
            mortal.forget(&name);
        }
        self.reboot(backend)
    }

    /// Its sockets of those sessions are gone, as after a reboot.
    fn reboot(&self, backend: Host) -> Result<()> {
        process::running(self.stand.place(), backend, servers::LINES)?.kill()?;
        servers::start_lines(self.stand.place(), backend)
    }

    /// The guest is added.
    pub(crate) async fn add(&mut self) -> Result<()> {
        let addresses = [GUEST.v4().to_string(), GUEST.v6().to_string()];
        self.stand.verb("add", GUEST, &[&addresses[0], &addresses[1]]).await?;
        self.states.insert(GUEST, State::Ready);
        self.settled().await
    }

    /// The guest is deleted, and keeps what it has.
    pub(crate) async fn delete(&mut self) -> Result<()> {
        self.stand.verb("del", GUEST, &[]).await?;
        self.states.insert(GUEST, State::Leaving);
        self.forget_pins(GUEST);
        Ok(())
    }

    /// The guest is deleted at once: its sessions are over.
    pub(crate) async fn delete_now(&mut self) -> Result<()> {
        self.stand.verb("del", GUEST, &["--now"]).await?;
        self.states.insert(GUEST, State::Absent);
        self.forget_pins(GUEST);
        self.lost_at(GUEST).await
    }

    /// Whether a pin to one that is deleted speaks again when it is added anew is not promised.
    fn forget_pins(&mut self, backend: Host) {
        let name = backend.to_string();
        self.pins.retain(|_, pinned| *pinned != name);
    }

    /// Looks whether the guest that was leaving has gone.
    pub(crate) async fn look_after_guest(&mut self) -> Result<()> {
        if self.states[&GUEST] == State::Leaving && !self.listed().await?.contains_key(&GUEST) {
            ensure!(self.count(GUEST) == 0, "{GUEST} is gone with {} sessions", self.count(GUEST));
            self.states.insert(GUEST, State::Absent);
        }
        Ok(())
    }

    /// Live flows of each backend that the agent lists.
    pub(crate) async fn listed(&self) -> Result<BTreeMap<Host, u64>> {
        let document = self.stand.balancer.json(&["backend", "list", SERVICE]).await?;
        let rows = document["backends"].as_array().context("no list of backends")?;
        let row = |row: &serde_json::Value| {
            let name = row["name"].as_str().context("no name")?;
            Ok((name.parse()?, row["flows"].as_u64().context("no flows")?))
        };
        rows.iter().map(row).collect()
    }

    /// The agent ends in order, and starts: that is no event.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let agent = process::running(self.stand.place(), Host::Balancer, AGENT)?;
        self.stand.signal(Signal::TERM)?;
        until("the agent ends", async || Ok(!agent.alive())).await?;
        self.beat().await?;
        self.start().await
    }

    /// The agent is killed; clients come and come back while there is none.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.stand.balancer.kill()?;
        self.come(30).await?;
        let absent: Vec<_> = self.absent().into_iter().take(30).collect();
        self.open(&absent).await?;
        self.start().await
    }

    async fn start(&mut self) -> Result<()> {
        self.stand.balancer.start()?;
        self.stand.balancer.await_ready().await?;
        self.settled().await?;
        self.beat().await
    }
}

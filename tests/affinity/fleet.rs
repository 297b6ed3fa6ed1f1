//! Backends that run the example of a WebSocket server, and an agent that asks its health page.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::mode::Mode,
    paths::Place,
    process::{self, Record},
    programs, servers,
    topology::Host,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    clients,
    crowd::network,
    file::{File, Service},
    stand::Stand,
};

/// Name of the service.
pub(crate) const SERVICE: &str = "app";
/// Its port.
pub(crate) const PORT: u16 = 7080;
/// Where the servers answer health checks.
const CHECKED: u16 = 7081;
/// Descriptors that this process needs: a session of each client, and some more.
const DESCRIPTORS: u64 = 2000;
/// The seed of Maglev is given, so that shares are the same each time.
const SEED: &str = "hash_seed = \"000102030405060708090a0b0c0d0e0f\"";
/// Name of the server among a host's programs.
const PROGRAM: &str = "websocket_server";

/// A lab with such servers.
pub(crate) struct Fleet {
    /// The lab and its agent.
    pub(crate) stand: Stand,
    /// From SIGTERM until a server's clients are told.
    lead: Duration,
    /// From SIGTERM until a server's end.
    grace: Duration,
}

impl Fleet {
    /// Servers on the first `backends` backends, all up.
    pub(crate) async fn up(
        test: &str,
        mode: Mode,
        backends: u8,
        lead: Duration,
        grace: Duration,
    ) -> Result<Self> {
        clients::more_descriptors(DESCRIPTORS)?;
        let fleet = Self { stand: network(test, mode).await?, lead, grace };
        for backend in (1..=backends).map(Host::Backend) {
            servers::start_web(fleet.place(), backend)?;
            fleet.start(backend)?;
        }
        fleet.stand.write(&file(fleet.place(), mode, backends))?;
        fleet.stand.start().await?;
        fleet.stand.all_up().await?;
        Ok(fleet)
    }

    /// Where the lab is.
    pub(crate) fn place(&self) -> &Place {
        self.stand.place()
    }

    /// Starts a backend's server and waits until it listens.
    pub(crate) fn start(&self, backend: Host) -> Result<()> {
        let program = programs::example(PROGRAM)?;
        let mut command = self.place().netns(backend).command(&program.to_string_lossy());
        let millis = |time: Duration| format!("{}ms", time.as_millis());
        command.args(["--name", &backend.to_string(), "--listen", &format!("[::]:{PORT}")]);
        command.args(["--health", &format!("[::]:{CHECKED}")]);
        command.args(["--lead", &millis(self.lead), "--grace", &millis(self.grace)]);
        process::start(self.place(), backend, PROGRAM, command)?;
        servers::listens(self.place(), backend, PROGRAM, PORT)
    }

    /// Sends a backend's server SIGTERM; it is what is returned.
    pub(crate) fn terminate(&self, backend: Host) -> Result<Record> {
        let server = process::running(self.place(), backend, PROGRAM)?;
        kill_process(Pid::from_raw(server.pid).context("no pid")?, Signal::TERM)?;
        Ok(server)
    }

    /// Waits until a backend's health is this.
    pub(crate) async fn becomes(&self, backend: Host, health: &str) -> Result<()> {
        self.stand.becomes(SERVICE, &backend.to_string(), "health", health).await
    }

    /// A backend's health is this.
    pub(crate) async fn is(&self, backend: Host, health: &str) -> Result<()> {
        let now = self.stand.field(SERVICE, &backend.to_string(), "health").await?;
        ensure!(now == health, "{backend} is {now}, not {health}");
        Ok(())
    }
}

fn file(place: &Place, mode: Mode, backends: u8) -> File {
    let mut file = File { limits: SEED, ..File::web(place, backends) };
    file.services.push(Service {
        mode,
        check: "kind = \"http\"\nport = 7081\npath = \"/health\"\ndrain_on = [503]",
        ..Service::new(SERVICE, PORT, "tcp", backends)
    });
    file
}

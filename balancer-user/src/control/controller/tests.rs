//! The owner over tables in heap memory.

mod drain;
mod explain;
mod failover;
mod full;
mod modes;
mod numbers;
mod reload;
mod restart;
mod verbs;
mod ways;

use std::{
    net::SocketAddr,
    path::Path,
    time::{Instant, SystemTime},
};

use balancer_common::{
    serve::Serving,
    state::{Admin, Health},
    table::backend::BackendState,
};
use tempfile::TempDir;

use super::*;
use crate::{
    api::types::{BackendRow, SetAdmin, SetWeight},
    config,
    control::entries::service_identity,
    health::{Adopted, HealthEvent, Outcome, Transition},
    net::{
        Mac,
        links::LinkEvent,
        neighbour::{Neighbour, NeighbourEvent, Reach},
    },
};

const SEED: [u8; 16] = [7; 16];

/// An owner with a state directory and a file of its own.
struct Bench {
    directory: TempDir,
    control: Control,
}

/// A file with these services; `{dir}` stands for the bench's directory.
fn file(services: &str) -> String {
    format!(
        "schema = 1\n[agent]\ninterfaces = [\"eth0\"]\nstate_dir = \"{{dir}}\"\n\
         [limits]\nflows = 1000\npins = 1000\n{services}"
    )
}

/// A service named `name` with backends `NAME-1` and so on, at 10.0.0.1 and so on.
fn service(name: &str, vip: &str, backends: u8) -> String {
    let mut text =
        format!("[[service]]\nname = \"{name}\"\nlisten = [\"{vip}:443/tcp\"]\nmaglev_size = 1009\n");
    for n in 1..=backends {
        text += &format!("[[service.backend]]\nname = \"{name}-{n}\"\naddress = \"10.0.0.{n}\"\n");
    }
    text
}

fn two_backends() -> String {
    file(&service("ws", "203.0.113.10", 2))
}

fn write(directory: &Path, text: &str) {
    let text = text.replace("{dir}", &directory.display().to_string());
    std::fs::write(directory.join("balancer.toml"), text).unwrap();
}

fn start(directory: &Path, tables: Option<Dataplane>) -> Result<Control, StartError> {
    let config_path = directory.join("balancer.toml");
    let config = config::load(&config_path).map_err(|problems| problems.to_string()).unwrap().config;
    let tables = tables.unwrap_or_else(|| Dataplane::in_memory(config::dimensions(&config), SEED));
    Control::start(Environment { config, config_path, tables, seed: SEED })
}

impl Bench {
    /// Nobody is judged yet, no neighbour is known.
    fn cold(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), text);
        let mut control = start(directory.path(), None).unwrap();
        let link = Link {
            index: 3,
            name: "eth0".to_owned(),
            mac: Some(Mac([2, 0, 0, 0, 0, 0xff])),
            up: true,
            carrier: true,
            xdp: None,
            mtu: 1500,
            kind: Some("veth".to_owned()),
        };
        control.on_link(LinkEvent { name: "eth0".to_owned(), link: Some(link) }).unwrap();
        Self { directory, control }
    }

    /// Everybody is up.
    fn new(text: &str) -> Self {
        let mut bench = Self::cold(text);
        bench.resolve_all();
        bench.judge_all(Health::Up);
        bench
    }

    fn resolve_all(&mut self) {
        for address in self.control.addresses() {
            let IpAddr::V4(v4) = address else { continue };
            let mac = Mac([2, 0, 0, 0, 0, v4.octets()[3]]);
            let reach = Reach::Resolved(Neighbour::on_segment(3, mac));
            self.control.on_neighbour(NeighbourEvent { address, reach });
        }
    }

    fn judge_all(&mut self, health: Health) {
        for (key, _, _) in self.control.checks() {
            self.judge(&key.service, &key.backend, health);
        }
    }

    /// One check's outcome that makes this verdict.
    fn judge(&mut self, service: &str, backend: &str, to: Health) {
        let checks = self.control.checks();
        let (key, target, before) =
            checks.into_iter().find(|(key, ..)| key.service == service && key.backend == backend).unwrap();
        let outcome = match to {
            Health::Down => Outcome::Failed("connection refused".to_owned()),
            Health::Draining => Outcome::Drain("status 503".to_owned()),
            _ => Outcome::Good,
        };
        let transition = (before.health != to).then(|| Transition {
            from: before.health,
            to,
            cause: "a test says so".to_owned(),
        });
        let state = Adopted { health: to, since: Some(SystemTime::now()), good: 0, failed: 0 };
        let last_error = (to == Health::Down).then(|| "connection refused".to_owned());
        let address = target.address;
        self.control.on_health(HealthEvent { key, address, outcome, transition, state, last_error });
    }

    /// The agent dies and another one starts over the same tables.
    fn restart(self) -> Self {
        let Self { directory, control } = self;
        let control = start(directory.path(), Some(control.into_tables().reopened())).unwrap();
        Self { directory, control }
    }

    fn rewrite(&self, text: &str) {
        write(self.directory.path(), text);
    }

    fn rows(&self) -> Vec<BackendRow> {
        self.control.backends_doc("ws").unwrap().backends
    }

    fn row(&self, backend: &str) -> BackendRow {
        self.rows().into_iter().find(|row| row.name == backend).unwrap()
    }

    fn state(&self, backend: &str) -> BackendState {
        let (number, _) = self.control.member("ws", backend).unwrap();
        self.control.standing.backends[&number].state
    }

    /// Numbers that the current Maglev table of `ws` names.
    fn in_maglev(&self) -> Vec<u16> {
        let number = self.control.numbers.services.of(&service_identity("ws")).unwrap();
        let mut numbers = self.control.tables.maglev(number, 1009).unwrap();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// A connection of client number `client`; where it goes.
    fn connect(&self, client: u8) -> Option<String> {
        let number = self.control.tables.connect(peer(client), vip())?;
        Some(self.control.backend_name(number))
    }

    fn finish(&self, client: u8) {
        self.control.tables.finish(peer(client), vip()).unwrap();
    }

    fn drain(&mut self, backend: &str) -> Result<crate::api::types::BackendDoc, ApiError> {
        self.set(backend, Admin::Drain)
    }

    fn set(&mut self, backend: &str, admin: Admin) -> Result<crate::api::types::BackendDoc, ApiError> {
        self.control.set_admin("ws", backend, SetAdmin::to(admin))
    }

    fn weigh(&mut self, backend: &str, weight: u32) -> Result<crate::api::types::BackendDoc, ApiError> {
        self.control.set_weight("ws", backend, SetWeight { weight, force: false })
    }
}

fn vip() -> SocketAddr {
    "203.0.113.10:443".parse().unwrap()
}

fn peer(client: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, client], 40_000))
}

/// A moment from now.
fn after(seconds: u64) -> Instant {
    Instant::now() + std::time::Duration::from_secs(seconds)
}

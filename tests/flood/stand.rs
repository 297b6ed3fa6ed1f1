//! A lab with five backends that speak in lines and in datagrams, and an agent whose tables are of the test's size.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use balancer_user::api::{
    client::Client as Api,
    routes,
    types::{
        ExplainDoc, ExplainQuestion, ExplainRequest, FlowQuery, FlowRow, FlowsDoc, PinQuery, PinRow, PinsDoc,
    },
};
use lab::{
    agent::{AGENT, Balancer},
    lifecycle::Extent,
    netns::Netns,
    network::INTERFACE,
    paths::Place,
    process, servers,
    topology::{Host, LINES_PORT, UDP_PORT, VIP_V4, VIP_V6},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::{clients, labs::Lab};

/// Name of the service that speaks in lines.
pub(crate) const SERVICE: &str = "lines";
/// How long anything may take that is only a matter of time.
const PATIENCE: Duration = Duration::from_secs(20);
/// Descriptors that this process needs: one a session, and some more.
const DESCRIPTORS: u64 = 12_000;

/// What tests differ in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// `limits.flows` and `limits.pins`.
    pub(crate) entries: u32,
    /// Backends of the services, from the first.
    pub(crate) backends: u8,
    /// Further lines of the services.
    pub(crate) service: &'static str,
    /// Further lines of their checks.
    pub(crate) health: &'static str,
}

/// The lab and its balancer.
pub(crate) struct Stand {
    /// The command line.
    pub(crate) balancer: Balancer,
    api: Api,
    lab: Lab,
}

impl Stand {
    /// Brings all up; every backend is `up`.
    pub(crate) async fn up(prefix: &str, setup: Setup) -> Result<Self> {
        clients::more_descriptors(DESCRIPTORS)?;
        let lab = Lab::up(prefix, Extent::Network).await?;
        clients::make_room(&lab.place)?;
        for backend in Host::backends() {
            servers::start_lines(&lab.place, backend)?;
            servers::start_udp(&lab.place, backend)?;
        }
        fs::write(lab.place.config(), config(&lab.place, setup))?;
        let stand = Self { balancer: Balancer::of(&lab.place)?, api: Api::new(lab.place.api()), lab };
        stand.balancer.start()?;
        stand.balancer.await_ready().await?;
        stand.all_up().await?;
        Ok(stand)
    }

    /// Where the lab is.
    pub(crate) fn place(&self) -> &Place {
        &self.lab.place
    }

    /// Sends the agent a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let agent = process::running(self.place(), Host::Balancer, AGENT)?;
        Ok(kill_process(Pid::from_raw(agent.pid).context("no pid")?, signal)?)
    }

    /// A verb on a backend of the service.
    pub(crate) async fn verb(&self, verb: &str, backend: Host, more: &[&str]) -> Result<()> {
        let backend = backend.to_string();
        self.balancer.run(&[&["backend", verb, SERVICE, &backend], more].concat()).await.map(drop)
    }

    /// All flows.
    pub(crate) async fn flows(&self) -> Result<Vec<FlowRow>> {
        let query = FlowQuery { limit: Some(0), ..FlowQuery::default() };
        let document: FlowsDoc = self.api.get_with(routes::FLOWS, &query).await?;
        ensure!(!document.truncated, "the list of flows is cut");
        Ok(document.flows)
    }

    /// All pins of the service.
    pub(crate) async fn pins(&self) -> Result<Vec<PinRow>> {
        let query = PinQuery { service: Some(SERVICE.to_owned()), limit: Some(0), ..PinQuery::default() };
        let document: PinsDoc = self.api.get_with(routes::PINS, &query).await?;
        ensure!(!document.truncated, "the list of pins is cut");
        Ok(document.pins)
    }

    /// What `explain` says of each of these questions.
    pub(crate) async fn explain(&self, questions: Vec<ExplainQuestion>) -> Result<Vec<ExplainDoc>> {
        let mut answers = Vec::with_capacity(questions.len());
        for some in questions.chunks(1000) {
            let request = ExplainRequest::Many(some.to_vec());
            answers.append(&mut self.api.post::<Vec<_>>(routes::EXPLAIN, &request).await?);
        }
        Ok(answers)
    }

    /// The sum of the series of `/metrics` whose names begin so.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let series = self.series(name)?;
        ensure!(!series.is_empty(), "there is no metric {name}");
        Ok(series.iter().sum())
    }

    /// The series of `/metrics` whose names begin so.
    pub(crate) fn series(&self, name: &str) -> Result<Vec<f64>> {
        let text = scrape(&self.place().netns(Host::Balancer))?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect())
    }

    async fn all_up(&self) -> Result<()> {
        let outcome = until("all backends are up", async || {
            let rows = self.balancer.json(&["service", "list"]).await?;
            let rows = rows["services"].as_array().context("no list of services")?;
            Ok(rows.iter().all(|row| row["ready_backends"] == row["backends"]))
        });
        outcome.await.with_context(|| self.balancer.log_tail())
    }
}

/// `/metrics` of the agent, which answers on its host's loopback alone.
fn scrape(netns: &Netns) -> Result<String> {
    use std::io::{Read as _, Write as _};
    netns.inside(|| {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:9180")?;
        write!(stream, "GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match holds().await {
            Ok(true) => return Ok(()),
            outcome if Instant::now() > give_up => {
                let why = outcome.err().map(|error| format!(": {error:#}")).unwrap_or_default();
                bail!("it does not come about within {PATIENCE:?} that {what}{why}");
            }
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// As many descriptors as there may be, here and in every program that is started from here.
/// The seed of Maglev is given, so that what is done again comes to the same.
fn config(place: &Place, setup: Setup) -> String {
    let (api, state) = (place.api(), place.agent_state());
    let bpffs = place.bpffs().join("balancer");
    let entries = setup.entries;
    let head = format!(
        "schema = 1\n\n[agent]\ninterfaces = [{INTERFACE:?}]\napi = {api:?}\nstate_dir = {state:?}\n\
         bpffs = {bpffs:?}\n\n[limits]\nflows = {entries}\npins = {entries}\n\
         hash_seed = \"000102030405060708090a0b0c0d0e0f\"\n"
    );
    let services = [service(SERVICE, LINES_PORT, "tcp", setup), service("udp", UDP_PORT, "udp", setup)];
    head + &services.concat()
}

fn service(name: &str, port: u16, proto: &str, setup: Setup) -> String {
    let Setup { entries: _, backends, service, health } = setup;
    let mut text = format!(
        "\n[[service]]\nname = {name:?}\n\
         listen = [\"{VIP_V4}:{port}/{proto}\", \"[{VIP_V6}]:{port}/{proto}\"]\n{service}\n\n\
         [service.health]\nkind = \"tcp\"\n{health}\n"
    );
    for backend in (1..=backends).map(Host::Backend) {
        let (v4, v6) = (backend.v4(), backend.v6());
        let _ = write!(text, "\n[[service.backend]]\nname = \"{backend}\"\naddress = [\"{v4}\", \"{v6}\"]\n");
    }
    text
}

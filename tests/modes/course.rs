//! What happens in a lab: clients come, backends come and go, the agent dies.

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::{
    fixture::{
        decap::Decap,
        echo::Echo,
        labs::block_on,
        mode::{Mode, take_out},
        stand::{Stand, until},
    },
    lifecycle::Extent,
    shape::{Backends, Shape},
    topology::Host,
};

use crate::{
    backend,
    file::{self, FIRST, SERVICES},
    row::Row,
};

/// Clients of a row, and bytes of a transfer.
const SLICE: (u8, usize) = (8, 2_000_000);
const WHOLE: (u8, usize) = (80, 50_000_000);
/// What an `ipip` backend lets its clients' segments have, over both families.
const MSS: &str = "1400";

const ADDED: Host = Host::Backend(FIRST + 1);

/// The whole course; an error names what did not hold.
pub(crate) fn run(prefix: &str, mode: Mode, backends: Backends) -> Result<()> {
    block_on(async {
        let (clients, bytes) = if lab::long() { WHOLE } else { SLICE };
        let lab = Bench::up(prefix, mode, backends).await?;
        let mut rows: Vec<_> = [(false, false), (false, true), (true, false), (true, true)]
            .map(|(v6, udp)| Row::new(lab.stand.place(), mode, v6, udp))
            .into();
        let walked = lab.walk(&mut rows, clients, bytes).await;
        let place = match backends {
            Backends::Segment => "segment",
            Backends::Routed => "routed",
            Backends::TwoSegments => "two segments",
        };
        let broken: Vec<_> = rows.into_iter().filter_map(|row| row.finish(place).err()).collect();
        walked.with_context(|| lab.stand.balancer.log_tail())?;
        let words: Vec<_> = broken.iter().map(|error| format!("{error:#}")).collect();
        ensure!(broken.is_empty(), "{}\n{}", words.join("\n"), lab.stand.balancer.log_tail());
        Ok(())
    })
}

/// A lab with the agent and the backends' servers.
struct Bench {
    stand: Stand,
    mode: Mode,
    shape: Shape,
    _servers: Vec<Echo>,
}

impl Bench {
    async fn up(prefix: &str, mode: Mode, backends: Backends) -> Result<Self> {
        let shape = mode.shape(backends);
        let stand = Stand::make_in(prefix, shape, Extent::Network).await?;
        let hosts = (1..=FIRST + 1).map(Host::Backend);
        let servers = hosts.map(|host| serve(&stand, mode, backends, host)).collect::<Result<_>>()?;
        stand.write(&file::file(mode, stand.place(), backends))?;
        stand.start().await?;
        stand.all_up().await?;
        Ok(Self { stand, mode, shape, _servers: servers })
    }

    /// One column after another, each for all rows.
    async fn walk(&self, rows: &mut [Row], clients: u8, bytes: usize) -> Result<()> {
        each(rows, |row| row.come(clients));
        each(rows, Row::payloads);
        self.add().await?;
        each(rows, |row| row.undisturbed().and_then(|()| row.come_back()));
        let drained = self.drain(rows).await?;
        each(rows, |row| row.undisturbed().and_then(|()| row.avoid(&drained)));
        self.verb("ready", &drained).await?;
        self.stand.agent()?.kill()?;
        let mut alone: Vec<_> = rows.iter_mut().map(Row::undisturbed).collect();
        self.stand.start().await?;
        self.stand.all_up().await?;
        each(rows, |row| alone.remove(0).and_then(|()| row.undisturbed()).and_then(|()| row.come_back()));
        let dead = self.kill(rows).await?;
        each(rows, |row| row.hear_of_the_death_of(&dead).and_then(|()| row.undisturbed()));
        each(rows, |row| row.transfer(bytes));
        if self.mode == Mode::Ipip { self.tunnels_were_used() } else { Ok(()) }
    }

    /// A backend with the service address would serve what comes without a tunnel just as well.
    fn tunnels_were_used(&self) -> Result<()> {
        for host in (1..=FIRST).map(Host::Backend) {
            let unwrapped = Decap::on(self.stand.place(), host).packets("unwrapped")?;
            ensure!(unwrapped > 50, "{host} took {unwrapped} packets out of tunnels");
        }
        Ok(())
    }

    async fn verb(&self, verb: &str, backend: &str) -> Result<()> {
        for service in SERVICES {
            self.stand.balancer.run(&["backend", verb, service, backend]).await?;
        }
        Ok(())
    }

    async fn add(&self) -> Result<()> {
        let backend = file::backend(self.mode, ADDED, self.shape.backends);
        for service in SERVICES {
            let places = backend.places();
            let words: Vec<_> = ["backend", "add", service, &backend.name]
                .into_iter()
                .chain(places.iter().map(String::as_str))
                .collect();
            self.stand.balancer.run(&words).await?;
            self.stand.becomes(service, &backend.name, "health", "up").await?;
        }
        Ok(())
    }

    async fn drain(&self, rows: &[Row]) -> Result<String> {
        let backend = busy(rows)?;
        self.verb("drain", &backend).await?;
        Ok(backend)
    }

    /// Cuts a backend's cable, and waits until that is known.
    async fn kill(&self, rows: &[Row]) -> Result<String> {
        let backend = busy(rows)?;
        let place = self.stand.place();
        let switch = if self.shape.has_router() { place.far_switch() } else { place.switch() };
        switch.ip(&format!("link set dev {backend} down\n"))?;
        for service in SERVICES {
            until("the death is known", async || {
                Ok(self.stand.field(service, &backend, "health").await? == "down")
            })
            .await?;
        }
        Ok(backend)
    }
}

/// A backend's servers, and what takes its packets out of tunnels.
fn serve(stand: &Stand, mode: Mode, backends: Backends, host: Host) -> Result<Echo> {
    if mode == Mode::Ipip {
        // Elsewhere the balancer's answers to packets that are too large must do.
        let mss = (backends == Backends::Segment).then_some(MSS);
        take_out(stand.place(), backends, host, mss)?;
    }
    backend::serve(stand.place(), mode, backends, host)
}

/// Enters what came of a column in each row.
fn each(rows: &mut [Row], mut column: impl FnMut(&mut Row) -> Result<()>) {
    for row in rows {
        let outcome = column(row);
        row.enter(outcome);
    }
}

/// A backend that has clients in every row.
fn busy(rows: &[Row]) -> Result<String> {
    let names = (1..=FIRST).map(|n| Host::Backend(n).to_string());
    let fewest = |name: &String| rows.iter().map(|row| row.on(name)).min();
    let busiest = names.max_by_key(fewest).filter(|name| fewest(name) > Some(0));
    busiest.ok_or_else(|| anyhow!("no backend has clients of every kind"))
}

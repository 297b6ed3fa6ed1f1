//! A balancer over the lab's servers that speak in lines, and sessions by the hundred on a backend of the test's choice.

use std::{net::IpAddr, ops::Range, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{
        clients::{self, Client},
        decap::Decap,
        mode::{Mode, take_out},
    },
    lifecycle::Extent,
    netns::output,
    servers,
    shape::Backends,
    topology::{Host, LINES_PORT},
};

use crate::{
    file::{File, Service},
    stand::{Stand, until},
};

/// Name of the service.
pub(crate) const LINES: &str = "lines";
/// The backend that the tests are about.
pub(crate) const VICTIM: Host = Host::Backend(1);
pub(crate) const BACKENDS: u8 = 3;
/// How long a client waits while nothing is wrong.
pub(crate) const CALM: Duration = Duration::from_secs(20);

/// A balancer whose one service is of this mode, and has these further keys.
pub(crate) async fn stand(
    test: &str,
    mode: Mode,
    keys: &'static str,
    timeouts: &'static str,
) -> Result<Stand> {
    let service = Service::new(LINES, LINES_PORT, "tcp", BACKENDS);
    stand_of(test, Service { mode, keys, timeouts, ..service }).await
}

/// A balancer of this one service.
pub(crate) async fn stand_of(test: &str, service: Service) -> Result<Stand> {
    let stand = network(test, service.mode).await?;
    for n in 1..=BACKENDS {
        servers::start_lines(stand.place(), Host::Backend(n))?;
    }
    let file = File { flows: 16_384, services: vec![service], ..File::web(stand.place(), 0) };
    stand.write(&file)?;
    stand.start().await?;
    stand.all_up().await?;
    Ok(stand)
}

/// A lab as a mode wants it, without servers.
pub(crate) async fn network(test: &str, mode: Mode) -> Result<Stand> {
    let shape = mode.shape(Backends::Segment);
    let stand = Stand::make_in(&mode.prefix(test), shape, Extent::Network).await?;
    clients::make_room_in(stand.place(), shape)?;
    if mode == Mode::Ipip {
        Host::backends().try_for_each(|host| take_out(stand.place(), shape.backends, host, None))?;
    }
    Ok(stand)
}

/// So many packets at least came to a backend as the mode sends them: one that has the service address on `lo` would
/// serve them without a tunnel just as well.
pub(crate) fn by_its_way(stand: &Stand, mode: Mode, host: Host, packets: u64) -> Result<()> {
    if mode == Mode::Ipip {
        let unwrapped = Decap::on(stand.place(), host).packets("unwrapped")?;
        ensure!(unwrapped >= packets, "{host} took {unwrapped} packets out of tunnels, not {packets}");
    }
    Ok(())
}

/// Waits until a backend has no connection of a client left. One that is translated it hears the end of, as its client
/// does; where answers go another way nobody can tell it.
pub(crate) async fn hears_the_end(stand: &Stand, mode: Mode, host: Host) -> Result<()> {
    if !mode.translates() {
        return Ok(());
    }
    until(&format!("{host} has no connection left"), async || {
        let mut command = stand.place().netns(host).command("ss");
        command.args(["-Htn", "state", "connected", "exclude", "time-wait", "sport", "="]);
        Ok(output(command.arg(format!(":{LINES_PORT}")))?.trim().is_empty())
    })
    .await
}

/// Only these backends take new clients; pinned ones still come to the others.
pub(crate) async fn only(stand: &Stand, takers: &[Host]) -> Result<()> {
    for n in 1..=BACKENDS {
        let host = Host::Backend(n);
        let weight = if takers.contains(&host) { "100" } else { "0" };
        stand.balancer.run(&["backend", "weight", LINES, &host.to_string(), weight, "--force"]).await?;
    }
    Ok(())
}

/// Every backend takes new clients.
pub(crate) async fn everybody(stand: &Stand) -> Result<()> {
    only(stand, &(1..=BACKENDS).map(Host::Backend).collect::<Vec<_>>()).await
}

/// Addresses of clients with these numbers.
pub(crate) fn sources(numbers: Range<u32>) -> Vec<IpAddr> {
    numbers.map(clients::address).collect()
}

/// Sessions of these clients, all of them on `host`.
pub(crate) async fn sessions_on(stand: &Stand, host: Host, numbers: Range<u32>) -> Result<Vec<Client>> {
    only(stand, &[host]).await?;
    let sessions = clients::open_all(stand.place(), &sources(numbers), CALM).await?;
    let elsewhere = sessions.iter().filter(|session| session.backend != host.to_string()).count();
    ensure!(elsewhere == 0, "{elsewhere} of {} sessions are not on {host}", sessions.len());
    everybody(stand).await?;
    Ok(sessions)
}

/// A number out of a backend's row.
pub(crate) async fn number(stand: &Stand, host: Host, field: &str) -> Result<u64> {
    let value = stand.field(LINES, &host.to_string(), field).await?;
    value.as_u64().with_context(|| format!("{field} of {host} is {value}"))
}

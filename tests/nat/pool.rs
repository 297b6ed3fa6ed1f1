//! One source address, one backend, a small pool of ports: more connections than it has ports, for as long as it takes until
//! each was used again and again. Nothing may ever reach a connection that it was not meant for.

mod callers;
mod held;
mod talk;
mod witness;

use std::{
    net::{IpAddr, SocketAddr},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{
        file::{Backend, File, Service},
        labs::block_on,
        mode::Mode,
        stand::Stand,
        trials::Test,
    },
    lifecycle::Extent,
    shape::Shape,
    topology::{Host, VIP_V4, VIP_V6},
};

use callers::Callers;
use held::Held;
use witness::{Pool, Witness};

pub(crate) const TESTS: &[Test] =
    &[("a_port_that_is_used_again_brings_nothing_to_another_connection", ports_are_used_again)];

const BACKEND: Host = Host::Backend(1);
/// Port of the service, and of the server.
const PORT: u16 = 7777;
const OWN_PORT: u16 = 8081;
/// How long a port rests at least: longer than a `TIME_WAIT`.
const REST: Duration = Duration::from_secs(65);
const LOOK: Duration = Duration::from_millis(200);

/// How much is done.
struct Extents {
    /// `limits.nat_ports`.
    limits: &'static str,
    pool: Pool,
    /// Connections of each family that last from the beginning to the end.
    held: u16,
    /// Callers of each family, one connection after another each.
    callers: u64,
    /// How often each port is used that no lasting connection has.
    uses: u32,
    /// How long it takes at least, and at most.
    time: [Duration; 2],
}

/// 2,000 ports beside those of the connections that last. A port rests for two turns of the clock at most (131 s): three uses
/// may take longer than the five minutes that everything lasts at least.
const LONG: Extents = Extents {
    limits: "nat_ports = \"10240-12287\"",
    pool: Pool { first: 10240, last: 12287 },
    held: 48,
    callers: 24,
    uses: 3,
    time: [Duration::from_mins(5), Duration::from_mins(7)],
};

/// Every port once; that it rests then is seen as long as it lasts.
const SLICE: Extents = Extents {
    limits: "nat_ports = \"10240-10495\"",
    pool: Pool { first: 10240, last: 10495 },
    held: 16,
    callers: 8,
    uses: 1,
    time: [Duration::from_secs(20), Duration::from_mins(1)],
};

fn ports_are_used_again() -> Result<()> {
    let extents = if lab::long() { &LONG } else { &SLICE };
    block_on(async {
        let shape = Shape { service_on_lo: false, ..Shape::default() };
        let stand = Stand::make_in("bn-pool-", shape, Extent::Network).await?;
        let mut families = Vec::new();
        for own in [BACKEND.v4().into(), BACKEND.v6().into()] {
            let own = SocketAddr::new(own, OWN_PORT);
            families.push((own, Witness::start(&stand.place().netns(BACKEND), own, extents.pool)?));
        }
        let service = Service {
            mode: Mode::Nat,
            backends: vec![Backend { port: Some(OWN_PORT), ..Backend::new(BACKEND) }],
            ..Service::new("tcp", PORT, "tcp", 1)
        };
        stand.write(&File {
            flows: 65_536,
            limits: extents.limits,
            services: vec![service],
            ..File::web(stand.place(), 0)
        })?;
        stand.start().await?;
        stand.all_up().await?;
        let outcome = course(&stand, extents, &families);
        let refused = outcome.with_context(|| stand.balancer.log_tail())?;
        let counted = counted(&stand, "nat-exhausted").await?;
        ensure!(
            counted == refused,
            "{refused} connections were refused, {counted} packets were nat-exhausted"
        );
        Ok(())
    })
}

/// Packets that were counted under a reason.
async fn counted(stand: &Stand, reason: &str) -> Result<u64> {
    let status = stand.balancer.json(&["status"]).await?;
    let rows = status["reasons"].as_array().context("no reasons")?;
    let row = rows.iter().find(|row| row["reason"] == reason).with_context(|| format!("no {reason}"))?;
    row["packets"].as_u64().context("no number of packets")
}

/// Everything between the first connection and the last; how many were refused for want of a port.
fn course(stand: &Stand, extents: &Extents, families: &[(SocketAddr, Witness)]) -> Result<u64> {
    let front =
        |own: &SocketAddr| SocketAddr::new(if own.is_ipv4() { VIP_V4.into() } else { VIP_V6.into() }, PORT);
    let held = families
        .iter()
        .map(|(own, _)| Held::open(stand.place(), front(own), extents.held))
        .collect::<Result<Vec<_>>>()?;
    let callers: Vec<_> =
        families.iter().map(|(own, _)| Callers::start(stand.place(), front(own), extents.callers)).collect();
    let begun = Instant::now();
    let used = |witness: &Witness| witness.books().fewest_uses(extents.held) >= extents.uses;
    let [least, most] = extents.time;
    while begun.elapsed() < least
        || (begun.elapsed() < most && !families.iter().all(|(_, witness)| used(witness)))
    {
        sleep(LOOK);
    }
    let mut refused = 0;
    let results = families.iter().zip(callers).zip(held).map(|(((own, witness), callers), held)| {
        let tally = callers.stop();
        let disturbed = held.close();
        refused += tally.refused;
        judge(own.ip(), extents, witness, &tally, &disturbed)
    });
    let broken: Vec<_> = results.collect::<Vec<_>>().into_iter().filter_map(Result::err).collect();
    let words: Vec<_> = broken.iter().map(|error| format!("{error:#}")).collect();
    ensure!(broken.is_empty(), "{}", words.join("\n"));
    Ok(refused)
}

/// What was promised of one family, and what became of it.
fn judge(
    backend: IpAddr,
    extents: &Extents,
    witness: &Witness,
    tally: &callers::Tally,
    disturbed: &[String],
) -> Result<()> {
    let books = witness.books();
    let wrong: Vec<_> = books.wrong.iter().chain(&tally.wrong).chain(disturbed).collect();
    let (fewest, most) = (books.fewest_uses(extents.held), books.most_uses());
    println!(
        "{backend}: {} connections over {} ports, each used {fewest} to {most} times; {} refused for want of a port, {} lasted; \
         shortest rest {:?}; {} wrong",
        tally.served,
        extents.pool.ports(),
        tally.refused,
        extents.held,
        books.shortest_rest,
        wrong.len()
    );
    ensure!(
        wrong.is_empty(),
        "{backend}: {} wrong deliveries, the first ones: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
    ensure!(
        fewest >= extents.uses,
        "{backend}: a port was used {fewest} times, each was to be {} times",
        extents.uses
    );
    ensure!(tally.refused > 0, "{backend}: there was a port for every connection: they were too few");
    let rested = books.shortest_rest.is_none_or(|rest| rest >= REST);
    ensure!(rested, "{backend}: a port was used again after {:?}", books.shortest_rest);
    Ok(())
}

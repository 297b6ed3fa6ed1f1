//! Every backend is deployed, one after another, under its clients; then the shares are made even again.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{fixture::mode::Mode, topology::Host};

use crate::{
    clients::address,
    each::{EachMode, in_each_mode},
    fleet::{Fleet, SERVICE},
    labs::block_on,
    stand::until,
    visitors::{Visit, Visitors},
};

pub(crate) const TESTS: &[EachMode] = &[in_each_mode!("balance_after_deploys", balance)];

/// The backends, in the order of their deploys.
const BACKENDS: u8 = 4;
/// The largest share after the release, as a multiple of the fair one.
const EVEN: f64 = 1.25;
/// From SIGTERM until the clients of a server are told.
const LEAD: Duration = Duration::from_millis(1500);
/// From SIGTERM until its end.
const GRACE: Duration = Duration::from_secs(4);

fn balance(mode: Mode) -> Result<()> {
    block_on(async {
        let fleet = Fleet::up("deploys", mode, BACKENDS, LEAD, GRACE).await?;
        let count = if lab::long() { 1000 } else { 200 };
        let sources: Vec<_> = (0..count).map(address).collect();
        // A tenth has sessions all along.
        let (staying, leaving) = sources.split_at(sources.len() / 10);
        let (mut stay, mut leave) = (Visitors::none(fleet.place()), Visitors::none(fleet.place()));
        stay.come(staying, |_| false).await?;
        leave.come(leaving, |_| false).await?;
        tell("before the deploys", &shares(&[&stay, &leave]));

        for backend in (1..=BACKENDS).map(Host::Backend) {
            deploy(&fleet, backend).await.with_context(|| format!("the deploy of {backend}"))?;
        }
        stay.all_in_order()?;
        leave.all_in_order()?;
        let skewed = shares(&[&stay, &leave]);
        tell("after the deploys", &skewed);
        ensure!(largest(&skewed) > EVEN, "there is nothing to make even: {skewed:?}");

        tell_moves(&leave.go().await?, leaving.len());
        release(&fleet, staying.len(), leaving.len()).await?;
        let before = stay.at();
        let mut back = Visitors::none(fleet.place());
        back.come(leaving, |_| false).await?;
        let even = shares(&[&stay, &back]);
        tell("after the release", &even);
        ensure!(largest(&even) <= EVEN, "{:.2} of the fair share: {even:?}", largest(&even));
        ensure!(stay.at() == before, "sessions moved: {before:?} became {:?}", stay.at());
        stay.all_in_order()?;
        back.all_in_order()
    })
}

/// What a script does: it ends the server, waits for what follows, and starts it again.
async fn deploy(fleet: &Fleet, backend: Host) -> Result<()> {
    let server = fleet.terminate(backend)?;
    fleet.becomes(backend, "draining").await?;
    until("the server is gone", async || Ok(!server.alive())).await?;
    fleet.becomes(backend, "down").await?;
    fleet.start(backend)?;
    fleet.becomes(backend, "up").await
}

/// Lets go of the pins of those that left, once their last flows have ended; those of the others stay.
async fn release(fleet: &Fleet, staying: usize, leaving: usize) -> Result<()> {
    until("only those that stay have live flows", async || {
        let rows = fleet.stand.rows(SERVICE).await?;
        Ok(rows.iter().filter_map(|row| row["flows"].as_u64()).sum::<u64>() == staying as u64)
    })
    .await?;
    let document = fleet.stand.balancer.json(&["pin", "release", SERVICE, "--idle"]).await?;
    let counts = (document["released"].as_u64(), document["kept"].as_u64());
    ensure!(counts == (Some(leaving as u64), Some(staying as u64)), "{document}");
    Ok(())
}

/// Open sessions by server; a server without any is there too.
fn shares(groups: &[&Visitors]) -> BTreeMap<String, usize> {
    let none = (1..=BACKENDS).map(|n| (Host::Backend(n).to_string(), 0));
    let mut shares: BTreeMap<_, _> = none.collect();
    for (server, count) in groups.iter().flat_map(|group| group.at()) {
        *shares.entry(server).or_default() += count;
    }
    shares
}

/// The largest share as a multiple of the fair one.
fn largest(shares: &BTreeMap<String, usize>) -> f64 {
    let all: usize = shares.values().sum();
    let largest = shares.values().max().copied().unwrap_or_default();
    largest as f64 * shares.len() as f64 / all.max(1) as f64
}

fn tell(when: &str, shares: &BTreeMap<String, usize>) {
    eprintln!("balance {when}: {shares:?}, the largest {:.2} of the fair share", largest(shares));
}

fn tell_moves(visits: &[Visit], clients: usize) {
    let mut sessions: BTreeMap<_, usize> = BTreeMap::new();
    visits.iter().for_each(|visit| *sessions.entry(visit.source).or_default() += 1);
    let mut moves: BTreeMap<usize, usize> = BTreeMap::new();
    sessions.values().for_each(|sessions| *moves.entry(sessions - 1).or_default() += 1);
    let each = (visits.len() - clients) as f64 / clients as f64;
    eprintln!("balance: {each:.2} moves a client; clients by moves: {moves:?}");
}

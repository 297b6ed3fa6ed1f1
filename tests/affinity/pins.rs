//! A client that comes back in time comes back to its backend, and the time runs from the end of its last flow.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::fixture::{
    clients::{self, Client},
    mode::Mode,
};
use tokio::time::sleep;

use crate::{
    crowd::{CALM, VICTIM, sessions_on, sources, stand},
    each::{EachMode, in_each_mode},
    labs::block_on,
    stand::Stand,
};

pub(crate) const TESTS: &[EachMode] = &[
    in_each_mode!("pins", timeout),
    in_each_mode!("six_parallel_first_connections_of_a_client_agree", in_parallel),
];

/// Clients whose pins differ from what Maglev says, and that is most of those that were placed while nobody else took any.
const CLIENTS: u32 = 30;
/// `affinity.timeout` of this test.
const TIMEOUT: &str = "affinity = { timeout = \"5s\" }";

fn timeout(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = stand("pins", mode, TIMEOUT, "closing = \"4s\"").await?;
        for dead in [false, true] {
            let numbers = if dead { 1_000..1_000 + CLIENTS } else { 0..CLIENTS };
            let sessions = sessions_on(&stand, VICTIM, numbers.clone()).await?;
            let moved = maglev_elsewhere(&stand, &sessions).await?;
            ensure!(moved > CLIENTS / 3, "Maglev alone would send {moved} of {CLIENTS} elsewhere");
            if dead {
                stand.balancer.kill()?;
            }
            // Far longer than the timeout: a pin does not run out while a flow lives.
            sleep(Duration::from_secs(if lab::long() { 20 } else { 7 })).await;
            clients::close_all(sessions).await;
            sleep(Duration::from_secs(3)).await;
            let back = reconnect(&stand, numbers.clone()).await?;
            ensure!(back == CLIENTS, "agent dead {dead}: after 3 s {back} of {CLIENTS} are back");
            sleep(Duration::from_secs(8)).await;
            let back = reconnect(&stand, numbers).await?;
            println!(
                "pins, {}, agent {}: back after 3 s {CLIENTS} of {CLIENTS}; after 8 s {back}, by Maglev {}",
                mode.name(),
                if dead { "dead" } else { "alive" },
                CLIENTS - moved
            );
            ensure!(
                back == CLIENTS - moved,
                "agent dead {dead}: after 8 s {back} are back, Maglev says {}",
                CLIENTS - moved
            );
        }
        Ok(())
    })
}

/// How many of them come to the backend.
async fn reconnect(stand: &Stand, numbers: std::ops::Range<u32>) -> Result<u32> {
    let sessions = clients::open_all(stand.place(), &sources(numbers), CALM).await?;
    let there = sessions.iter().filter(|session| session.backend == VICTIM.to_string()).count();
    clients::close_all(sessions).await;
    Ok(there as u32)
}

/// How many of them Maglev alone would send elsewhere.
async fn maglev_elsewhere(stand: &Stand, sessions: &[Client]) -> Result<u32> {
    let mut elsewhere = 0;
    for session in sessions {
        let (source, to) = (session.source.to_string(), session.destination());
        let told = stand.balancer.json(&["explain", &source, &to]).await?;
        let maglev = told["maglev_backend"].as_str().context("no Maglev")?;
        elsewhere += u32::from(maglev != VICTIM.to_string());
    }
    Ok(elsewhere)
}

/// A browser opens six at once, before any of them is there.
fn in_parallel(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = stand("six", mode, "", "closing = \"4s\"").await?;
        for number in 0..40 {
            let six = vec![clients::address(number); 6];
            let sessions = clients::open_all(stand.place(), &six, CALM).await?;
            let backends: std::collections::BTreeSet<_> = sessions.iter().map(|it| &it.backend).collect();
            ensure!(backends.len() == 1, "client {number}: {backends:?}");
            clients::close_all(sessions).await;
        }
        Ok(())
    })
}

//! SIGKILL and a new start: packets go on without a gap, and all that was known is adopted.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    agent::AGENT,
    crowd::{Crowd, Kind},
    topology::{Host, client_v4, client_v6},
};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    Test,
    client::{Stream, ask, clients, sessions, undisturbed},
    file::File,
    labs::block_on,
    stand::{Stand, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_killed_and_restarted_agent_loses_no_packet", no_gap),
    ("a_restarted_agent_adopts_flows_pins_counters_and_numbers", adopted),
    ("a_backend_that_was_down_stays_down_across_a_restart_without_a_flap", verdicts),
    ("a_backend_that_dies_and_returns_while_no_agent_runs_is_judged_afterwards", changes_meanwhile),
];

/// Two datagrams streams and a new TCP connection every 10 ms, through death, start and an orderly restart.
fn no_gap() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-gap-", |place| File::whole(place, 3)).await?;
        let mut crowd = Crowd::start(stand.place(), Kind::Ws)?;
        let sources = (1..=60).map(|n| client_v4(2, n)).collect();
        let before = stand.xdp()?;
        let streams = [client_v4(1, 1), client_v6(1, 1)].map(|source| Stream::start(stand.place(), source));
        crowd.probe_start(sources, 10).await?;
        sleep(Duration::from_millis(300)).await;
        stand.balancer.kill()?;
        sleep(Duration::from_millis(500)).await;
        stand.start().await?;
        sleep(Duration::from_millis(500)).await;
        let second = stand.xdp()?;
        stand.stop().await?;
        stand.start().await?;
        sleep(Duration::from_millis(500)).await;
        let third = stand.xdp()?;
        ensure!(
            before != second && second != third,
            "no program was swapped: {before:?} {second:?} {third:?}"
        );

        for stream in streams {
            let streamed = stream?.stop()?;
            ensure!(streamed.sent > 200, "too few datagrams to tell: {streamed:?}");
            ensure!(streamed.lost.is_empty(), "datagrams are lost: {streamed:?}");
            ensure!(streamed.backends.len() == 1, "the flow has moved: {streamed:?}");
        }
        let probe = crowd.probe_stop(2).await?;
        ensure!(probe.attempts > 100 && probe.answered == probe.attempts, "{probe:?}");
        ensure!(probe.slowest_ms < 900, "a SYN was sent twice: {probe:?}");
        Ok(())
    })
}

/// What of a backend no restart changes, and what only grows.
const SAME: [&str; 6] = ["name", "number", "admin", "health", "flows", "pins"];
const GROWING: [&str; 3] = ["flows_total", "packets", "bytes"];

fn adopted() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-adopt-", |place| File::whole(place, 3)).await?;
        let mut sessions = sessions(stand.place(), clients(12))?;
        for client in clients(20) {
            ask(stand.place(), client)?;
        }
        stand.balancer.run(&["backend", "drain", "ws", "backend-2"]).await?;
        until("a sweep has counted the pins", async || pins(&stand, 20).await).await?;
        let before = stand.rows("web").await?;
        let flows = stand.balancer.json(&["flow", "list"]).await?;
        let numbers = numbers(&stand).await?;

        stand.balancer.kill()?;
        undisturbed(&mut sessions)?;
        stand.start().await?;
        until("a sweep has counted the pins", async || pins(&stand, 20).await).await?;
        for (before, now) in before.iter().zip(stand.rows("web").await?) {
            let same = SAME.iter().all(|key| before[key] == now[key]);
            let grown = GROWING.iter().all(|key| now[key].as_u64() >= before[key].as_u64());
            ensure!(same && grown, "{before} became {now}");
        }
        ensure!(self::numbers(&stand).await? == numbers, "numbers have changed hands");
        ensure!(ends(&flows)? == ends(&stand.balancer.json(&["flow", "list"]).await?)?, "flows are lost");
        undisturbed(&mut sessions)?;
        for (session, backend) in &sessions {
            let again = ask(stand.place(), session.source)?;
            ensure!(again == *backend, "{} went to {again}, its pin says {backend}", session.source);
        }
        Ok(())
    })
}

/// Whether a sweep has seen the pins of so many clients.
async fn pins(stand: &Stand, count: u64) -> Result<bool> {
    let pins = stand.rows("web").await?.iter().filter_map(|row| row["pins"].as_u64()).sum::<u64>();
    Ok(pins == count)
}

/// The number of every backend of every service.
async fn numbers(stand: &Stand) -> Result<Vec<(Value, Value)>> {
    let mut numbers = Vec::new();
    for service in ["web", "ws", "udp"] {
        let rows = stand.rows(service).await?;
        numbers.extend(rows.into_iter().map(|mut row| (row["name"].take(), row["number"].take())));
    }
    Ok(numbers)
}

/// Who has a live flow with whom.
fn ends(document: &Value) -> Result<Vec<String>> {
    let flows = document["flows"].as_array().context("no list of flows")?;
    let live = flows.iter().filter(|flow| flow["state"] != "closing");
    let mut ends: Vec<_> = live.map(|flow| format!("{} {}", flow["client"], flow["backend"])).collect();
    ends.sort();
    Ok(ends)
}

fn verdicts() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-verdict-", |place| File::web(place, 3)).await?;
        fs::write(stand.place().sick(Host::Backend(2)), "")?;
        stand.becomes("web", "backend-2", "health", "down").await?;
        let before = health(&stand).await?;
        let since = stand.field("web", "backend-2", "since").await?;
        // Since when is kept a moment later than the verdict itself.
        sleep(Duration::from_millis(1500)).await;
        let told = log(&stand)?.len();
        stand.balancer.kill()?;
        sleep(Duration::from_millis(300)).await;
        stand.start().await?;
        for _ in 0..30 {
            let now = health(&stand).await?;
            ensure!(now == before, "{before:?} became {now:?}");
            for client in clients(3) {
                ensure!(ask(stand.place(), client)? != "backend-2", "the dead backend got a client");
            }
            sleep(Duration::from_millis(30)).await;
        }
        let log = log(&stand)?.split_off(told);
        ensure!(!log.contains(" is up") && !log.contains(" is down"), "verdicts change:\n{log}");
        let now = stand.field("web", "backend-2", "since").await?;
        ensure!(now == since, "it is down since {since}, not since {now}");
        fs::remove_file(stand.place().sick(Host::Backend(2)))?;
        stand.becomes("web", "backend-2", "health", "up").await
    })
}

fn log(stand: &Stand) -> Result<String> {
    Ok(fs::read_to_string(stand.place().log(Host::Balancer, AGENT))?)
}

async fn health(stand: &Stand) -> Result<Vec<Value>> {
    Ok(stand.rows("web").await?.iter_mut().map(|row| row["health"].take()).collect())
}

fn changes_meanwhile() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-meanwhile-", |place| File::web(place, 3)).await?;
        fs::write(stand.place().sick(Host::Backend(1)), "")?;
        stand.becomes("web", "backend-1", "health", "down").await?;
        stand.balancer.kill()?;
        fs::remove_file(stand.place().sick(Host::Backend(1)))?;
        fs::write(stand.place().sick(Host::Backend(3)), "")?;
        stand.start().await?;
        stand.becomes("web", "backend-1", "health", "up").await?;
        stand.becomes("web", "backend-3", "health", "down").await
    })
}

//! The agent is killed and starts again, with backends in every state and sessions on them: nothing shows it.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{agent::AGENT, fixture::mode::Mode, paths::Place, servers, topology::Host};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    client::{Session, ask, clients, sessions, undisturbed},
    crowd::network,
    each::{EachMode, in_each_mode},
    file::{File, Service},
    labs::block_on,
    stand::{Stand, until},
};

pub(crate) const TESTS: &[EachMode] = &[
    in_each_mode!("restart_is_not_an_event", restart),
    in_each_mode!("a_backend_that_nobody_has_judged_is_up_with_its_first_good_check", first_good_check),
];

/// Backends of the file; one more has a server.
const BACKENDS: u8 = 4;

/// Three good checks for a backend that was down: it would show if one that was up had to earn it again.
const PACE: &str = "interval = \"300ms\"\ntimeout = \"300ms\"\nrise = 3\nfall = 2";
/// How long the new agent is watched.
const WATCHED: Duration = Duration::from_millis(2500);
/// What of a backend must be the same before and after.
const SAME: [&str; 8] = ["name", "number", "admin", "health", "since", "flows", "pins", "resets"];

fn file(place: &Place, mode: Mode) -> File {
    let mut file = File::web(place, BACKENDS);
    file.services =
        file.services.into_iter().map(|service| Service { mode, pace: PACE, ..service }).collect();
    file
}

async fn up(test: &str, mode: Mode) -> Result<Stand> {
    let stand = network(test, mode).await?;
    (1..=BACKENDS + 1).try_for_each(|n| servers::start_web(stand.place(), Host::Backend(n)))?;
    stand.write(&file(stand.place(), mode))?;
    stand.start().await?;
    stand.all_up().await?;
    Ok(stand)
}

fn restart(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = up("restart", mode).await?;
        let mut sessions = in_every_state(&stand, if lab::long() { 200 } else { 24 }).await?;
        let before = Books::of(&stand).await?;
        let told = log(&stand)?.len();

        for _ in 0..if lab::long() { 5 } else { 1 } {
            stand.balancer.kill()?;
            undisturbed(&mut sessions).context("while no agent runs")?;
            stand.start().await?;
            watch(&stand, &before, &mut sessions).await?;
        }

        let log = log(&stand)?.split_off(told);
        let verdict = log.lines().find(|line| [" is up: ", " is down: "].iter().any(|it| line.contains(it)));
        ensure!(verdict.is_none(), "a verdict changes: {verdict:?}");
        for (session, backend) in sessions.iter().filter(|(_, backend)| backend != "backend-3") {
            let again = ask(stand.place(), session.source)?;
            ensure!(again == *backend, "{} went to {again}, its pin says {backend}", session.source);
        }
        Ok(())
    })
}

/// The new agent never has a word of its own: from its first answer on, all is as it was.
async fn watch(stand: &Stand, before: &Books, sessions: &mut [(Session, String)]) -> Result<()> {
    let end = Instant::now() + WATCHED;
    while Instant::now() < end {
        before.verdicts_stand(stand).await?;
        undisturbed(sessions).context("after the restart")?;
        sleep(Duration::from_millis(100)).await;
    }
    // What a sweep counts is there after the first one.
    until("the books are as before", async || before.agree(stand).await.map(|()| true)).await
}

/// Sessions on backends one, three and four; two is down, three drains.
async fn in_every_state(stand: &Stand, count: u8) -> Result<Vec<(Session, String)>> {
    fs::write(stand.place().sick(Host::Backend(2)), "")?;
    stand.becomes("web", "backend-2", "health", "down").await?;
    let sessions = sessions(stand.place(), clients(count))?;
    ensure!(sessions.iter().all(|(_, backend)| backend != "backend-2"), "a client is on the dead backend");
    stand.balancer.run(&["backend", "drain", "web", "backend-3"]).await?;
    let expected = u64::from(count);
    until("a sweep has counted the pins", async || {
        let pins = stand.rows("web").await?.iter().filter_map(|row| row["pins"].as_u64()).sum::<u64>();
        Ok(pins == expected)
    })
    .await?;
    // Since when is kept a moment later than the verdict itself.
    sleep(Duration::from_millis(1500)).await;
    Ok(sessions)
}

/// What the agent knows.
struct Books {
    rows: Vec<Value>,
    flows: BTreeSet<String>,
    pins: BTreeSet<String>,
}

impl Books {
    async fn of(stand: &Stand) -> Result<Self> {
        let flows = stand.balancer.json(&["flow", "list", "web"]).await?;
        let pins = stand.balancer.json(&["pin", "list", "web"]).await?;
        Ok(Self {
            rows: stand.rows("web").await?,
            flows: lines(&flows["flows"], &["client", "destination", "backend"])?,
            pins: lines(&pins["pins"], &["client", "backend"])?,
        })
    }

    async fn verdicts_stand(&self, stand: &Stand) -> Result<()> {
        let now = stand.rows("web").await?;
        same(&self.rows, &now, &["name", "number", "admin", "health", "since"])
    }

    async fn agree(&self, stand: &Stand) -> Result<()> {
        let now = Self::of(stand).await?;
        same(&self.rows, &now.rows, &SAME)?;
        for (what, before, now) in [("flow", &self.flows, &now.flows), ("pin", &self.pins, &now.pins)] {
            let other = before.symmetric_difference(now).next();
            ensure!(
                other.is_none(),
                "{} {what}s became {}, one that differs: {other:?}",
                before.len(),
                now.len()
            );
        }
        Ok(())
    }
}

fn same(before: &[Value], now: &[Value], keys: &[&str]) -> Result<()> {
    ensure!(before.len() == now.len(), "{before:?} became {now:?}");
    for (before, now) in before.iter().zip(now) {
        for key in keys {
            let name = &before["name"];
            ensure!(before[key] == now[key], "{key} of {name}: {} became {}", before[key], now[key]);
        }
    }
    Ok(())
}

/// A list's rows by these of their keys.
fn lines(list: &Value, keys: &[&str]) -> Result<BTreeSet<String>> {
    let rows = list.as_array().context("it is no list")?;
    let line = |row: &Value| keys.iter().map(|key| row[key].to_string()).collect::<Vec<_>>().join(" ");
    Ok(rows.iter().map(line).collect())
}

fn log(stand: &Stand) -> Result<String> {
    Ok(fs::read_to_string(stand.place().log(Host::Balancer, AGENT))?)
}

/// `rise` counts after a `down` only.
fn first_good_check(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = up("first", mode).await?;
        let added = Host::Backend(5);
        let (v4, v6) = (added.v4().to_string(), added.v6().to_string());
        stand.balancer.run(&["backend", "add", "web", "backend-5", &v4, &v6]).await?;
        stand.becomes("web", "backend-5", "health", "up").await?;
        fs::write(stand.place().sick(added), "")?;
        stand.becomes("web", "backend-5", "health", "down").await?;
        fs::remove_file(stand.place().sick(added))?;
        stand.becomes("web", "backend-5", "health", "up").await?;
        let log = log(&stand)?;
        let ups: Vec<_> = log.lines().filter(|line| line.contains("backend-5 is up: ")).collect();
        ensure!(ups.len() == 2, "it was up twice: {ups:?}");
        ensure!(ups[0].ends_with("the check is good"), "{ups:?}");
        ensure!(ups[1].ends_with("3 good checks in a row"), "{ups:?}");
        Ok(())
    })
}

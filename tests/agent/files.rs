//! Broken files: named with their place, and without effect on what runs.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    Test,
    client::{clients, sessions, undisturbed},
    file::File,
    labs::block_on,
    stand::{Stand, outcome, refused, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("check_exits_with_5_and_says_where_and_what_to_do", check),
    ("an_agent_does_not_start_with_a_broken_file", start),
    ("a_reload_of_a_broken_file_changes_nothing", reload),
    ("a_hangup_with_a_broken_file_changes_nothing", hangup),
];

/// A way to break a good file: what is replaced by what, and a word of the complaint.
type Breakage = (&'static str, &'static str, &'static str);

const BREAKAGES: [Breakage; 8] = [
    ("schema = 1", "schema = 1\nnonsense", ":2:"),
    ("schema = 1", "schema = 7", "schema"),
    ("flows = 4096", "flowz = 4096", "did you mean \"flows\"?"),
    ("interval = \"300ms\"", "interval = 300", "interval"),
    ("fall = 2", "fall = 0", "fall"),
    ("name = \"backend-2\"", "name = \"backend-1\"", "twice"),
    // Keys that are known and not implemented yet.
    ("timeouts = {", "max_load = 1.25\ntimeouts = {", "not supported yet"),
    ("timeouts = {", "mode = \"gue\"\ntimeouts = {", "not supported yet"),
];

fn broken(stand: &Stand, (from, to, _): Breakage) -> Result<String> {
    let good = File::web(stand.place(), 2).to_string();
    let bad = good.replacen(from, to, 1);
    ensure!(good != bad, "{from:?} is not in the file");
    Ok(bad)
}

fn check() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-check-").await?;
        let config = stand.place().config();
        let config = config.to_string_lossy();
        stand.write(&File::web(stand.place(), 2))?;
        let good = stand.balancer.outcome(&["check", "-c", &config]).await?;
        ensure!(good.status.success(), "{good:?}");
        ensure!(good.stdout.is_empty() && good.stderr.is_empty(), "it is not silent: {good:?}");
        for breakage in BREAKAGES {
            stand.write(&broken(&stand, breakage)?)?;
            let bad = stand.balancer.outcome(&["check", "-c", &config]).await?;
            refused(&bad, 5, &[breakage.2])?;
            let place = bad.stderr.split(' ').next().context("nothing is said")?;
            let numbers = place.strip_prefix(&*config).context("it does not begin with the file")?;
            let numbers: Vec<_> = numbers.trim_matches(':').split(':').map(str::parse::<u32>).collect();
            ensure!(numbers.len() == 2 && numbers.iter().all(Result::is_ok), "no line and column: {bad:?}");
        }
        Ok(())
    })
}

fn start() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-badstart-").await?;
        for breakage in BREAKAGES {
            stand.write(&broken(&stand, breakage)?)?;
            refused(&outcome(stand.run_command(&[])?).await?, 5, &[breakage.2])?;
            stand.nothing_left()?;
        }
        fs::remove_file(stand.place().config())?;
        refused(&outcome(stand.run_command(&[])?).await?, 5, &["balancer.toml"])
    })
}

/// What must be as it was.
#[derive(Debug, PartialEq)]
struct Picture {
    interfaces: Value,
    services: Value,
    backends: Vec<Value>,
}

/// Services, their backends and the programs, without what time and traffic change.
async fn picture(stand: &Stand) -> Result<Picture> {
    let mut status = stand.balancer.json(&["status"]).await?;
    let mut backends = stand.rows("web").await?;
    for row in &mut backends {
        let row = row.as_object_mut().context("a row is no object")?;
        row.retain(|key, _| {
            ["name", "addresses", "weight", "admin", "health", "number", "flows"].contains(&key.as_str())
        });
    }
    Ok(Picture {
        interfaces: status["interfaces"].take(),
        services: stand.balancer.json(&["service", "list"]).await?,
        backends,
    })
}

async fn last_reload(stand: &Stand) -> Result<Value> {
    Ok(stand.balancer.json(&["status"]).await?["last_reload"].take())
}

fn reload() -> Result<()> {
    changes_nothing("ba-badreload-", async |stand, breakage| {
        let refusal = stand.balancer.outcome(&["reload", "--yes", "--discard-runtime"]).await?;
        refused(&refusal, 5, &[breakage.2, "balancer.toml:"])?;
        ensure!(refusal.stdout.is_empty(), "{refusal:?}");
        Ok(())
    })
}

fn hangup() -> Result<()> {
    changes_nothing("ba-badhup-", async |stand, _| stand.signal(Signal::HUP))
}

fn changes_nothing(prefix: &str, load: impl AsyncFn(&Stand, Breakage) -> Result<()>) -> Result<()> {
    block_on(async {
        let stand = Stand::up(prefix, |place| File::web(place, 2)).await?;
        stand.balancer.run(&["backend", "weight", "web", "backend-1", "7"]).await?;
        let mut sessions = sessions(stand.place(), clients(6))?;
        let before = picture(&stand).await?;
        for breakage in BREAKAGES {
            let at = last_reload(&stand).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
            stand.write(&broken(&stand, breakage)?)?;
            load(&stand, breakage).await?;
            until("status tells of the reload", async || Ok(last_reload(&stand).await? != at)).await?;
            let last = last_reload(&stand).await?;
            let said = last["error"].as_str().is_some_and(|error| error.contains(breakage.2));
            ensure!(last["ok"] == false && said, "status says {last}");
            let now = picture(&stand).await?;
            ensure!(now == before, "{breakage:?}: {before:?} became {now:?}");
            undisturbed(&mut sessions)?;
        }
        // The repaired file is taken.
        stand.write(&File::web(stand.place(), 2))?;
        stand.balancer.run(&["reload"]).await?;
        let last = last_reload(&stand).await?;
        ensure!(last["ok"] == true && last["error"].is_null(), "status says {last}");
        ensure!(picture(&stand).await? == before, "the good file is the one that ran");
        undisturbed(&mut sessions)
    })
}

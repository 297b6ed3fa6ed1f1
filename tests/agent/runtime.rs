//! Runtime changes: they win over the file, across restarts, until something ends them.

use std::fs;

use anyhow::{Result, ensure};
use lab::{network::INTERFACE, topology::Host};
use serde_json::Value;

use crate::{
    Test,
    file::{Backend, File},
    labs::block_on,
    stand::{Stand, outcome, refused, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("runtime_changes_win_over_the_file_across_a_restart", survive_a_restart),
    ("the_opposite_verb_ends_a_runtime_change", opposite_verbs),
    ("a_reload_that_discards_runtime_changes_leaves_the_file_alone", discarded),
    ("a_change_of_the_same_key_in_the_file_ends_a_runtime_change", overtaken),
    ("a_damaged_journal_is_named_and_refused", damaged_journal),
];

/// Three backends in the file; the verbs of [`make_changes`] touch each of them and add a fourth.
fn file(stand: &Stand) -> File {
    File::web(stand.place(), 3)
}

async fn make_changes(stand: &Stand) -> Result<()> {
    let added = Host::Backend(4);
    let (v4, v6) = (added.v4().to_string(), added.v6().to_string());
    for words in [
        &["backend", "drain", "web", "backend-1"][..],
        &["backend", "weight", "web", "backend-2", "7"],
        &["backend", "add", "web", "backend-4", &v4, &v6],
        &["backend", "del", "web", "backend-3", "--now"],
    ] {
        stand.balancer.run(words).await?;
    }
    Ok(())
}

/// Admin state and weight of each backend that there is.
async fn rows(stand: &Stand) -> Result<Vec<String>> {
    let show = |row: &Value| {
        let word = |key: &str| row[key].as_str().unwrap_or("?").to_owned();
        format!("{} {} {}", word("name"), word("admin"), row["weight"])
    };
    Ok(stand.rows("web").await?.iter().map(show).collect())
}

const CHANGED: [&str; 3] = ["backend-1 drain 100", "backend-2 ready 7", "backend-4 ready 100"];
const OF_THE_FILE: [&str; 3] = ["backend-1 ready 100", "backend-2 ready 100", "backend-3 ready 100"];

async fn are(stand: &Stand, expected: &[&str], when: &str) -> Result<()> {
    let rows = rows(stand).await?;
    ensure!(rows == expected, "{when}: {rows:?}, not {expected:?}");
    Ok(())
}

async fn drift(stand: &Stand) -> Result<Vec<Value>> {
    let mut status = stand.balancer.json(&["status"]).await?;
    Ok(serde_json::from_value(status["drift"].take())?)
}

async fn changed(prefix: &str) -> Result<Stand> {
    let stand = Stand::up(prefix, |place| File::web(place, 3)).await?;
    make_changes(&stand).await?;
    are(&stand, &CHANGED, "after the verbs").await?;
    ensure!(drift(&stand).await?.len() == 4, "the drift is not shown: {:?}", drift(&stand).await?);
    Ok(stand)
}

fn survive_a_restart() -> Result<()> {
    block_on(async {
        let stand = changed("ba-runtime-").await?;
        stand.stop().await?;
        stand.start().await?;
        are(&stand, &CHANGED, "after an orderly restart").await?;
        stand.balancer.kill()?;
        stand.start().await?;
        are(&stand, &CHANGED, "after SIGKILL").await?;
        stand.balancer.run(&["reload"]).await?;
        are(&stand, &CHANGED, "after a reload of the same file").await?;
        // Also where the tables are lost: the journal is not about them.
        let agent = stand.agent()?;
        stand.balancer.run(&["detach", "--yes"]).await?;
        until("the agent ends", async || Ok(!agent.alive())).await?;
        stand.start().await?;
        are(&stand, &CHANGED, "after a detach").await
    })
}

fn opposite_verbs() -> Result<()> {
    block_on(async {
        let stand = changed("ba-opposite-").await?;
        let deleted = Host::Backend(3);
        let (v4, v6) = (deleted.v4().to_string(), deleted.v6().to_string());
        for words in [
            &["backend", "ready", "web", "backend-1"][..],
            &["backend", "weight", "web", "backend-2", "100"],
            &["backend", "del", "web", "backend-4", "--now"],
            &["backend", "add", "web", "backend-3", &v4, &v6],
        ] {
            stand.balancer.run(words).await?;
        }
        are(&stand, &OF_THE_FILE, "after the opposite verbs").await?;
        ensure!(drift(&stand).await?.is_empty(), "there is drift: {:?}", drift(&stand).await?);
        stand.stop().await?;
        stand.start().await?;
        are(&stand, &OF_THE_FILE, "after a restart").await
    })
}

fn discarded() -> Result<()> {
    block_on(async {
        let stand = changed("ba-discard-").await?;
        let diff = stand.balancer.run(&["reload", "--discard-runtime"]).await?;
        for backend in ["backend-1", "backend-2", "backend-3", "backend-4"] {
            ensure!(diff.contains(backend), "the diff has no {backend}:\n{diff}");
        }
        ensure!(drift(&stand).await?.is_empty(), "there is drift: {:?}", drift(&stand).await?);
        stand.stop().await?;
        stand.start().await?;
        let mut rows = rows(&stand).await?;
        // The added one may still drain.
        rows.retain(|row| !row.starts_with("backend-4"));
        ensure!(rows == OF_THE_FILE, "{rows:?}");
        Ok(())
    })
}

fn overtaken() -> Result<()> {
    block_on(async {
        let stand = changed("ba-overtake-").await?;
        // Another key of the same backend ends nothing.
        let mut next = file(&stand);
        next.services[0].backends[0].keys = "weight = 50";
        next.services[0].keys = "min_ready = 2";
        stand.write(&next)?;
        stand.balancer.run(&["reload"]).await?;
        let others = ["backend-1 drain 50", CHANGED[1], CHANGED[2]];
        are(&stand, &others, "another key of the file has changed").await?;

        next.services[0].backends[0].keys = "weight = 50\nstate = \"maint\"";
        next.services[0].backends[1].keys = "weight = 70";
        stand.write(&next)?;
        let diff = stand.balancer.run(&["reload"]).await?;
        ensure!(diff.contains("maint") && diff.contains("70"), "{diff}");
        let now = ["backend-1 maint 50", "backend-2 ready 70", CHANGED[2]];
        are(&stand, &now, "the same keys of the file have changed").await?;

        // Also where the file changes while no agent runs.
        stand.stop().await?;
        next.services[0].backends.push(Backend::new(Host::Backend(4)));
        next.services[0].backends.remove(2);
        stand.write(&next)?;
        stand.start().await?;
        are(&stand, &now, "the file has come to where the verbs were").await?;
        ensure!(drift(&stand).await?.is_empty(), "there is drift: {:?}", drift(&stand).await?);
        Ok(())
    })
}

fn damaged_journal() -> Result<()> {
    block_on(async {
        let stand = changed("ba-journal-").await?;
        stand.stop().await?;
        let (program, journal) = (stand.xdp()?, stand.place().agent_state().join("runtime.json"));
        let whole = fs::read(&journal)?;
        for damage in [&whole[..whole.len() / 2], b""] {
            fs::write(&journal, damage)?;
            let refusal = outcome(stand.run_command(&[])?).await?;
            refused(&refusal, 1, &[&journal.to_string_lossy(), "damaged", "move it aside"])?;
            ensure!(fs::read(&journal)? == damage, "the journal was touched");
            ensure!(stand.xdp()? == program, "the program on {INTERFACE} was touched");
        }
        fs::write(&journal, whole)?;
        stand.start().await?;
        are(&stand, &CHANGED, "with the repaired journal").await
    })
}

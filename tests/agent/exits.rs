//! Exit codes, pipes and documents of the command line, against a real agent.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use lab::topology::VIP_V4;
use tokio::io::AsyncReadExt as _;

use crate::{
    Test,
    client::{clients, sessions},
    file::File,
    labs::block_on,
    stand::{Stand, refused},
};

pub(crate) const TESTS: &[Test] = &[
    ("every_exit_code_means_what_the_manual_says", exit_codes),
    ("a_reader_that_leaves_is_no_error", closed_pipe),
    ("every_document_is_json_of_schema_1_on_stdout_alone", documents),
];

fn exit_codes() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-exits-", |place| File::web(place, 2)).await?;
        let config = stand.place().config();
        let held = sessions(stand.place(), clients(6))?;
        let (_, at) = held.first().context("no session")?;
        let ok = [
            "status",
            "service list",
            "backend list web",
            "flow list",
            "pin list",
            "check -c FILE",
            "--help",
        ];
        for words in ok {
            expect(&stand, words, 0, &[]).await?;
        }
        for words in
            ["", "frobnicate", "backend drain web", "backend weight web backend-1 x", "flow list --client x"]
        {
            expect(&stand, words, 2, &["--help"]).await?;
        }
        expect(&stand, "backend weight web backend-1 99999", 2, &["99999"]).await?;
        expect(&stand, "backend list nothing", 3, &["nothing"]).await?;
        expect(&stand, "backend drain web nobody", 3, &["nobody"]).await?;
        expect(&stand, "service show nothing", 3, &["nothing"]).await?;
        expect(&stand, "pin get web 192.0.2.77", 3, &["192.0.2.77"]).await?;
        expect(&stand, "--api /nonexistent.sock status", 4, &["/nonexistent.sock"]).await?;
        let wait = format!("backend drain web {at} --wait --timeout 700ms");
        expect(&stand, &wait, 6, &["flow", "left"]).await?;
        drop(held);
        expect(&stand, &wait, 0, &[]).await?;
        expect(&stand, "backend maint web backend-1 --force --yes", 0, &[]).await?;
        std::fs::write(config, "broken")?;
        expect(&stand, "reload", 5, &["balancer.toml:1:"]).await?;
        expect(&stand, "check -c FILE", 5, &["balancer.toml:1:"]).await
    })
}

/// Runs words that are one line; `FILE` is the agent's file.
async fn expect(stand: &Stand, line: &str, code: i32, says: &[&str]) -> Result<()> {
    let config = stand.place().config().to_string_lossy().into_owned();
    let words: Vec<_> =
        line.split_whitespace().map(|word| if word == "FILE" { &*config } else { word }).collect();
    let outcome = stand.balancer.outcome(&words).await?;
    refused(&outcome, code, says).with_context(|| format!("balancer {line}"))?;
    ensure!(code == 0 || outcome.stdout.is_empty(), "balancer {line} talks on stdout: {outcome:?}");
    ensure!(!outcome.stderr.contains("panicked"), "balancer {line}: {outcome:?}");
    Ok(())
}

fn closed_pipe() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-pipe-", |place| File::web(place, 2)).await?;
        for client in clients(60) {
            crate::client::ask(stand.place(), client)?;
        }
        for words in [
            &["pin", "list"][..],
            &["flow", "list", "-j"],
            &["status", "-o", "wide"],
            &["config", "example"],
            &["--help"],
        ] {
            let mut command = stand.balancer.command(words);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            // Gone before the first byte.
            drop(child.stdout.take());
            let mut said = String::new();
            child.stderr.take().context("no stderr")?.read_to_string(&mut said).await?;
            let status = child.wait().await?;
            ensure!(status.success() && said.is_empty(), "balancer {words:?} | head: {status}, {said:?}");
        }
        Ok(())
    })
}

fn documents() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-json-", |place| File::web(place, 3)).await?;
        let held = sessions(stand.place(), clients(4))?;
        let client = held[0].0.source.to_string();
        let vip = format!("{VIP_V4}:80/tcp");
        let source = held.iter().map(|(session, _)| session.source).find(|source| source.is_ipv4());
        let source = source.context("no v4 client")?.to_string();
        for words in [
            &["status"][..],
            &["service", "list"],
            &["service", "show", "web"],
            &["backend", "list", "web"],
            &["flow", "list"],
            &["flow", "count"],
            &["pin", "list"],
            &["pin", "get", "web", &client],
            &["explain", &source, &vip],
            &["backend", "weight", "web", "backend-1", "50"],
            &["backend", "drain", "web", "backend-1"],
            &["backend", "ready", "web", "backend-1"],
            &["backend", "add", "web", "backend-9", "10.77.0.24"],
            &["backend", "del", "web", "backend-9"],
            &["pin", "del", "web", &client],
            &["reload"],
            &["detach", "--yes"],
        ] {
            // `json` wants schema 1, and nothing but the document.
            stand.balancer.json(words).await?;
        }
        Ok(())
    })
}

//! A flow that was silent for too long: forgotten, which its client need not notice, or reset.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{clients, mode::Mode},
    node::lines::Over,
};
use tokio::time::{sleep, timeout};

use crate::{
    crowd::{CALM, VICTIM, hears_the_end, number, sessions_on, stand},
    each::{EachMode, in_each_mode},
    labs::block_on,
    stand::{Stand, refused, until},
    trials::Test,
};

pub(crate) const IN_EACH_MODE: &[EachMode] = &[in_each_mode!("timeouts", reset)];
pub(crate) const TESTS: &[Test] = &[
    ("a_flow_that_was_forgotten_goes_on_at_its_clients_pin", forget),
    ("an_idle_timeout_that_is_not_longer_than_the_heartbeat_is_refused", heartbeat),
];

const SHORT: &str = "established = \"4s\", syn = \"4s\", closing = \"4s\"";
const CLIENTS: u32 = 20;

/// Until the last flow has run out, and a sweep has seen it.
async fn run_out(stand: &Stand) -> Result<()> {
    for _ in 0..3 {
        if until("no flow is left", async || Ok(number(stand, VICTIM, "flows").await? == 0)).await.is_ok() {
            return Ok(());
        }
    }
    anyhow::bail!("the flows do not run out")
}

fn reset(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = stand("expire", mode, "on_expire = \"reset\"", SHORT).await?;
        let sessions = sessions_on(&stand, VICTIM, 0..CLIENTS).await?;
        for client in sessions {
            let (source, over, _) =
                timeout(CALM * 2, client.until_over(false)).await.context("a client hears nothing")?;
            ensure!(over == Over::Failed(std::io::ErrorKind::ConnectionReset), "{source}: {over:?}");
        }
        ensure!(number(&stand, VICTIM, "resets").await? == u64::from(CLIENTS), "resets");
        println!("timeouts, {}: {CLIENTS} silent clients, all reset", mode.name());
        hears_the_end(&stand, mode, VICTIM).await
    })
}

fn forget() -> Result<()> {
    block_on(async {
        let stand = stand("forget", Mode::L2dsr, "", SHORT).await?;
        let mut sessions = sessions_on(&stand, VICTIM, 0..CLIENTS).await?;
        run_out(&stand).await?;
        let failed = clients::exchange_all(&mut sessions, CALM).await;
        ensure!(failed.is_empty(), "{} sessions are lost: {:#}", failed.len(), failed[0]);
        sleep(Duration::from_millis(200)).await;
        ensure!(number(&stand, VICTIM, "resets").await? == 0, "resets");
        Ok(())
    })
}

fn heartbeat() -> Result<()> {
    block_on(async {
        let stand = stand("beat", Mode::L2dsr, "", SHORT).await?;
        let path = stand.place().config();
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, text.replacen("[[service]]", "[[service]]\nheartbeat = \"30s\"", 1))?;
        let outcome = stand.balancer.outcome(&["reload"]).await?;
        refused(&outcome, 5, &["not longer than the heartbeat"])
    })
}

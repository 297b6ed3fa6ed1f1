//! Many clients come: each begins a session that will send a numbered message every second.

use anyhow::Result;

use super::stage::{Stage, tally};
use crate::crowd::Crowd;

const STEP: &str = "clients come";

/// See the module.
///
/// # Errors
/// When the clients can't be commanded.
pub async fn run(stage: &mut Stage) -> Result<()> {
    stage.headline(
        "clients come: WebSocket sessions and UDP clients, v4 and v6, each from an address of its own",
    );
    let (ws, udp) = (stage.scale.ws_sources(), stage.scale.udp_sources());
    let (measured, holds) = open(&mut stage.ws, ws).await?;
    stage.rows.check(STEP, "every WebSocket session is served", measured, holds);
    let (measured, holds) = open(&mut stage.udp, udp).await?;
    stage.rows.check(STEP, "every UDP client is served", measured, holds);
    // A UDP flow counts from its third datagram on: the picture should have them.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    stage.check_sessions(STEP).await
}

async fn open(crowd: &mut Crowd, sources: Vec<std::net::IpAddr>) -> Result<(String, bool)> {
    let reports = crowd.open(sources).await?;
    let lost: Vec<_> = reports.iter().filter(|report| report.lost.is_some()).collect();
    Ok((tally(&reports, &lost), lost.is_empty()))
}

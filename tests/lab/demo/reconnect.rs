//! Everybody closes and comes back from a new source port: to the backend that has its state.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Result;

use super::stage::{Stage, some, tally};
use crate::{crowd::Crowd, wire::Report};

const STEP: &str = "all reconnect";
/// One client in so many may come back from the port that it had.
const STALE: usize = 20;

/// See the module.
///
/// # Errors
/// When the clients can't be commanded.
pub async fn run(stage: &mut Stage) -> Result<()> {
    stage.headline("all clients close, and come back from new source ports");
    let (measured, holds) = everyone(&mut stage.ws).await?;
    stage.rows.check(STEP, "every WebSocket client reaches its backend", measured, holds);
    let (measured, holds) = everyone(&mut stage.udp).await?;
    stage.rows.check(STEP, "every UDP client reaches its backend", measured, holds);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    stage.check_sessions(STEP).await
}

/// Reconnects all clients of a crowd: what to show, and whether all came home, nearly all from another port.
///
/// # Errors
/// When the clients can't be commanded.
pub async fn everyone(crowd: &mut Crowd) -> Result<(String, bool)> {
    let ports: BTreeMap<IpAddr, u16> =
        crowd.status().await?.into_iter().map(|report| (report.source, report.port)).collect();
    let everyone = crowd.everyone();
    let reports = some(crowd.reconnect(everyone).await?, "reconnect")?;
    let strays = crowd.strays(&reports);
    let same_port = |report: &&Report| ports.get(&report.source) == Some(&report.port);
    let stale = reports.iter().filter(same_port).count();
    let measured = match stale {
        0 => tally(&reports, &strays),
        stale => format!("{}; {stale} from their old port", tally(&reports, &strays)),
    };
    // The kernel chooses the port, now and then the old one: what shows the pin is that hardly any has it.
    Ok((measured, strays.is_empty() && stale * STALE <= reports.len()))
}

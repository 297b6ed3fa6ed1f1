//! Everybody closes and comes back from a new source port: to the backend that has its state.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Result;

use super::stage::{Stage, some, tally};
use crate::{crowd::Crowd, wire::Report};

const STEP: &str = "all reconnect";
/// How often a client comes again that the kernel gave its old port.
const TRIES: usize = 3;

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

/// Reconnects all clients of a crowd: what to show, and whether all came home from another port.
///
/// # Errors
/// When the clients can't be commanded.
pub async fn everyone(crowd: &mut Crowd) -> Result<(String, bool)> {
    let ports: BTreeMap<IpAddr, u16> =
        crowd.status().await?.into_iter().map(|report| (report.source, report.port)).collect();
    let everyone = crowd.everyone();
    let mut reports = some(crowd.reconnect(everyone).await?, "reconnect")?;
    let old = |report: &&Report| ports.get(&report.source) == Some(&report.port);
    let from_old =
        |reports: &[Report]| reports.iter().filter(old).map(|it| it.source).collect::<Vec<IpAddr>>();
    let mut again = from_old(&reports);
    for _ in 0..TRIES {
        if again.is_empty() {
            break;
        }
        // The kernel chooses the port, by chance the old one: that would show the flow, not the pin.
        let more = crowd.reconnect(again).await?;
        again = from_old(&more);
        reports.extend(more);
    }
    let (strays, stale) = (crowd.strays(&reports), again.len());
    let measured = match stale {
        0 => tally(&reports, &strays),
        stale => format!("{}; {stale} from their old port", tally(&reports, &strays)),
    };
    Ok((measured, strays.is_empty() && stale == 0))
}

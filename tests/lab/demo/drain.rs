//! A backend is drained: its pinned clients' new connections go elsewhere, its old sessions live until they end.

use std::{net::IpAddr, process::Stdio, time::Duration};

use anyhow::Result;
use tokio::{
    process::Child,
    time::{sleep, timeout},
};

use super::stage::{Stage, some, tally};
use crate::{config::Service, crowd::Crowd, topology::Host};

const STEP: &str = "a backend is drained";

/// The backend that is drained.
pub const DRAINED: Host = Host::Backend(1);

/// How long `drain --wait` may take after the last session has gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module.
///
/// # Errors
/// When a command fails or the clients can't be commanded.
pub async fn run(stage: &mut Stage) -> Result<()> {
    stage.headline(&format!("{DRAINED} is drained"));
    let name = DRAINED.to_string();
    let (ws, udp) = (stage.ws.at(&name), stage.udp.at(&name));
    let mut waiting = begin(stage, &name).await?;
    try_anew(stage, &ws, &udp, &name).await?;
    sleep(Duration::from_millis(1500)).await;
    stage.check_sessions(STEP).await?;
    let still_waiting = waiting.try_wait()?.is_none();
    leave(stage, ws, udp, &name).await?;
    let ended = timeout(PATIENCE, waiting.wait()).await;
    let measured = match &ended {
        _ if !still_waiting => "it ended while sessions were live".to_owned(),
        Ok(status) => status.as_ref().map_or_else(ToString::to_string, ToString::to_string),
        Err(_) => format!("it still waits {} s after the last session", PATIENCE.as_secs()),
    };
    let holds = still_waiting && matches!(&ended, Ok(Ok(status)) if status.success());
    stage.rows.check(STEP, "`drain --wait` ends with 0 when its sessions have gone", measured, holds);
    Ok(())
}

/// Drains it in both services; the returned command waits for the WebSocket service.
async fn begin(stage: &Stage, name: &str) -> Result<Child> {
    let waiting = stage
        .balancer
        .command(&["backend", "drain", Service::Ws.name(), name, "--wait", "--timeout", "60s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    stage.balancer.run(&["backend", "drain", Service::Udp.name(), name]).await?;
    // Until the first drain is in force too.
    for _ in 0..100 {
        let backends = stage.balancer.backends(Service::Ws).await?;
        if backends.iter().any(|backend| backend.name == name && backend.admin == "drain") {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(waiting)
}

/// Every pinned client makes a new connection beside its old session.
async fn try_anew(stage: &mut Stage, ws: &[IpAddr], udp: &[IpAddr], name: &str) -> Result<()> {
    let mut reports = some(stage.ws.try_once(ws.to_vec()).await?, "clients of the drained backend")?;
    reports.extend(stage.udp.try_once(udp.to_vec()).await?);
    let bad: Vec<_> = reports
        .iter()
        .filter(|report| report.lost.is_some() || report.backend.as_deref() == Some(name))
        .collect();
    let must = format!("≥ {} pinned clients try it anew, and none lands there", stage.scale.drained);
    let holds = bad.is_empty() && reports.len() >= stage.scale.drained;
    stage.rows.check(STEP, &must, format!("{} elsewhere", tally(&reports, &bad)), holds);
    Ok(())
}

/// The old sessions end, and their clients find another home.
async fn leave(stage: &mut Stage, ws: Vec<IpAddr>, udp: Vec<IpAddr>, name: &str) -> Result<()> {
    let mut all_elsewhere = move_out(&mut stage.ws, ws, name).await?;
    all_elsewhere.extend(move_out(&mut stage.udp, udp, name).await?);
    let bad: Vec<_> = all_elsewhere.iter().filter(|report| report.backend.as_deref() == Some(name)).collect();
    let measured = format!("{} elsewhere", tally(&all_elsewhere, &bad));
    stage.rows.check(STEP, "its clients come back elsewhere when they have closed", measured, bad.is_empty());
    Ok(())
}

async fn move_out(crowd: &mut Crowd, sources: Vec<IpAddr>, name: &str) -> Result<Vec<crate::wire::Report>> {
    let reports = crowd.reconnect(sources).await?;
    if !reports.iter().any(|report| report.backend.as_deref() == Some(name)) {
        crowd.settle(&reports);
    }
    Ok(reports)
}

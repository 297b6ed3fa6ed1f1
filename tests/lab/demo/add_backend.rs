//! A fifth backend is added at runtime: nobody moves, neither the sessions nor the clients that come back.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::{
    reconnect,
    stage::{Stage, some},
};
use crate::{
    agent::Balancer,
    config::Service,
    crowd::Crowd,
    topology::{CONFIGURED, Host},
};

const STEP: &str = "a backend is added";

/// The backend that is added.
pub const ADDED: Host = Host::Backend(CONFIGURED + 1);

/// See the module.
///
/// # Errors
/// When a command fails or the clients can't be commanded.
pub async fn run(stage: &mut Stage) -> Result<()> {
    stage.headline(&format!("{ADDED} is added at runtime"));
    add(&stage.balancer).await?;
    sleep(Duration::from_millis(2200)).await;
    stage.check_sessions(STEP).await?;
    let elsewhere = maglev_elsewhere(&stage.balancer, &stage.ws).await?
        + maglev_elsewhere(&stage.balancer, &stage.udp).await?;
    let (measured, holds) = reconnect::everyone(&mut stage.ws).await?;
    stage.rows.check(STEP, "all WebSocket clients come back to their old backend", measured, holds);
    let (measured, holds) = reconnect::everyone(&mut stage.udp).await?;
    stage.rows.check(STEP, "all UDP clients come back to their old backend", measured, holds);
    let measured = format!("{elsewhere} clients");
    stage.rows.check(
        STEP,
        "the new Maglev table alone would have sent some elsewhere",
        measured,
        elsewhere > 0,
    );
    Ok(())
}

/// Adds it to every service, and waits until its checks have found it up.
///
/// # Errors
/// When a command fails, or it does not come up.
pub async fn add(balancer: &Balancer) -> Result<()> {
    let (name, v4, v6) = (ADDED.to_string(), ADDED.v4().to_string(), ADDED.v6().to_string());
    for service in Service::ALL {
        balancer.run(&["backend", "add", service.name(), &name, &v4, &v6]).await?;
    }
    for service in Service::ALL {
        balancer.await_health(service, &name, "up").await?;
    }
    Ok(())
}

/// How many clients the current Maglev table alone would send elsewhere than to their home.
async fn maglev_elsewhere(balancer: &Balancer, crowd: &Crowd) -> Result<usize> {
    let mut elsewhere = 0;
    for (source, home) in &crowd.home {
        let says = balancer.explain(*source, crowd.kind.service()).await?.maglev_backend;
        elsewhere += usize::from(says.as_ref() != Some(home));
    }
    Ok(elsewhere)
}

/// Whether the new backend takes clients that nobody knew: not a step, but what the tests ask too.
///
/// # Errors
/// When the clients can't be commanded.
pub async fn newcomers_reach_it(stage: &mut Stage) -> Result<bool> {
    let reports = some(stage.ws.try_once(super::Scale::fresh_sources(1)).await?, "newcomers")?;
    Ok(reports.iter().any(|report| report.backend.as_deref() == Some(&ADDED.to_string())))
}

//! One backend's processes are killed, another's cable is pulled: its clients' new connections succeed elsewhere in time.

use std::time::Duration;

use anyhow::Result;

use super::stage::{Stage, some};
use crate::{
    config::{Service, failover_bound},
    paths::Place,
    process, servers,
    topology::Host,
    wire::Report,
};

/// The backend whose server processes are killed.
pub const KILLED: Host = Host::Backend(2);
/// The backend whose link goes down.
pub const CUT_OFF: Host = Host::Backend(3);

/// How long clients go on trying: longer than the bound, so that the table can say by how much it was missed.
const TRY_FOR: Duration = Duration::from_secs(12);

/// See the module; both backends are whole again at the end.
///
/// # Errors
/// When a command fails or the clients can't be commanded.
pub async fn run(stage: &mut Stage) -> Result<()> {
    killed(stage).await?;
    cut_off(stage).await?;
    repair(stage).await
}

/// The processes of one backend die.
///
/// # Errors
/// As [`run`].
pub async fn killed(stage: &mut Stage) -> Result<()> {
    const STEP: &str = "a backend's process is killed";
    stage.headline(&format!("the servers of {KILLED} are killed"));
    for program in [servers::WS, servers::UDP] {
        process::running(&stage.place, KILLED, program)?.kill()?;
    }
    survive(stage, STEP, KILLED).await
}

/// The link of one backend goes down.
///
/// # Errors
/// As [`run`].
pub async fn cut_off(stage: &mut Stage) -> Result<()> {
    const STEP: &str = "a backend's link goes down";
    stage.headline(&format!("the link of {CUT_OFF} is set down"));
    set_link(&stage.place, CUT_OFF, "down")?;
    survive(stage, STEP, CUT_OFF).await
}

/// Brings both back, and waits until their checks have noticed.
///
/// # Errors
/// As [`run`].
pub async fn repair(stage: &mut Stage) -> Result<()> {
    servers::start_ws(&stage.place, KILLED)?;
    servers::start_udp(&stage.place, KILLED)?;
    set_link(&stage.place, CUT_OFF, "up")?;
    for host in [KILLED, CUT_OFF] {
        for service in Service::ALL {
            stage.balancer.await_health(service, &host.to_string(), "up").await?;
        }
    }
    Ok(())
}

/// At the switch's end: the host keeps its addresses and routes, and sees its carrier go, as if the cable was pulled.
fn set_link(place: &Place, host: Host, state: &str) -> Result<()> {
    place.switch().ip(&format!("link set dev {host} {state}\n"))
}

/// The dead backend's clients try new connections at once, and all others notice nothing.
async fn survive(stage: &mut Stage, step: &'static str, dead: Host) -> Result<()> {
    let name = dead.to_string();
    let try_for = u64::try_from(TRY_FOR.as_millis())?;
    let (ws, udp) = (stage.ws.at(&name), stage.udp.at(&name));
    let (ws, udp) = tokio::try_join!(stage.ws.retry(ws, try_for), stage.udp.retry(udp, try_for))?;
    stage.ws.settle(&ws);
    stage.udp.settle(&udp);
    let bound = u64::try_from(failover_bound().as_millis())?;
    for (what, reports) in [("WebSocket", ws), ("UDP", udp)] {
        let reports = some(reports, "clients of the dead backend")?;
        let must = format!("its {what} clients are served elsewhere within {bound} ms");
        let (measured, holds) = judge(&reports, &name, bound);
        stage.rows.check(step, &must, measured, holds);
    }
    // What the others' sessions went through shows with their next message.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    stage.check_sessions(step).await
}

fn judge(reports: &[Report], dead: &str, bound: u64) -> (String, bool) {
    let elsewhere = |report: &&Report| report.backend.as_deref().is_some_and(|backend| backend != dead);
    let served = reports.iter().filter(elsewhere).count();
    let slowest = reports.iter().map(|report| report.millis).max().unwrap_or(0);
    let measured = format!("{served} of {}, the last after {slowest} ms", reports.len());
    (measured, served == reports.len() && slowest <= bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(backend: Option<&str>, millis: u64) -> Report {
        let source = "10.78.1.1".parse().unwrap();
        Report { source, backend: backend.map(str::to_owned), port: 1, answered: 1, millis, lost: None }
    }

    #[test]
    fn a_client_that_is_late_does_not_hold() {
        assert!(judge(&[report(Some("b"), 5000)], "a", 5000).1);
        assert!(!judge(&[report(Some("b"), 5001)], "a", 5000).1);
    }

    #[test]
    fn a_client_that_nobody_serves_does_not_hold() {
        assert!(!judge(&[report(Some("b"), 10), report(None, 10)], "a", 5000).1);
        assert!(!judge(&[report(Some("a"), 10)], "a", 5000).1);
    }
}

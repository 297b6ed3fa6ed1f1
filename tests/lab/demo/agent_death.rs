//! The agent is killed with SIGKILL, stays dead, and starts again: nobody notices.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Scale, add_backend, drain,
    stage::{Stage, tally},
};
use crate::{
    config::Service,
    wire::{ProbeReport, Report},
};

const STEP: &str = "the agent is killed";

/// Time between two new connections of the series.
const EVERY_MS: u64 = 50;
/// The client hosts that the series of new connections come from.
const WS_PROBE: u8 = 1;
const UDP_PROBE: u8 = 2;
/// When clients reconnect, seconds after the agent's start.
const AFTER_START: [f64; 4] = [0.1, 1.5, 4.0, 8.0];
/// How long after the start the step goes on.
const WATCHED: Duration = Duration::from_secs(10);

/// See the module.
///
/// # Errors
/// When a command fails or the clients can't be commanded.
pub async fn run(stage: &mut Stage) -> Result<()> {
    let dead = stage.scale.dead;
    stage.headline(&format!("the agent is killed with SIGKILL, and stays dead for {} s", dead.as_secs()));
    stage.ws.probe_start(Scale::fresh_sources(WS_PROBE), EVERY_MS).await?;
    stage.udp.probe_start(Scale::fresh_sources(UDP_PROBE), EVERY_MS).await?;
    sleep(Duration::from_millis(500)).await;

    let killed = Instant::now();
    stage.balancer.kill()?;
    let at = [0.05, 0.45, 0.85].map(|part| killed + dead.mul_f64(part));
    let meanwhile = reconnect_in_turn(stage, &at).await?;
    stage.check_sessions(STEP).await?;
    sleep_until(killed + dead).await;

    stage.headline("the agent starts again");
    let started = Instant::now();
    stage.balancer.start()?;
    let afterwards =
        reconnect_in_turn(stage, &AFTER_START.map(|s| started + Duration::from_secs_f64(s))).await?;
    stage.balancer.await_ready().await?;
    sleep_until(started + WATCHED).await;

    let ws = stage.ws.probe_stop(WS_PROBE).await?;
    let udp = stage.udp.probe_stop(UDP_PROBE).await?;
    check_probe(stage, "a new WebSocket connection every 50 ms is never refused", &ws);
    check_probe(stage, "a new UDP client every 50 ms is never left alone", &udp);
    check_home(stage, "every client that reconnects meanwhile reaches its backend", &meanwhile);
    check_home(stage, "and so in the first 10 s after the start", &afterwards);
    stage.check_sessions(STEP).await?;
    check_runtime_changes(stage).await
}

/// A part of the clients reconnects at each of these times.
async fn reconnect_in_turn(stage: &mut Stage, times: &[Instant]) -> Result<Vec<(Report, bool)>> {
    let mut outcome = Vec::new();
    for (turn, time) in times.iter().enumerate() {
        sleep_until(*time).await;
        for crowd in stage.crowds() {
            let part = crowd.everyone().into_iter().skip(turn).step_by(times.len()).collect();
            let reports = crowd.reconnect(part).await?;
            let strays: Vec<_> = crowd.strays(&reports).into_iter().map(|report| report.source).collect();
            outcome.extend(reports.into_iter().map(|report| {
                let home = !strays.contains(&report.source);
                (report, home)
            }));
        }
    }
    Ok(outcome)
}

fn check_home(stage: &mut Stage, must: &str, outcome: &[(Report, bool)]) {
    let reports: Vec<_> = outcome.iter().map(|(report, _)| report.clone()).collect();
    let strays: Vec<_> = outcome.iter().filter(|(_, home)| !home).map(|(report, _)| report).collect();
    let holds = strays.is_empty() && !reports.is_empty();
    stage.rows.check(STEP, must, tally(&reports, &strays), holds);
}

fn check_probe(stage: &mut Stage, must: &str, probe: &ProbeReport) {
    let ProbeReport { attempts, answered, failures, slowest_ms, longest_gap_ms } = probe;
    let example = failures.first().map(|failure| format!("; e.g. {failure}")).unwrap_or_default();
    let measured = format!(
        "{answered} of {attempts}, slowest {slowest_ms} ms, longest pause {longest_gap_ms} ms{example}"
    );
    let watched = u64::try_from((stage.scale.dead + WATCHED).as_millis()).unwrap_or(u64::MAX);
    // A series that hardly ran would prove nothing.
    let enough = *attempts >= watched / EVERY_MS * 8 / 10;
    stage.rows.check(STEP, must, measured, answered == attempts && enough);
}

/// The backend that was added and the one that was drained at runtime still are, if those steps were made.
async fn check_runtime_changes(stage: &mut Stage) -> Result<()> {
    let backends = stage.balancer.backends(Service::Ws).await?;
    let state = |name: String| {
        let backend = backends.iter().find(|backend| backend.name == name);
        backend.map_or("missing".to_owned(), |backend| format!("{}, {}", backend.admin, backend.health))
    };
    let (added, drained) = (state(add_backend::ADDED.to_string()), state(drain::DRAINED.to_string()));
    let measured = format!("{} {added}; {} {drained}", add_backend::ADDED, drain::DRAINED);
    let holds = added == "ready, up" && drained.starts_with("drain");
    stage.rows.check(STEP, "the backend added and the one drained still are", measured, holds);
    Ok(())
}

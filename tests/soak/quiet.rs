//! A quiet moment: nothing happens, and agent, kernels and test must count the same.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lab::{
    netns::output,
    topology::{Host, LINES_PORT, VIP_V4, VIP_V6},
};
use tokio::time::sleep;

use crate::world::{State, World};

/// How long it may take until the flows of clients that were reset have run out: two or three ticks of 4.1 s, and the
/// next sweep.
const PATIENCE: Duration = Duration::from_secs(25);

impl World {
    /// Waits until all books agree; how many sessions there are.
    pub(crate) async fn quiet(&mut self) -> Result<usize> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            self.beat().await?;
            let differences = self.differences().await?;
            if differences.is_empty() {
                return Ok(Host::backends().map(|backend| self.count(backend)).sum());
            }
            if Instant::now() > give_up {
                bail!("at rest, after {PATIENCE:?}: {}", differences.join("; "));
            }
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// Where the books differ.
    async fn differences(&self) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        let listed = self.listed().await?;
        for backend in Host::backends() {
            let (own, sockets) = (self.count(backend), self.sockets(backend)?);
            let flows = listed.get(&backend).copied().unwrap_or(0);
            if own != sockets || own as u64 != flows {
                differences.push(format!("{backend}: {own} sessions, {sockets} sockets, {flows} flows"));
            }
        }
        let drift = self.stand.series("balancer_flow_drift{service=\"lines\"")?;
        // A backend whose counters moved during the sweep has none.
        if drift.len() != listed.len() || drift.iter().any(|drift| *drift != 0.0) {
            differences.push(format!("drift {drift:?}"));
        }
        Ok(differences)
    }

    /// Established connections to a service address, as the backend's kernel has them.
    fn sockets(&self, backend: Host) -> Result<usize> {
        if self.states[&backend] == State::Absent {
            return Ok(0);
        }
        let mut ss = self.stand.place().netns(backend).command("ss");
        let port = format!("sport = :{LINES_PORT}");
        let text = output(ss.args(["-H", "-t", "-n", "state", "established", &port]))?;
        let ends = [format!("{VIP_V4}:"), format!("[::ffff:{VIP_V4}]:"), format!("[{VIP_V6}]:")];
        let is_client = |line: &&str| {
            let local = line.split_whitespace().nth(2).unwrap_or_default();
            ends.iter().any(|end| local.starts_with(end))
        };
        Ok(text.lines().filter(is_client).count())
    }
}

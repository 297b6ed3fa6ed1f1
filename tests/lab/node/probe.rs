//! A steady series of new connections, each for one message: does any of them fail?

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{
    session::millis,
    talk::{self, Talk},
};
use crate::wire::ProbeReport;

/// A connection that has no answer after this time counts as refused.
const PATIENCE: Duration = Duration::from_secs(2);
/// Failures that are kept as text; more are only counted.
const SHOWN: usize = 5;

/// A running series.
#[derive(Debug)]
pub struct Probe {
    stop: oneshot::Sender<()>,
    series: JoinHandle<ProbeReport>,
}

impl Probe {
    /// Begins a connection every `every`, from the clients in turn.
    pub fn start<T: Talk>(clients: Vec<(IpAddr, SocketAddr)>, every: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, series: tokio::spawn(series::<T>(clients, every, stopped)) }
    }

    /// Ends the series; the connections under way still get their time.
    pub async fn stop(self) -> ProbeReport {
        let _ = self.stop.send(());
        self.series.await.unwrap_or_default()
    }
}

async fn series<T: Talk>(
    clients: Vec<(IpAddr, SocketAddr)>,
    every: Duration,
    mut stop: oneshot::Receiver<()>,
) -> ProbeReport {
    let report = Arc::new(Mutex::new(ProbeReport::default()));
    let mut under_way = tokio::task::JoinSet::new();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Instant> = None;
    for (source, target) in clients.into_iter().cycle() {
        tokio::select! {
            _ = &mut stop => break,
            _ = ticks.tick() => {}
        }
        let gap = last.replace(Instant::now()).map_or(0, |last| millis(last.elapsed()));
        if let Ok(mut report) = report.lock() {
            report.attempts += 1;
            report.longest_gap_ms = report.longest_gap_ms.max(gap);
        }
        under_way.spawn(attempt::<T>(source, target, Arc::clone(&report)));
        while under_way.try_join_next().is_some() {}
    }
    under_way.join_all().await;
    report.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

async fn attempt<T: Talk>(source: IpAddr, target: SocketAddr, report: Arc<Mutex<ProbeReport>>) {
    let begun = Instant::now();
    let outcome = talk::open::<T>(source, target, PATIENCE).await;
    let took = millis(begun.elapsed());
    {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.slowest_ms = report.slowest_ms.max(took);
        match &outcome {
            Ok(_) => report.answered += 1,
            Err(failure) if report.failures.len() < SHOWN => {
                report.failures.push(format!("{source}: {failure}"));
            }
            Err(_) => {}
        }
    }
    if let Ok((talk, _)) = outcome {
        talk::close(talk).await;
    }
}

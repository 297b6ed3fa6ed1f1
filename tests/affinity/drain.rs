//! A backend is drained: nobody new comes, nobody is cut before the deadline, and then those that are left hear of it.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use lab::{
    fixture::{clients, mode::Mode, scrape::scrape},
    node::lines::Over,
    paths::Place,
};
use tokio::time::timeout;

use crate::{
    crowd::{CALM, LINES, VICTIM, everybody, hears_the_end, number, sessions_on, stand},
    each::{EachMode, in_each_mode},
    labs::block_on,
    stand::{Stand, refused},
};

pub(crate) const TESTS: &[EachMode] =
    &[in_each_mode!("drain", drain), in_each_mode!("a_drain_that_ends_in_time_cuts_nobody", in_time)];

/// A client that connects again and again, until it is told to stop: how often, and how often to the draining backend.
async fn restless(place: Place, source: IpAddr, stop: Arc<AtomicBool>) -> Result<(u32, u32)> {
    let (mut times, mut there) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let open = clients::open_all(&place, &[source], CALM).await?;
        times += 1;
        there += u32::from(open[0].backend == VICTIM.to_string());
        clients::close_all(open).await;
    }
    Ok((times, there))
}

fn drain(mode: Mode) -> Result<()> {
    block_on(async {
        let (sessions, rate, keys, deadline) =
            if lab::long() { (2_000, 200, "reset_rate = 200", 10) } else { (120, 60, "reset_rate = 60", 3) };
        let stand = stand("drain", mode, keys, "closing = \"4s\"").await?;
        let place = stand.place().clone();
        // Pinned to the backend, so that only the drain keeps it away.
        let stop = Arc::new(AtomicBool::new(false));
        let restless_one = clients::address(200_000);
        clients::close_all(sessions_on(&stand, VICTIM, 200_000..200_001).await?).await;
        let victims = sessions_on(&stand, VICTIM, 0..sessions).await?;
        everybody(&stand).await?;

        let begun = Instant::now();
        let verb = format!("{deadline}s");
        stand.balancer.run(&["backend", "drain", LINES, &VICTIM.to_string(), "--deadline", &verb]).await?;
        let restless = tokio::spawn(restless(place, restless_one, Arc::clone(&stop)));
        let ends = victims.into_iter().enumerate().map(|(n, client)| async move {
            timeout(CALM * 2, client.until_over(n % 2 == 0)).await.context("a client hears nothing")
        });
        let ends: Vec<_> = join_all(ends).await.into_iter().collect::<Result<_>>()?;
        stop.store(true, Ordering::Relaxed);
        let (times, there) = restless.await??;

        let mut heard: Vec<Instant> = ends.iter().map(|(_, _, at)| *at).collect();
        heard.sort_unstable();
        let [first, last] =
            [heard.first(), heard.last()].map(|at| at.map_or(f64::NAN, |at| seconds(begun, *at)));
        println!(
            "drain, {}: {sessions} sessions, deadline {deadline} s, first RST {first:.2} s, last RST {last:.2} s; a client \
             that is pinned there connected {times} times, {there} times to the draining backend",
            mode.name()
        );
        let kind = std::io::ErrorKind::ConnectionReset;
        ensure!(ends.iter().all(|(_, over, _)| *over == Over::Failed(kind)), "not only resets");
        ensure!(first >= f64::from(deadline), "cut {first:.2} s after the drain began");
        let whole = f64::from(sessions) / f64::from(rate);
        let slack = if lab::long() { 0.1 } else { 0.35 };
        ensure!((last - first - whole).abs() <= whole * slack, "it took {:.2} s", last - first);
        ensure!(times > 10 && there == 0, "{there} of {times} new connections");
        ensure!(number(&stand, VICTIM, "resets").await? == u64::from(sessions), "resets");
        let series = format!(
            "balancer_backend_resets_total{{service=\"{LINES}\",backend=\"{VICTIM}\",cause=\"drain\"}}"
        );
        let counted = scrape(&stand)?.get(&series).copied();
        ensure!(counted == Some(f64::from(sessions)), "{series} is {counted:?}");
        hears_the_end(&stand, mode, VICTIM).await
    })
}

fn seconds(from: Instant, to: Instant) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// `--wait` says that it is safe to stop, or that flows were cut.
fn in_time(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = stand("intime", mode, "reset_rate = 200", "closing = \"4s\"").await?;
        let victims = sessions_on(&stand, VICTIM, 0..20).await?;
        let leave = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clients::close_all(victims).await;
        };
        let ((), waited) = tokio::join!(leave, wait(&stand, "1m"));
        ensure!(waited?.status.success(), "nobody was cut");
        stand.balancer.run(&["backend", "ready", LINES, &VICTIM.to_string()]).await?;
        let _victims = sessions_on(&stand, VICTIM, 100..120).await?;
        refused(&wait(&stand, "1s").await?, 6, &["20 flows were cut"])?;
        hears_the_end(&stand, mode, VICTIM).await
    })
}

async fn wait(stand: &Stand, deadline: &str) -> Result<lab::agent::Outcome> {
    let backend = VICTIM.to_string();
    stand.balancer.outcome(&["backend", "drain", LINES, &backend, "--deadline", deadline, "--wait"]).await
}

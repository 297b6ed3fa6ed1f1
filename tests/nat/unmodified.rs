//! Servers that nobody changed, behind `nat`, with clients that nobody changed either.

use std::fs;

use anyhow::{Result, ensure};
use lab::{
    crowd::{Crowd, Kind},
    fixture::{client::clients, labs::block_on, trials::Test},
    topology::Host,
    wire::Report,
};

use crate::{
    bench::{Bench, backends, own},
    programs::{LARGE, Program},
};

pub(crate) const TESTS: &[Test] = &[
    ("nginx_serves_as_it_is_behind_nat", nginx),
    ("haproxy_passes_streams_on_as_it_is_behind_nat", haproxy),
    ("a_websocket_library_serves_as_it_is_behind_nat", websockets),
];

/// WebSocket clients.
const CLIENTS: u8 = 24;

fn nginx() -> Result<()> {
    block_on(async {
        let bench = Bench::up("bn-nginx-", Program::Nginx).await?;
        for v6 in [false, true] {
            large_file(&bench, v6)?;
            // One connection for both requests.
            let (url, count) = (bench.url(v6, ""), "%{num_connects}");
            let words = ["-o", "/dev/null", "-o", "/dev/null", "-w", count, &url, &url];
            ensure!(bench.curl(1, &words)? == "10", "the second request has a connection of its own");
        }
        bench.pages().await
    })
}

/// A large file comes as it is.
fn large_file(bench: &Bench, v6: bool) -> Result<()> {
    let dir = bench.stand.place().dir();
    let got = dir.join("got");
    bench.curl(2, &["-o", &got.to_string_lossy(), &bench.url(v6, LARGE)])?;
    ensure!(fs::read(&got)? == fs::read(dir.join(LARGE))?, "v6 {v6}: the large file is another one");
    Ok(())
}

fn haproxy() -> Result<()> {
    block_on(async { Bench::up("bn-haproxy-", Program::Haproxy).await?.pages().await })
}

fn websockets() -> Result<()> {
    block_on(async {
        let bench = Bench::up("bn-ws-", Program::Tungstenite).await?;
        let mut crowd = Crowd::start(bench.stand.place(), Kind::Ws)?;
        answered(&crowd.open(clients(CLIENTS)).await?)?;
        for backend in backends() {
            let peers = bench.peers(backend)?;
            let mut families = [false, true].into_iter();
            ensure!(
                peers.iter().all(|peer| *peer == own(peer.is_ipv6())),
                "{backend} has clients at {peers:?}"
            );
            ensure!(families.all(|v6| peers.contains(&own(v6))), "{backend} has clients at {peers:?}");
        }
        let again = crowd.reconnect(crowd.everyone()).await?;
        answered(&again)?;
        ensure!(crowd.strays(&again).is_empty(), "these were elsewhere before: {:?}", crowd.strays(&again));
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let sessions = crowd.status().await?;
        answered(&sessions)?;
        let fewest = sessions.iter().map(|report| report.answered).min();
        ensure!(fewest >= Some(2), "a session had {fewest:?} answers");
        drop(crowd);
        bench.nobody_without_it(async |_| upgrade(&bench)).await
    })
}

/// Every client has its answers.
fn answered(reports: &[Report]) -> Result<()> {
    ensure!(reports.len() == usize::from(CLIENTS), "{} of {CLIENTS} clients say how they are", reports.len());
    let lost: Vec<_> =
        reports.iter().filter(|report| report.lost.is_some() || report.backend.is_none()).collect();
    ensure!(lost.is_empty(), "{lost:?}");
    Ok(())
}

fn upgrade(bench: &Bench) -> bool {
    let mut curl = bench.stand.place().netns(Host::Client(1)).command("curl");
    curl.args(["-sS", "--max-time", "2", &bench.url(false, "")])
        .output()
        .is_ok_and(|output| output.status.success())
}

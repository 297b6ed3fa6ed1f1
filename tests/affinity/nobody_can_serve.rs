//! All checks fail while the servers live: nobody loses anything, and everybody is told.

use std::{fs, io::ErrorKind, net::UdpSocket, time::Duration};

use anyhow::{Result, ensure};
use lab::{
    agent::AGENT,
    fixture::{clients, mode::Mode, scrape::scrape},
    process, servers,
    topology::{Host, LINES_PORT, UDP_PORT, vip_for},
};
use tokio::time::sleep;

use crate::{
    crowd::{CALM, LINES, only, sources, stand},
    each::{EachMode, in_each_mode},
    file::{File, Service},
    labs::block_on,
    stand::{Stand, until},
};

pub(crate) const TESTS: &[EachMode] = &[
    in_each_mode!("nobody_can_serve", panic),
    in_each_mode!("a_connection_that_nobody_can_serve_is_refused", refusal),
    in_each_mode!("carrier_lost_on_the_own_link_freezes_verdicts", carrier),
];

const BACKENDS: u8 = 4;

/// The lines service, judged by the web server's health page beside it.
async fn judged_by_the_web(test: &str, mode: Mode) -> Result<Stand> {
    let stand = stand(test, mode, "", "closing = \"4s\"").await?;
    servers::start_lines(stand.place(), Host::Backend(BACKENDS))?;
    (1..=BACKENDS).try_for_each(|n| servers::start_web(stand.place(), Host::Backend(n)))?;
    let check = "kind = \"http\"\nport = 80\npath = \"/health\"";
    let pace = "interval = \"300ms\"\ntimeout = \"300ms\"\nrise = 2\nfall = 2";
    let service = Service { mode, check, pace, ..Service::new(LINES, LINES_PORT, "tcp", BACKENDS) };
    stand.write(&File { flows: 16_384, services: vec![service], ..File::web(stand.place(), 0) })?;
    stand.balancer.run(&["reload", "--yes"]).await?;
    stand.all_up().await?;
    Ok(stand)
}

async fn state_is(stand: &Stand, wanted: &str) -> Result<()> {
    until(&format!("the service is {wanted}"), async || {
        let services = stand.balancer.json(&["service", "list"]).await?;
        Ok(services["services"][0]["state"] == wanted)
    })
    .await
}

fn panic(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = judged_by_the_web("nobody", mode).await?;
        let count = if lab::long() { 2_000 } else { 120 };
        let mut sessions = clients::open_all(stand.place(), &sources(0..count), CALM).await?;
        let sick = || (1..=BACKENDS).map(|n| stand.place().sick(Host::Backend(n)));
        for file in sick() {
            fs::write(file, "")?;
        }
        state_is(&stand, "panic").await?;
        ensure!(stand.balancer.json(&["status"]).await?["panic"][0] == LINES, "status");
        let series = format!("balancer_service_panic{{service=\"{LINES}\"}}");
        ensure!(scrape(&stand)?.get(&series) == Some(&1.0), "{series}");
        let log = fs::read_to_string(stand.place().log(Host::Balancer, AGENT))?;
        ensure!(log.lines().any(|line| line.contains("panic")), "the log says nothing");
        // Those that are there go on, and new ones are served.
        let failed = clients::exchange_all(&mut sessions, CALM).await;
        ensure!(failed.is_empty(), "{} sessions are lost: {:#}", failed.len(), failed[0]);
        clients::close_all(clients::open_all(stand.place(), &sources(5_000..5_050), CALM).await?).await;

        for file in sick() {
            fs::remove_file(file)?;
        }
        state_is(&stand, "up").await?;
        sleep(Duration::from_secs(1)).await;
        let failed = clients::exchange_all(&mut sessions, CALM).await;
        ensure!(failed.is_empty(), "{} are lost by the recovery: {:#}", failed.len(), failed[0]);
        ensure!(scrape(&stand)?.get(&series) == Some(&0.0), "{series}");
        let resets: f64 =
            scrape(&stand)?.iter().filter(|(name, _)| name.contains("resets_total")).map(|(_, n)| n).sum();
        ensure!(resets == 0.0, "{resets} flows were reset");
        println!("nobody can serve: {count} sessions, 0 lost, 0 reset; panic told by status, log and metric");
        Ok(())
    })
}

/// A client hears that there is nobody, rather than nothing.
fn refusal(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = stand("none", mode, "", "closing = \"4s\"").await?;
        only(&stand, &[]).await?;
        let refused = clients::open_all(stand.place(), &sources(0..1), Duration::from_secs(3)).await;
        let error = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(error.to_lowercase().contains("refused"), "{error:?}");
        unreachable(&stand, mode).await?;
        let agent = process::running(stand.place(), Host::Balancer, AGENT)?;
        ensure!(agent.alive());
        Ok(())
    })
}

/// The same for UDP: by an ICMP message, which its kernel tells the socket.
async fn unreachable(stand: &Stand, mode: Mode) -> Result<()> {
    let datagrams =
        Service { mode, check: "kind = \"none\"", pace: "", ..Service::new("datagrams", UDP_PORT, "udp", 1) };
    let lines = Service { mode, ..Service::new(LINES, LINES_PORT, "tcp", BACKENDS - 1) };
    stand.write(&File { flows: 16_384, services: vec![lines, datagrams], ..File::web(stand.place(), 0) })?;
    stand.balancer.run(&["reload", "--yes"]).await?;
    stand.balancer.run(&["backend", "weight", "datagrams", "backend-1", "0", "--force"]).await?;
    for source in sources(0..2) {
        let netns = stand.place().netns(Host::Client(clients::host_of(source)));
        let error = netns.inside(|| {
            let socket = UdpSocket::bind((source, 0))?;
            socket.set_read_timeout(Some(Duration::from_secs(1)))?;
            socket.connect((vip_for(source), UDP_PORT))?;
            // There is a message a clock tick at most, and the other family's may have been that.
            let mut error = Some(ErrorKind::WouldBlock);
            for _ in 0..3 {
                if error == Some(ErrorKind::WouldBlock) {
                    socket.send(b"is anybody there?")?;
                    error = socket.recv(&mut [0; 64]).err().map(|error| error.kind());
                }
            }
            Ok(error)
        })?;
        let reasons = &stand.balancer.json(&["status"]).await?["reasons"];
        ensure!(error == Some(ErrorKind::ConnectionRefused), "{source} hears {error:?}: {reasons}");
    }
    Ok(())
}

/// Longer than the checks would need to take everybody down, several times over.
const OUTAGE: Duration = Duration::from_secs(4);

/// The balancer's cable is pulled: all checks fail, by its own fault.
fn carrier(mode: Mode) -> Result<()> {
    block_on(async {
        let stand = judged_by_the_web("carrier", mode).await?;
        let count = if lab::long() { 2_000 } else { 120 };
        let mut sessions = clients::open_all(stand.place(), &sources(0..count), CALM).await?;
        let before = verdicts(&stand).await?;
        set_link(&stand, "down")?;
        // They talk on into the void, and are heard when the cable is in again.
        let (failed, told) =
            tokio::join!(clients::exchange_all(&mut sessions, CALM), outage(&stand, &before));
        told?;
        ensure!(failed.is_empty(), "{} sessions are lost: {:#}", failed.len(), failed[0]);
        until("verdicts are not frozen any more", async || Ok(!frozen(&stand).await?)).await?;
        // What fails only now, while addresses are resolved anew, is no reason either.
        sleep(Duration::from_secs(2)).await;
        let after = verdicts(&stand).await?;
        ensure!(after == before, "verdicts or resets moved from {before:?} to {after:?}");
        let failed = clients::exchange_all(&mut sessions, CALM).await;
        ensure!(failed.is_empty(), "{} are lost by the recovery: {:#}", failed.len(), failed[0]);
        let log = fs::read_to_string(stand.place().log(Host::Balancer, AGENT))?;
        for said in [
            "interface eth0: no carrier",
            "all verdicts stay as they are",
            "verdicts follow the checks again",
        ] {
            ensure!(
                log.lines().filter(|line| line.contains(said)).count() == 1,
                "not once in the log: {said}"
            );
        }
        println!("carrier lost for {OUTAGE:?}: {count} sessions, 0 lost, 0 reset, no verdict moved");
        Ok(())
    })
}

/// While it lasts nobody goes down, and everybody is told.
async fn outage(stand: &Stand, before: &[Verdict]) -> Result<()> {
    until("verdicts are frozen", async || frozen(stand).await).await?;
    let status = stand.balancer.json(&["status"]).await?;
    ensure!(status["interfaces"][0]["carrier"] == false, "{}", status["interfaces"]);
    sleep(OUTAGE).await;
    let now = verdicts(stand).await?;
    ensure!(now == before, "verdicts or resets moved from {before:?} to {now:?}");
    set_link(stand, "up")
}

/// At the switch's end: the balancer keeps its addresses and routes, and sees its carrier go.
fn set_link(stand: &Stand, state: &str) -> Result<()> {
    stand.place().switch().ip(&format!("link set dev {} {state}\n", Host::Balancer))
}

async fn frozen(stand: &Stand) -> Result<bool> {
    Ok(stand.balancer.json(&["status"]).await?["frozen"] == true)
}

/// Name, health, since when, and resets of a backend.
type Verdict = [String; 4];

async fn verdicts(stand: &Stand) -> Result<Vec<Verdict>> {
    let of = |row: serde_json::Value| ["name", "health", "since", "resets"].map(|key| row[key].to_string());
    Ok(stand.rows(LINES).await?.into_iter().map(of).collect())
}

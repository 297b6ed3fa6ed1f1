//! An application leaves by itself: it asks to be drained by its health answer, tells its clients, and goes away.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lab::{agent::AGENT, fixture::mode::Mode, topology::Host};
use tokio::time::sleep;

use crate::{
    clients::address,
    each::{EachMode, in_each_mode},
    fleet::Fleet,
    labs::block_on,
    stand::until,
    visitors::{End, Visit, Visitors},
};

pub(crate) const TESTS: &[EachMode] = &[in_each_mode!("draining_application", draining_application)];

/// Who leaves.
const LEAVING: Host = Host::Backend(2);
/// From SIGTERM until its clients are told.
const LEAD: Duration = Duration::from_millis(2500);
/// From SIGTERM until its end.
const GRACE: Duration = Duration::from_secs(7);

fn draining_application(mode: Mode) -> Result<()> {
    block_on(async {
        let fleet = Fleet::up("leave", mode, 3, LEAD, GRACE).await?;
        let count = if lab::long() { 300 } else { 30 };
        let mut visitors = Visitors::none(fleet.place());
        let sources: Vec<_> = (0..2 * count).map(address).collect();
        let (first, later) = sources.split_at(count as usize);
        visitors.come(first, is_stubborn).await?;
        let before = visitors.at();
        ensure!(before.len() == 3, "a server has no client: {before:?}");

        let server = fleet.terminate(LEAVING)?;
        fleet.becomes(LEAVING, "draining").await?;
        let noticed = Instant::now();
        ensure!(visitors.at() == before, "sessions moved before they were told: {:?}", visitors.at());
        visitors.come(later, |_| false).await?;
        until("all that obey are elsewhere", async || Ok(obedient_at(&visitors, LEAVING) == 0)).await?;
        same_verdict_after_a_restart(&fleet).await?;

        until("the server is gone", async || Ok(!server.alive())).await?;
        fleet.becomes(LEAVING, "down").await?;
        visitors.all_in_order()?;
        fleet.start(LEAVING)?;
        fleet.becomes(LEAVING, "up").await?;
        sleep(Duration::from_secs(1)).await;
        ensure!(!visitors.at().contains_key(&LEAVING.to_string()), "{:?}: somebody went back", visitors.at());
        visitors.all_in_order()?;
        each_moved_once_and_in_order(&visitors.go().await?, noticed)?;
        told_once(&fleet)
    })
}

/// One client in five has a library that does not know the word `reconnect`.
fn is_stubborn(source: &IpAddr) -> bool {
    let last = match source {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.segments()[3].to_be_bytes()[1],
    };
    last.is_multiple_of(5)
}

/// Clients there that do what they are told.
fn obedient_at(visitors: &Visitors, server: Host) -> usize {
    let visits = visitors.visits().into_iter().filter(|visit| visit.end.is_none());
    visits.filter(|visit| visit.server == server.to_string() && !is_stubborn(&visit.source)).count()
}

async fn same_verdict_after_a_restart(fleet: &Fleet) -> Result<()> {
    // Since when is kept a moment later than the verdict itself.
    sleep(Duration::from_millis(1200)).await;
    let since = fleet.stand.field(crate::fleet::SERVICE, &LEAVING.to_string(), "since").await?;
    fleet.stand.balancer.kill()?;
    fleet.stand.start().await?;
    fleet.is(LEAVING, "draining").await?;
    let now = fleet.stand.field(crate::fleet::SERVICE, &LEAVING.to_string(), "since").await?;
    ensure!(now == since, "it is draining since {since}, not since {now}");
    Ok(())
}

/// Only the clients of the one that left have more than one session, and each of these ended as it should.
fn each_moved_once_and_in_order(visits: &[Visit], noticed: Instant) -> Result<()> {
    let mut courses: BTreeMap<IpAddr, Vec<&Visit>> = BTreeMap::new();
    visits.iter().for_each(|visit| courses.entry(visit.source).or_default().push(visit));
    let mut ends = BTreeSet::new();
    for (source, course) in courses {
        let last = course.last().map(|visit| visit.server.as_str());
        ensure!(last != Some(&LEAVING.to_string()), "{source} is where the application left");
        let late = course.iter().find(|it| it.server == LEAVING.to_string() && it.begun > noticed);
        ensure!(late.is_none(), "a new connection reached the draining backend: {late:?}");
        let moves = &course[..course.len() - 1];
        let expected = if is_stubborn(&source) { End::Closed(1001) } else { End::Asked };
        for visit in moves {
            ensure!(visit.server == LEAVING.to_string(), "{source} was moved from elsewhere: {visit:?}");
            ensure!(visit.end == Some(expected.clone()), "not {expected:?}: {visit:?}");
        }
        ensure!(moves.len() <= 1, "{source} moved more than once: {course:?}");
        ends.extend(moves.iter().map(|visit| format!("{:?}", visit.end)));
    }
    ensure!(ends.len() == 2, "not both kinds of clients were there: {ends:?}");
    Ok(())
}

/// The log has each verdict once, with its cause.
fn told_once(fleet: &Fleet) -> Result<()> {
    let log = fs::read_to_string(fleet.place().log(Host::Balancer, AGENT))?;
    let verdicts: Vec<_> =
        log.lines().filter_map(|line| line.split_once("service app: backend backend-2 ")).collect();
    let words: Vec<_> = verdicts.iter().map(|(_, verdict)| *verdict).collect();
    let [first, draining, down, up] = words[..] else { anyhow::bail!("not four verdicts: {words:#?}") };
    ensure!(first == "is up: the check is good", "{first}");
    ensure!(draining == "is draining: the application asks for it: status 503", "{draining}");
    ensure!(
        down.starts_with("is down: 2 failed checks in a row, the last one: connection refused"),
        "{down}"
    );
    ensure!(up == "is up: the check is good", "{up}");
    Ok(())
}

//! One flood: who is there before, what happens meanwhile, and what is left of them.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use futures_util::{StreamExt as _, stream};
use lab::paths::Place;
use tokio::time::{interval, sleep};

use crate::{
    clients::{self, Client},
    generator::{FLOODER, Flood, Flooded, Script},
    population::{Absent, Known, Population, prefix},
    scale::Scale,
    stand::{Setup, Stand},
};

/// How long a connect may take during the flood. A SYN that is lost is sent again after one second, and after three.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take there: losing packets to a full queue is no loss of the flow.
const ANSWER: Duration = Duration::from_secs(20);
/// Time between two messages of a session that talks.
const ROUND: Duration = Duration::from_millis(500);
/// Flows beyond the bound that two CPUs at once may make of one place.
const RACES: u32 = 8;
/// Connects under way at once.
const AT_ONCE: usize = 16;
/// Of a hundred connects so many must succeed.
const SUCCESS: u32 = 99;

/// The file's defaults, but a backend must not be taken for dead for want of a CPU.
pub(crate) const SETUP: Setup = Setup {
    entries: 0,
    backends: 5,
    service: "timeouts = { closing = \"4s\" }",
    health: "interval = \"1s\"\ntimeout = \"900ms\"\nrise = 1\nfall = 20",
};

/// What came of the connects during a flood.
#[derive(Debug, Default)]
struct Connects {
    /// Absent clients that reached the backend that they are pinned to.
    returned: u32,
    /// Absent clients that reached another one.
    strayed: Vec<String>,
    /// Clients that had never been there before, and were served.
    newcomers: Vec<IpAddr>,
    failed: Vec<String>,
}

impl Connects {
    fn enter(&mut self, source: IpAddr, backend: &str, pinned: Option<&String>) {
        match pinned {
            None => self.newcomers.push(source),
            Some(pinned) if pinned == backend => self.returned += 1,
            Some(pinned) => self.strayed.push(format!("{source} reached {backend}, not {pinned}")),
        }
    }
}

/// What the balancer counted, of the whole lab.
#[derive(Clone, Copy)]
struct Counters {
    packets: f64,
    untracked: f64,
    pins_untracked: f64,
}

impl Counters {
    fn read(stand: &Stand) -> Result<Self> {
        Ok(Self {
            packets: stand.metric("balancer_packets_total{")?,
            untracked: stand.metric("balancer_flow_untracked_total{")?,
            pins_untracked: stand.metric("balancer_pin_untracked_total ")?,
        })
    }
}

/// All that came of a flood.
struct Outcome {
    flooded: Flooded,
    connects: Connects,
    rounds: u32,
    before: Counters,
    now: Counters,
    after: Known,
}

/// Floods a lab with this, and checks that none of those who were there before lose anything.
pub(crate) async fn withstand(
    prefix: &str,
    name: &str,
    script: impl FnOnce(&Place) -> Result<Script>,
) -> Result<()> {
    let scale = Scale::chosen();
    let stand = Stand::up(prefix, Setup { entries: scale.limit, ..SETUP }).await?;
    let mut population = Population::settle(&stand, &scale).await?;
    let known = population.known(&stand).await?;
    ensure!(known.flows_lost + known.pins_lost == 0, "before the flood: {known:?}");

    let before = Counters::read(&stand)?;
    let flood = Flood::start(stand.place().netns(FLOODER), script(stand.place())?);
    let (connects, rounds) = meanwhile(&stand, &scale, &mut population, &flood).await?;
    let flooded = flood.stop()?;
    let now = Counters::read(&stand)?;
    let after = population.known(&stand).await?;

    let outcome = Outcome { flooded, connects, rounds, before, now, after };
    outcome.print(name, &scale);
    outcome.judge(&scale)?;
    let silent = clients::exchange_all(&mut population.sessions, ANSWER).await;
    ensure!(silent.is_empty(), "{} sessions are broken afterwards: {:#}", silent.len(), silent[0]);
    Ok(())
}

impl Outcome {
    fn print(&self, name: &str, scale: &Scale) {
        let Self { flooded: Flooded { sources, frames, took }, connects, rounds, before, now, after } = self;
        let seconds = took.as_secs_f64();
        eprintln!(
            "{name}: limits.flows = {}, {sources} sources of each family (ten tables' worth is {}) in {seconds:.1} s, \
             {:.0} frames/s sent, {:.0} packets/s counted by the balancer; {:.0} connections untracked, {:.0} pins \
             found no room",
            scale.limit,
            scale.keys(),
            *frames as f64 / seconds,
            (now.packets - before.packets) / seconds,
            now.untracked - before.untracked,
            now.pins_untracked - before.pins_untracked,
        );
        let unpinned = connects.newcomers.iter().filter(|one| !after.pins.contains(&prefix(**one))).count();
        eprintln!(
            "{name}: {} sessions ({rounds} rounds of every other one): {} flows lost; {} absent clients: {} pins \
             lost; {} connects: {} returned to their pin, {} newcomers served ({unpinned} left without a pin), {} failed",
            scale.sessions,
            after.flows_lost,
            scale.absent,
            after.pins_lost,
            scale.connects,
            connects.returned,
            connects.newcomers.len(),
            connects.failed.len(),
        );
    }

    fn judge(&self, scale: &Scale) -> Result<()> {
        let Self { connects, after, .. } = self;
        ensure!(after.flows_lost == 0, "{} flows are lost", after.flows_lost);
        ensure!(after.pins_lost == 0, "{} pins are lost", after.pins_lost);
        let most = scale.limit / 4 + RACES;
        let within = after.bounded.iter().flatten().all(|count| *count <= most);
        ensure!(within, "fresh and UDP flows are {:?}, and may be {most} each", after.bounded);
        ensure!(connects.strayed.is_empty(), "not at the backend of their pin: {:?}", connects.strayed);
        let (failed, few) = (connects.failed.len() as u32, scale.connects * (100 - SUCCESS) / 100);
        ensure!(failed <= few, "{failed} connects fail: {:?}", connects.failed);
        Ok(())
    }
}

/// During the flood: every other session talks, and clients connect, until the flood has been as long as it has to be.
async fn meanwhile(
    stand: &Stand,
    scale: &Scale,
    population: &mut Population,
    flood: &Flood,
) -> Result<(Connects, u32)> {
    let over = AtomicBool::new(false);
    let rounds = AtomicU32::new(0);
    let Population { sessions, absent } = population;
    let middle = sessions.len() / 2;
    let talk = async {
        let mut ticks = interval(ROUND);
        while !over.load(Ordering::Relaxed) {
            ticks.tick().await;
            let failed = clients::exchange_all(&mut sessions[..middle], ANSWER).await;
            ensure!(failed.is_empty(), "{} sessions break during the flood: {:#}", failed.len(), failed[0]);
            rounds.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let connect = async {
        let connects = connects(stand, scale, absent, flood).await?;
        passed(flood, scale.keys()).await?;
        over.store(true, Ordering::Relaxed);
        Ok(connects)
    };
    let ((), connects) = tokio::try_join!(talk, connect)?;
    Ok((connects, rounds.into_inner()))
}

/// Waits until the flood has had so many sources of each family.
async fn passed(flood: &Flood, sources: u64) -> Result<()> {
    while flood.sources() < sources {
        if flood.broken() {
            bail!("the flood has ended by itself");
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Connects spread evenly over the flood: an absent client and one that was never there before in turn.
async fn connects(stand: &Stand, scale: &Scale, absent: &Absent, flood: &Flood) -> Result<Connects> {
    let sources = sources(scale, absent);
    let distinct: BTreeSet<_> = sources.iter().map(|source| prefix(*source)).collect();
    ensure!(distinct.len() == scale.connects as usize, "{} clients connect", distinct.len());
    let every = scale.keys() / u64::from(scale.connects);
    let sockets = clients::sockets(stand.place(), &sources)?;
    let attempts = stream::iter(sockets).enumerate().map(|(number, (source, socket))| async move {
        passed(flood, every * number as u64).await?;
        Ok::<_, anyhow::Error>((source, Client::open(source, socket, CONNECT).await))
    });
    let outcomes: Vec<_> = attempts.buffered(AT_ONCE).collect().await;
    let (mut connects, mut guests) = (Connects::default(), Vec::new());
    for outcome in outcomes {
        match outcome? {
            (_, Err(error)) => connects.failed.push(format!("{error:#}")),
            (source, Ok(client)) => {
                connects.enter(source, &client.backend, absent.get(&source));
                guests.push(client);
            }
        }
    }
    clients::close_all(guests).await;
    Ok(connects)
}

/// Who connects: half of them have been there before. Not the first ones by address alone: v4 and v6, from every host.
fn sources(scale: &Scale, absent: &Absent) -> Vec<IpAddr> {
    let (first, half) = (scale.sessions + scale.absent, scale.connects / 2);
    let newcomers = (first..first + half).map(clients::address);
    let returning = absent.keys().copied().step_by((scale.absent / half) as usize);
    returning.zip(newcomers).flat_map(|(one, other)| [one, other]).collect()
}

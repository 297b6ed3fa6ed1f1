//! A backend dies: its clients hear of it at once, but not all in one moment, and come back elsewhere.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use lab::{
    fixture::{
        clients::{self, Client},
        mode::Mode,
        scrape::scrape,
    },
    node::lines::Over,
    process, servers,
};
use tokio::time::{sleep, timeout};

use crate::{
    crowd::{CALM, LINES, VICTIM, by_its_way, number, sessions_on, stand},
    each::{EachMode, in_each_mode},
    labs::block_on,
    stand::Stand,
};

pub(crate) const TESTS: &[EachMode] = &[
    in_each_mode!("death_resets_every_client", death),
    in_each_mode!("idle_clients_hear_too", idle),
    in_each_mode!("resets_are_paced", paced),
    in_each_mode!("a_killed_server_is_failed_over_too", killed),
];

/// Flows that `explain` is asked about.
const ASKED: usize = 12;

/// How many sessions are on the backend that dies, and how many of them a second are reset.
#[derive(Clone, Copy)]
struct Scale {
    sessions: u32,
    rate: u32,
    keys: &'static str,
    /// How long the silent ones say nothing before.
    silence: Duration,
    /// Flows outlast the silence, also those of clients that say nothing more after their first message.
    timeouts: &'static str,
    /// By how much the whole may take longer or shorter, as a share of it.
    slack: f64,
}

impl Scale {
    fn of_this_run() -> Self {
        if lab::long() {
            let silence = Duration::from_secs(60);
            let timeouts = "closing = \"4s\", syn = \"2m\"";
            let keys = "reset_rate = 200\nheartbeat = \"90s\"";
            Self { sessions: 2_000, rate: 200, keys, silence, timeouts, slack: 0.1 }
        } else {
            let silence = Duration::from_secs(2);
            let timeouts = "closing = \"4s\"";
            Self { sessions: 120, rate: 60, keys: "reset_rate = 60", silence, timeouts, slack: 0.35 }
        }
    }

    /// In a sliding second there may be this many.
    fn most(&self) -> f64 {
        f64::from(self.rate) + 5.0 * f64::from(self.rate).sqrt()
    }
}

/// What the clients of the dead backend went through.
struct Outcome {
    died: Instant,
    /// When each heard of it, in order.
    heard: Vec<Instant>,
    /// When each was back.
    back: Vec<Instant>,
    ends: BTreeMap<String, usize>,
}

impl Outcome {
    fn seconds(&self, at: Option<&Instant>) -> f64 {
        at.map_or(f64::NAN, |at| at.duration_since(self.died).as_secs_f64())
    }

    fn print(&self, title: &str, detected: Instant) {
        println!(
            "{title}: {} sessions; detected after {:.2} s, first RST {:.2} s, last RST {:.2} s, last back {:.2} s; ends \
             {:?}",
            self.heard.len(),
            self.seconds(Some(&detected)),
            self.seconds(self.heard.first()),
            self.seconds(self.heard.last()),
            self.seconds(self.back.iter().max()),
            self.ends
        );
    }

    /// Nobody read anything but a reset.
    fn all_reset(&self) -> Result<()> {
        ensure!(self.ends.keys().all(|end| end == "ConnectionReset"), "not only resets: {:?}", self.ends);
        Ok(())
    }

    /// In no sliding second too many, and the whole in the time that it must take.
    fn paced(&self, scale: &Scale) -> Result<()> {
        for (n, first) in self.heard.iter().enumerate() {
            let second = self.heard[n..].iter().take_while(|it| **it - *first < Duration::from_secs(1));
            let within = second.count();
            ensure!(within as f64 <= scale.most(), "{within} resets within a second, rate {}", scale.rate);
        }
        let took = self.seconds(self.heard.last()) - self.seconds(self.heard.first());
        let wanted = f64::from(scale.sessions) / f64::from(scale.rate);
        ensure!((took - wanted).abs() <= wanted * scale.slack, "it took {took:.2} s, not {wanted:.2} s");
        Ok(())
    }
}

/// Every client waits for the end of its session, `talking` of them talking, and comes back at once.
async fn bereaved(stand: &Stand, sessions: Vec<Client>, talking: usize) -> Result<Outcome> {
    let died = Instant::now();
    let ends = sessions.into_iter().enumerate().map(|(n, client)| async move {
        let (name, talks) = (client.client(), n < talking);
        let (source, over, at) = timeout(CALM * 2, client.until_over(talks))
            .await
            .with_context(|| format!("client {name} (talking: {talks}) hears nothing"))?;
        let back = back(stand, source).await?;
        anyhow::Ok((over, at, back))
    });
    let ends: Vec<_> = join_all(ends).await.into_iter().collect::<Result<_>>()?;
    let mut outcome = Outcome { died, heard: Vec::new(), back: Vec::new(), ends: BTreeMap::new() };
    for (over, at, back) in ends {
        let end = match over {
            Over::Closed => "FIN".to_owned(),
            Over::Failed(kind) => format!("{kind:?}"),
        };
        *outcome.ends.entry(end).or_default() += 1;
        outcome.heard.push(at);
        outcome.back.push(back);
    }
    outcome.heard.sort_unstable();
    Ok(outcome)
}

/// The client connects anew: when it was served again, by another backend.
async fn back(stand: &Stand, source: IpAddr) -> Result<Instant> {
    // Until its death is noticed, its own kernel refuses who comes to a host whose process has died.
    let give_up = Instant::now() + CALM;
    let again = loop {
        match clients::open_all(stand.place(), &[source], CALM).await {
            Ok(again) => break again,
            Err(error) if Instant::now() > give_up => return Err(error),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    let backend = again[0].backend.clone();
    ensure!(backend != VICTIM.to_string(), "{source} is on the dead backend again");
    let at = Instant::now();
    clients::close_all(again).await;
    Ok(at)
}

/// Frames that the backend has sent onto its segment.
fn emitted(stand: &Stand) -> Result<u64> {
    let text = lab::netns::output(stand.place().switch().command("ip").args([
        "-s",
        "-j",
        "link",
        "show",
        "dev",
        &VICTIM.to_string(),
    ]))?;
    let links: serde_json::Value = serde_json::from_str(&text)?;
    links[0]["stats64"]["rx"]["packets"].as_u64().context("no counter")
}

/// Of some of the flows `explain` says that they are to be reset, why, and where their clients go then.
async fn explained(stand: &Stand, flows: &[(String, String)]) -> Result<()> {
    let mut waiting = 0;
    for (client, to) in flows {
        let told = stand.balancer.json(&["explain", client, to]).await?;
        // Who has heard of it by now has no flow any more.
        if told["reason"] == "reset-waiting" || told["reason"] == "reset" {
            let next = told["next_backend"].as_str().with_context(|| format!("nowhere to go: {told}"))?;
            ensure!(told["backend"].is_null() && told["by"] == "flow", "{told}");
            ensure!(next != VICTIM.to_string() && told["steps"].to_string().contains("it is down"), "{told}");
        }
        waiting += u32::from(told["reason"] == "reset-waiting");
    }
    ensure!(waiting > 0, "none of {} flows is said to wait for its reset", flows.len());
    Ok(())
}

async fn detected(stand: &Stand) -> Result<Instant> {
    stand.becomes(LINES, &VICTIM.to_string(), "health", "down").await?;
    Ok(Instant::now())
}

/// Sessions on the backend, others elsewhere, and the silence before.
async fn before(stand: &Stand, scale: &Scale) -> Result<(Vec<Client>, Vec<Client>)> {
    let mut victims = sessions_on(stand, VICTIM, 0..scale.sessions).await?;
    let survivors = 100_000..100_000 + scale.sessions / 4;
    let survivors = sessions_on(stand, lab::topology::Host::Backend(2), survivors).await?;
    let talking = victims.len() / 2;
    let end = Instant::now() + scale.silence;
    while Instant::now() < end {
        let failed = clients::exchange_all(&mut victims[..talking], CALM).await;
        ensure!(failed.is_empty(), "{:#}", failed[0]);
        sleep(Duration::from_secs(1)).await;
    }
    Ok((victims, survivors))
}

/// What must hold of a death by a cut link, whoever talks.
async fn cut_off(
    test: &str,
    mode: Mode,
    title: &str,
    talking: fn(usize) -> usize,
) -> Result<(Outcome, Scale)> {
    let scale = Scale::of_this_run();
    let stand = stand(test, mode, scale.keys, scale.timeouts).await?;
    let (victims, mut survivors) = before(&stand, &scale).await?;
    let (count, talking) = (victims.len() as u64, talking(victims.len()));
    ensure!(number(&stand, VICTIM, "flows").await? >= count, "not all sessions are tracked");
    by_its_way(&stand, mode, VICTIM, count)?;
    stand.place().switch().ip(&format!("link set dev {VICTIM} down\n"))?;
    let silent = emitted(&stand)?;
    let some: Vec<_> =
        victims.iter().take(ASKED).map(|victim| (victim.client(), victim.destination())).collect();
    let told = async {
        let at = detected(&stand).await?;
        explained(&stand, &some).await.map(|()| at)
    };
    let (outcome, detected) = tokio::join!(bereaved(&stand, victims, talking), told);
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let flows = stand.balancer.json(&["flow", "list", LINES]).await?;
            let status = stand.balancer.json(&["status"]).await?;
            return Err(error.context(format!(
                "{flows}\n{}\n{}",
                status["reasons"],
                stand.balancer.log_tail()
            )));
        }
    };
    outcome.print(&format!("{title}, {}", mode.name()), detected?);
    ensure!(emitted(&stand)? == silent, "the dead backend emits frames");
    outcome.all_reset()?;
    let resets = number(&stand, VICTIM, "resets").await?;
    ensure!(resets == count, "{resets} flows were counted as reset, {count} were");
    let series =
        format!("balancer_backend_resets_total{{service=\"{LINES}\",backend=\"{VICTIM}\",cause=\"down\"}}");
    let counted = scrape(&stand)?.get(&series).copied();
    ensure!(counted == Some(count as f64), "{series} is {counted:?}");
    let failed = clients::exchange_all(&mut survivors, CALM).await;
    ensure!(failed.is_empty(), "{} others were disturbed: {:#}", failed.len(), failed[0]);
    confirmed(&stand).await?;
    Ok((outcome, scale))
}

/// Nobody is left who might not have heard.
async fn confirmed(stand: &Stand) -> Result<()> {
    sleep(Duration::from_secs(4)).await;
    let unconfirmed = scrape(stand)?.get("balancer_resets_unconfirmed_total").copied();
    ensure!(unconfirmed == Some(0.0), "resets that nobody confirmed: {unconfirmed:?}");
    Ok(())
}

fn death(mode: Mode) -> Result<()> {
    block_on(async {
        let (outcome, scale) =
            cut_off("death", mode, "death, half of them silent", |sessions| sessions / 2).await?;
        outcome.paced(&scale)
    })
}

fn idle(mode: Mode) -> Result<()> {
    block_on(async { cut_off("idle", mode, "death, all silent", |_| 0).await.map(drop) })
}

fn paced(mode: Mode) -> Result<()> {
    block_on(async {
        let (outcome, scale) = cut_off("paced", mode, "death, all talking", |sessions| sessions).await?;
        outcome.paced(&scale)
    })
}

/// Its own kernel resets or ends every connection then; whoever did not hear of it hears from us.
fn killed(mode: Mode) -> Result<()> {
    block_on(async {
        let scale = Scale::of_this_run();
        let stand = stand("killed", mode, scale.keys, scale.timeouts).await?;
        let victims = sessions_on(&stand, VICTIM, 0..scale.sessions).await?;
        let (talking, server) = (victims.len() / 2, process::running(stand.place(), VICTIM, servers::LINES)?);
        server.kill()?;
        let (outcome, detected) = tokio::join!(bereaved(&stand, victims, talking), detected(&stand));
        let outcome = outcome?;
        outcome.print(&format!("death of the process, {}", mode.name()), detected?);
        ensure!(outcome.back.len() == scale.sessions as usize, "not all are back");
        Ok(())
    })
}

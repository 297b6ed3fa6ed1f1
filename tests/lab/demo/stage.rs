//! What the steps work on: the lab, the balancer, the clients, and the table of what held.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{picture, rows::Rows};
use crate::{
    agent::Balancer,
    crowd::{Crowd, Kind},
    paths::Place,
    topology::{CLIENT_HOSTS, client_v4, client_v6},
    wire::Report,
};

/// How many clients there are, and how long the longest wait is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// WebSocket clients of each family on each client host.
    pub ws: u8,
    /// UDP clients of each family on each client host.
    pub udp: u8,
    /// How long the agent stays dead.
    pub dead: Duration,
    /// Pinned clients that must have tried a drained backend.
    pub drained: usize,
}

impl Scale {
    /// 320 WebSocket sessions and 104 UDP clients.
    pub const DEMO: Self = Self { ws: 40, udp: 13, dead: Duration::from_secs(15), drained: 50 };
    /// Enough for each backend to have some.
    pub const TEST: Self = Self { ws: 12, udp: 6, dead: Duration::from_secs(5), drained: 10 };

    /// The WebSocket clients, v4 and v6.
    #[must_use]
    pub fn ws_sources(self) -> Vec<IpAddr> {
        sources(1, self.ws)
    }

    /// The UDP clients, v4 and v6; none of them is a WebSocket client.
    #[must_use]
    pub fn udp_sources(self) -> Vec<IpAddr> {
        sources(100, self.udp)
    }

    /// Clients that no step uses but for a series of new connections, all on one client host.
    #[must_use]
    pub fn fresh_sources(host: u8) -> Vec<IpAddr> {
        (200..230).flat_map(|n| [client_v4(host, n), client_v6(host, n)]).collect()
    }
}

fn sources(first: u8, count: u8) -> Vec<IpAddr> {
    let hosts = 1..=CLIENT_HOSTS;
    hosts
        .flat_map(|host| (first..first + count).flat_map(move |n| [client_v4(host, n), client_v6(host, n)]))
        .collect()
}

/// See the module.
#[derive(Debug)]
pub struct Stage {
    /// Where the lab is.
    pub place: Place,
    /// The balancer under test.
    pub balancer: Balancer,
    /// The WebSocket clients.
    pub ws: Crowd,
    /// The UDP clients.
    pub udp: Crowd,
    /// How many there are.
    pub scale: Scale,
    /// What was checked.
    pub rows: Rows,
    begun: Instant,
}

impl Stage {
    /// Starts the client programs in a lab that is up. Nothing is printed until `rows.shown` is set.
    ///
    /// # Errors
    /// When one can't be started.
    pub fn open(place: &Place, scale: Scale) -> Result<Self> {
        Ok(Self {
            place: place.clone(),
            balancer: Balancer::of(place)?,
            ws: Crowd::start(place, Kind::Ws)?,
            udp: Crowd::start(place, Kind::Udp)?,
            scale,
            rows: Rows::default(),
            begun: Instant::now(),
        })
    }

    /// Prints a step's headline, if the show is on.
    pub fn headline(&self, step: &str) {
        if !self.rows.shown {
            return;
        }
        println!("\n{:>3} s  {step}", self.begun.elapsed().as_secs());
    }

    /// Both crowds.
    pub fn crowds(&mut self) -> [&mut Crowd; 2] {
        [&mut self.ws, &mut self.udp]
    }

    /// Prints flows and share of each backend.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub async fn picture(&mut self) -> Result<()> {
        println!();
        for kind in [Kind::Ws, Kind::Udp] {
            let service = kind.service();
            print!("{}", picture::draw(service.name(), &self.balancer.backends(service).await?));
        }
        Ok(())
    }

    /// Checks that every client has its session, on its home, with every message answered.
    ///
    /// # Errors
    /// When the clients can't be asked.
    pub async fn check_sessions(&mut self, step: &'static str) -> Result<()> {
        let (mut intact, mut expected, mut answered, mut slowest) = (0, 0, 0, 0);
        let mut complaint = String::new();
        for crowd in self.crowds() {
            let reports = crowd.status().await?;
            expected += crowd.home.len();
            for report in &reports {
                answered += report.answered;
                slowest = slowest.max(report.millis);
            }
            let strays: Vec<_> = crowd.strays(&reports).into_iter().map(|report| report.source).collect();
            let bad = |report: &&Report| report.lost.is_some() || strays.contains(&report.source);
            intact += reports.iter().filter(|report| !bad(report)).count();
            if let Some(report) = reports.iter().find(bad) {
                complaint = format!("; e.g. {}", describe(report));
            }
        }
        let measured =
            format!("{intact} of {expected}, {answered} messages, slowest answer {slowest} ms{complaint}");
        self.rows.check(step, "no session is disturbed", measured, intact == expected);
        Ok(())
    }

    /// Leaves the sessions running when this process ends.
    ///
    /// # Errors
    /// When the clients can't be told.
    pub async fn stay(self) -> Result<()> {
        self.ws.stay().await?;
        self.udp.stay().await
    }
}

/// A client in a line of text.
#[must_use]
pub fn describe(report: &Report) -> String {
    let at = report.backend.as_deref().unwrap_or("no backend");
    match &report.lost {
        Some(why) => format!("{} at {at}: {why}", report.source),
        None => format!("{} at {at}", report.source),
    }
}

/// `N of M`, and the first that is not as it should be.
#[must_use]
pub fn tally(reports: &[Report], bad: &[&Report]) -> String {
    let good = reports.len() - bad.len();
    let example = bad.first().map(|report| format!("; e.g. {}", describe(report))).unwrap_or_default();
    format!("{good} of {}{example}", reports.len())
}

/// An error when nobody took part: nothing would have been shown.
///
/// # Errors
/// See above.
pub fn some(reports: Vec<Report>, what: &str) -> Result<Vec<Report>> {
    if reports.is_empty() {
        bail!("{what}: there is no such client");
    }
    Ok(reports)
}

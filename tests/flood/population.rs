//! Who is there before a flood, and what the tables know of them.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use balancer_common::state::Proto;
use balancer_user::api::types::{ExplainQuestion, FlowRow};
use lab::topology::{Host, LINES_PORT, vip_for};
use tokio::time::sleep;

use crate::{
    clients::{self, Client},
    scale::Scale,
    stand::Stand,
};

/// How long a client waits while nothing disturbs it.
const CALM: Duration = Duration::from_secs(20);

/// Guests who are there at once.
const GUESTS: usize = 500;

/// The backends that all of them are placed on, and that nobody new is placed on afterwards.
const OLD: [Host; 2] = [Host::Backend(4), Host::Backend(5)];
/// The others.
const NEW: [Host; 3] = [Host::Backend(1), Host::Backend(2), Host::Backend(3)];

/// Clients without a session, each with the backend that it is pinned to.
pub(crate) type Absent = BTreeMap<IpAddr, String>;

/// Clients that were there before.
pub(crate) struct Population {
    /// Those with a session.
    pub(crate) sessions: Vec<Client>,
    /// Those without, and the backend that they are pinned to, which is not the one that Maglev names.
    pub(crate) absent: Absent,
}

impl Population {
    /// Lets them come: while the three other backends are drained, so that Maglev's answer is another one afterwards.
    pub(crate) async fn settle(stand: &Stand, scale: &Scale) -> Result<Self> {
        for backend in NEW {
            stand.verb("drain", backend, &[]).await?;
        }
        let addresses = |from, count| (from..from + count).map(clients::address).collect::<Vec<_>>();
        let mut absent = BTreeMap::new();
        for some in addresses(scale.sessions, scale.absent).chunks(GUESTS) {
            let guests = clients::open_all(stand.place(), some, CALM).await?;
            absent.extend(guests.iter().map(|guest| (guest.source, guest.backend.clone())));
            clients::close_all(guests).await;
        }
        let sessions = clients::open_all(stand.place(), &addresses(0, scale.sessions), CALM).await?;
        for backend in NEW {
            stand.verb("ready", backend, &[]).await?;
        }
        for backend in OLD {
            stand.verb("weight", backend, &["0"]).await?;
        }
        let mut population = Self { sessions, absent };
        population.establish(stand).await?;
        population.differs(stand).await?;
        Ok(population)
    }

    /// Every session's flow is `established`: a packet has come a tick after its first ones.
    async fn establish(&mut self, stand: &Stand) -> Result<()> {
        let give_up = Instant::now() + CALM;
        loop {
            let failed = clients::exchange_all(&mut self.sessions, CALM).await;
            ensure!(failed.is_empty(), "{} sessions fail: {:#}", failed.len(), failed[0]);
            let flows = stand.flows().await?;
            let established = flows.iter().filter(|flow| flow.state == "established").count();
            if established == self.sessions.len() {
                return Ok(());
            }
            ensure!(
                Instant::now() < give_up,
                "{established} flows of {} are established",
                self.sessions.len()
            );
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// Nobody of the absent would come to his backend by Maglev alone.
    async fn differs(&self, stand: &Stand) -> Result<()> {
        let question = |source: &IpAddr| ExplainQuestion {
            source: *source,
            source_port: None,
            destination: vip_for(*source),
            port: LINES_PORT,
            proto: Proto::Tcp,
        };
        let answers = stand.explain(self.absent.keys().map(question).collect()).await?;
        ensure!(answers.len() == self.absent.len(), "{} answers", answers.len());
        for (answer, (source, pinned)) in answers.iter().zip(&self.absent) {
            let (backend, maglev) = (answer.backend.as_ref(), answer.maglev_backend.as_ref());
            ensure!(backend == Some(pinned), "{source} is pinned to {pinned}, explain says {backend:?}");
            ensure!(maglev.is_some() && maglev != Some(pinned), "{source}: Maglev says {maglev:?} too");
        }
        Ok(())
    }

    /// What the tables know of them now.
    pub(crate) async fn known(&self, stand: &Stand) -> Result<Known> {
        let all_flows = stand.flows().await?;
        let established = all_flows.iter().filter(|flow| flow.state == "established");
        let flows: BTreeMap<_, _> =
            established.map(|flow| (flow.client.as_str(), flow.backend.as_str())).collect();
        let lost_flows = self
            .sessions
            .iter()
            .filter(|session| flows.get(session.client().as_str()) != Some(&session.backend.as_str()));
        let pins = stand.pins().await?;
        let pins: BTreeMap<IpAddr, &str> = pins
            .iter()
            .map(|pin| Ok((client_of(&pin.client)?, pin.backend.as_str())))
            .collect::<Result<_>>()?;
        let pin_is = |source: &IpAddr, backend: &str| pins.get(&prefix(*source)) == Some(&backend);
        let lost_pins = self.absent.iter().filter(|(source, backend)| !pin_is(source, backend));
        Ok(Known {
            flows_lost: lost_flows.count(),
            pins_lost: lost_pins.count(),
            pins: pins.keys().copied().collect(),
            bounded: ["fresh", "udp"].map(|state| in_state(&all_flows, state)),
        })
    }
}

/// What the tables know.
#[derive(Debug)]
pub(crate) struct Known {
    /// Sessions whose flow is not there as it was.
    pub(crate) flows_lost: usize,
    /// Absent clients whose pin is not there as it was.
    pub(crate) pins_lost: usize,
    /// Every client with a pin.
    pub(crate) pins: Vec<IpAddr>,
    /// Fresh flows and UDP flows, v4 and v6 each: what floods make flows of.
    pub(crate) bounded: [[u32; 2]; 2],
}

/// Flows in this state, v4 and v6.
fn in_state(flows: &[FlowRow], state: &str) -> [u32; 2] {
    let mut count = [0; 2];
    for flow in flows.iter().filter(|flow| flow.state == state) {
        count[usize::from(flow.client.starts_with('['))] += 1;
    }
    count
}

/// The client of a pin, which stands there as an address or as a prefix.
fn client_of(text: &str) -> Result<IpAddr> {
    let address = text.split('/').next().unwrap_or(text);
    address.parse().with_context(|| format!("pin of {text:?}"))
}

/// What of an address makes a client.
pub(crate) fn prefix(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

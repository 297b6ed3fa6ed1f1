//! The MAC addresses of a set of addresses, kept resolved.
//!
//! The datapath writes MAC addresses and cannot ask for them. The kernel resolves an address only when
//! its own stack sends there, and forgets it when it does not; packets that XDP forwards never count as
//! use. So [`Keeper`] watches the neighbour table and asks the kernel to use an entry (`NTF_USE`) that is
//! missing, failed or stale: the kernel then probes as it always does, by its own timers.
//!
//! An address that is behind a gateway is reached by the gateway's MAC address: the gateway is resolved in its place.
//!
//! `table` decides, without a socket; this file moves the messages.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use rtnetlink::{
    MulticastGroup,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{self, Instant},
};

use crate::net::{
    Mac, NetError, Netlink,
    links::{self, Link},
    netlink::{Notice, Subscription, collect, within},
    route::{self, RouteError},
};

mod table;

use table::{Kick, Path, Seen, Step, Table};

/// Everything is looked at again so often, in case a notification was lost.
const RECHECK: Duration = Duration::from_secs(3);
/// Routes and links change in bursts: one look serves all that came meanwhile.
const SETTLE: Duration = Duration::from_millis(100);
/// Addresses that may wait to be doubted.
const DOUBTS: usize = 64;
const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Neigh,
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// What became of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourEvent {
    /// The address.
    pub address: IpAddr,
    /// How it is reached from now on.
    pub reach: Reach,
}

/// How an address is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By this neighbour.
    Resolved(Neighbour),
    /// Not at all. This is no verdict on the backend: the last MAC address may serve until the health
    /// check has spoken.
    Unreachable {
        /// Why, in words for a log line.
        why: String,
    },
}

/// The neighbour by which an address is reached: itself, or the gateway on the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface.
    pub ifindex: u32,
    /// Its MAC address.
    pub mac: Mac,
    /// Its address, if it is a gateway.
    pub gateway: Option<IpAddr>,
    /// The own address that this host would send from.
    pub source: Option<IpAddr>,
    /// Bytes of the largest IP packet on the way, as far as this host knows; 0: it does not.
    pub mtu: u32,
}

impl Neighbour {
    /// The address itself, on the segment of an interface.
    #[must_use]
    pub const fn on_segment(ifindex: u32, mac: Mac) -> Self {
        Self { ifindex, mac, gateway: None, source: None, mtu: 0 }
    }
}

/// Keeps the MAC addresses of a set of addresses resolved, until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    wanted: watch::Sender<BTreeSet<IpAddr>>,
    doubts: mpsc::Sender<IpAddr>,
    _task: JoinSet<()>,
}

impl Keeper {
    /// A keeper of no address yet, that reports to `events`. Each address is reported when it is resolved
    /// or found unreachable for the first time, and then at every change. After a
    /// [`remove`](Self::remove), an event of the address may still wait in the channel.
    ///
    /// # Errors
    /// The system's, when no netlink socket can be opened.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(events: mpsc::Sender<NeighbourEvent>) -> Result<Self, NetError> {
        Self::start_with(events, GROUPS, RECHECK)
    }

    fn start_with(
        events: mpsc::Sender<NeighbourEvent>,
        groups: &'static [MulticastGroup],
        recheck: Duration,
    ) -> Result<Self, NetError> {
        let wanted = watch::Sender::new(BTreeSet::new());
        let (doubts, doubted) = mpsc::channel(DOUBTS);
        let task = Task {
            netlink: Netlink::open()?,
            subscription: Subscription::open(groups)?,
            wanted: wanted.subscribe(),
            doubted,
            events,
            table: Table::default(),
            recheck,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _the_owner_is_gone = task.run().await;
        });
        Ok(Self { wanted, doubts, _task: tasks })
    }

    /// Keeps one more address.
    pub fn add(&self, address: IpAddr) {
        self.wanted.send_if_modified(|wanted| wanted.insert(address));
    }

    /// Keeps an address no more.
    pub fn remove(&self, address: IpAddr) {
        self.wanted.send_if_modified(|wanted| wanted.remove(&address));
    }

    /// An address does not answer as it should. Its MAC address may be another by now, which the kernel would find
    /// out only when the entry ages (half a minute): it is asked for anew, at most every few seconds. A gateway is
    /// doubted when nobody answers of those that are kept behind it.
    pub fn doubt(&self, address: IpAddr) {
        // With so many doubts waiting, one more says nothing new.
        let _full = self.doubts.try_send(address);
    }

    /// Keeps exactly these addresses.
    pub fn set(&self, addresses: BTreeSet<IpAddr>) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, addresses.clone()) != addresses);
    }
}

struct Task {
    netlink: Netlink,
    subscription: Subscription,
    wanted: watch::Receiver<BTreeSet<IpAddr>>,
    doubted: mpsc::Receiver<IpAddr>,
    events: mpsc::Sender<NeighbourEvent>,
    table: Table,
    recheck: Duration,
}

impl Task {
    /// `None` when the owner is gone.
    async fn run(mut self) -> Option<()> {
        let mut next_look = Instant::now();
        loop {
            tokio::select! {
                // In this order, so that no burst of notices holds up a change or a look.
                biased;
                changed = self.wanted.changed() => {
                    changed.ok()?;
                    next_look = Instant::now();
                }
                () = time::sleep_until(next_look) => {
                    self.look().await?;
                    next_look = Instant::now() + self.recheck;
                }
                Some(address) = self.doubted.recv() => {
                    if let Some(place) = self.table.doubt(address, now()) {
                        self.forget(place).await;
                    }
                }
                notice = self.subscription.next() => match notice {
                    Notice::Message(message) => {
                        if self.on_message(&message).await? == Look::Soon {
                            next_look = next_look.min(Instant::now() + SETTLE);
                        }
                    }
                    Notice::Lost => next_look = Instant::now(),
                },
            }
        }
    }

    async fn on_message(&mut self, message: &RouteNetlinkMessage) -> Option<Look> {
        let step = match message {
            RouteNetlinkMessage::NewNeighbour(message) => {
                Seen::of(message).map(|seen| self.table.on_neighbour(seen, now()))
            }
            RouteNetlinkMessage::DelNeighbour(message) => {
                Seen::of(message).map(|seen| self.table.on_gone(&seen, now()))
            }
            _ => return Some(Look::Soon),
        };
        self.take(step.unwrap_or_default()).await?;
        Some(Look::InTime)
    }

    /// Looks at everything: links, the route of each address, the neighbour table.
    async fn look(&mut self) -> Option<()> {
        let wanted = self.wanted.borrow_and_update().clone();
        self.table.keep(&wanted);
        if wanted.is_empty() {
            return Some(());
        }
        match self.picture(&wanted).await {
            Ok((paths, neighbours)) => {
                let step = self.table.on_picture(paths, neighbours, now());
                self.take(step).await
            }
            Err(error) => {
                tracing::warn!("cannot look up the backends' MAC addresses: {error}; trying again");
                Some(())
            }
        }
    }

    async fn picture(
        &self,
        wanted: &BTreeSet<IpAddr>,
    ) -> Result<(HashMap<IpAddr, Path>, Vec<Seen>), NetError> {
        let links = links::all(&self.netlink).await?;
        let mut paths = HashMap::new();
        for &address in wanted {
            paths.insert(address, path(&self.netlink, &links, address).await?);
        }
        let dump = self.netlink.handle().neighbours().get().execute();
        let neighbours = collect("the neighbour table", dump).await?;
        Ok((paths, neighbours.iter().filter_map(Seen::of).collect()))
    }

    /// Does what the table decided.
    async fn take(&self, step: Step) -> Option<()> {
        for kick in step.kicks {
            self.kick(kick).await;
        }
        for event in step.events {
            self.events.send(event).await.ok()?;
        }
        Some(())
    }

    /// Makes the kernel forget the entry; that it is gone is a notification, and that makes it asked for anew.
    async fn forget(&self, Kick { ifindex, address }: Kick) {
        let mut entry = NeighbourMessage::default();
        entry.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        entry.header.ifindex = ifindex;
        entry.attributes.push(NeighbourAttribute::Destination(address.into()));
        let what = format!("the MAC address of {address} to be forgotten");
        if let Err(error) = within(&what, self.netlink.handle().neighbours().del(entry).execute()).await {
            tracing::debug!("{error}; it will age");
        }
    }

    /// Makes the kernel use the entry: it resolves one that is missing or failed, probes one that is stale.
    async fn kick(&self, Kick { ifindex, address }: Kick) {
        let what = format!("the resolution of {address}");
        let neighbours = self.netlink.handle().neighbours();
        let request = neighbours.add(ifindex, address).state(NeighbourState::None).flags(NeighbourFlags::Use);
        if let Err(error) = within(&what, request.replace().execute()).await {
            tracing::debug!("{error}; trying again");
        }
    }
}

#[derive(PartialEq, Eq)]
enum Look {
    Soon,
    InTime,
}

fn now() -> std::time::Instant {
    std::time::Instant::now()
}

async fn path(netlink: &Netlink, links: &[Link], address: IpAddr) -> Result<Path, NetError> {
    let way = match route::look_up(netlink, address).await {
        Ok(route) => route::gateway_of(address, &route).map(|gateway| (route, gateway)),
        Err(error) => Err(error),
    };
    match way {
        Ok((route, gateway)) => Ok(Path::on(links, &route, gateway)),
        // What the kernel refuses for one address (v6 where there is no IPv6) must not stop the others.
        Err(RouteError::Net(error)) if error.errno().is_none() => Err(error),
        Err(error) => Ok(Path::None { why: error.to_string() }),
    }
}

#[cfg(test)]
#[path = "neighbour/keeper_tests.rs"]
mod tests;

//! What is known of each kept address, and what follows from it: events to tell, entries to kick.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use super::{Neighbour, NeighbourEvent, Reach};
use crate::net::{Mac, links::Link, route::Route};

/// An entry is not kicked twice within this time: an entry that is gone at once again must not spin.
const KICK_APART: Duration = Duration::from_secs(1);

/// A MAC address is not doubted twice within this time: a host that answers ARP and nothing else would be asked
/// without end.
const DOUBT_APART: Duration = Duration::from_secs(10);

/// An entry of the kernel's neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) ifindex: u32,
    pub(super) address: IpAddr,
    pub(super) state: NeighbourState,
    pub(super) mac: Option<Mac>,
}

impl Seen {
    /// `None` for what is no entry of an IP address (a bridge's forwarding table speaks the same).
    pub(super) fn of(message: &NeighbourMessage) -> Option<Self> {
        let mut address = None;
        let mut mac = None;
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some((*ip).into()),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some((*ip).into()),
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = Mac::of_station(bytes),
                _ => {}
            }
        }
        let header = &message.header;
        Some(Self { ifindex: header.ifindex, address: address?, state: header.state, mac })
    }
}

/// The way to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Out of an interface.
    Segment(Segment),
    /// No way that serves.
    None { why: String },
}

/// The segment of an interface, and who stands there: the address itself, or the gateway to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) ifindex: u32,
    pub(super) interface: String,
    pub(super) carrier: bool,
    pub(super) ethernet: bool,
    pub(super) gateway: Option<IpAddr>,
    pub(super) source: Option<IpAddr>,
    pub(super) mtu: u32,
}

impl Path {
    pub(super) fn on(links: &[Link], route: &Route, gateway: Option<IpAddr>) -> Self {
        let Route { ifindex, hop: _, source, mtu } = *route;
        let Some(link) = links.iter().find(|link| link.index == ifindex) else {
            return Self::None { why: format!("its interface, number {ifindex}, is gone") };
        };
        Self::Segment(Segment {
            ifindex,
            interface: link.name.clone(),
            carrier: link.carrier,
            ethernet: link.mac.is_some(),
            gateway,
            source,
            mtu: mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu)),
        })
    }

    /// Who is asked for on the way to `address`.
    fn place(&self, address: IpAddr) -> Option<Kick> {
        match self {
            Self::Segment(segment) => Some(segment.place(address)),
            Self::None { .. } => None,
        }
    }
}

impl Segment {
    fn place(&self, address: IpAddr) -> Kick {
        Kick { ifindex: self.ifindex, address: self.gateway.unwrap_or(address) }
    }

    fn neighbour(&self, mac: Mac) -> Neighbour {
        let Self { ifindex, gateway, source, mtu, .. } = *self;
        Neighbour { ifindex, mac, gateway, source, mtu }
    }
}

/// An entry that the kernel shall use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kick {
    pub(super) ifindex: u32,
    pub(super) address: IpAddr,
}

/// What follows from an input.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) events: Vec<NeighbourEvent>,
    pub(super) kicks: Vec<Kick>,
}

/// What is known of each kept address.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<IpAddr, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    path: Option<Path>,
    seen: Option<Seen>,
    told: Option<Reach>,
    kicked: Option<Instant>,
    /// It failed, and is asked once more before that is told.
    doubted: bool,
    /// When it was last said that it does not answer.
    silent: Option<Instant>,
    /// When the MAC address on the way to it was last forgotten because nobody answered.
    forgotten: Option<Instant>,
}

impl Table {
    /// Keeps exactly these addresses.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<IpAddr>) {
        self.entries.retain(|address, _| wanted.contains(address));
        for &address in wanted {
            self.entries.entry(address).or_default();
        }
    }

    /// Takes the ways to all addresses and the whole neighbour table.
    pub(super) fn on_picture(
        &mut self,
        mut paths: HashMap<IpAddr, Path>,
        neighbours: Vec<Seen>,
        now: Instant,
    ) -> Step {
        let by_place: HashMap<_, _> =
            neighbours.into_iter().map(|seen| ((seen.ifindex, seen.address), seen)).collect();
        let mut step = Step::default();
        for (&address, entry) in &mut self.entries {
            let Some(path) = paths.remove(&address) else { continue };
            let place = path.place(address);
            entry.seen = place.and_then(|place| by_place.get(&(place.ifindex, place.address)).copied());
            entry.path = Some(path);
            entry.judge(address, Occasion::Look, now, &mut step);
        }
        step
    }

    /// Takes one new or changed entry of the neighbour table.
    pub(super) fn on_neighbour(&mut self, seen: Seen, now: Instant) -> Step {
        self.on_change(&seen, Some(seen), now)
    }

    /// Takes that an entry of the neighbour table is gone.
    pub(super) fn on_gone(&mut self, gone: &Seen, now: Instant) -> Step {
        self.on_change(gone, None, now)
    }

    fn on_change(&mut self, before: &Seen, after: Option<Seen>, now: Instant) -> Step {
        let place = Kick { ifindex: before.ifindex, address: before.address };
        let mut step = Step::default();
        for (&address, entry) in &mut self.entries {
            if entry.place(address) == Some(place) {
                entry.seen = after;
                entry.judge(address, Occasion::Change, now, &mut step);
            }
        }
        step
    }

    /// An address does not answer: where its entry is that is better forgotten. One that somebody has set by hand
    /// is his business, and one that is being asked for is on its way. A gateway is good while anybody behind it answers.
    pub(super) fn doubt(&mut self, address: IpAddr, now: Instant) -> Option<Kick> {
        use NeighbourState::{Delay, Probe, Reachable, Stale};
        let lately = |then: Option<Instant>| then.is_some_and(|then| now.duration_since(then) < DOUBT_APART);
        let entry = self.entries.get_mut(&address)?;
        let Seen { state: Reachable | Stale | Delay | Probe, .. } = entry.seen? else { return None };
        entry.silent = Some(now);
        let place = entry.place(address)?;
        if !self.by(place).all(|entry| lately(entry.silent) && !lately(entry.forgotten)) {
            return None;
        }
        self.by(place).for_each(|entry| entry.forgotten = Some(now));
        Some(place)
    }

    /// The addresses that are reached by a place.
    fn by(&mut self, place: Kick) -> impl Iterator<Item = &mut Entry> {
        let all = self.entries.iter_mut();
        all.filter(move |(address, entry)| entry.place(**address) == Some(place)).map(|(_, entry)| entry)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// The look every few seconds.
    Look,
    /// A notification.
    Change,
}

/// What the kernel's entry is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quality {
    /// It has a MAC address; `ageing`: that nobody has confirmed for a while, and that nobody probes.
    Usable { mac: Mac, ageing: bool },
    /// The kernel is asking for the first time.
    Asking,
    /// Nobody answered.
    Failed,
    /// There is no entry, or an empty one.
    Absent,
}

fn quality(seen: Option<Seen>) -> Quality {
    use NeighbourState::{Delay, Failed, Incomplete, Noarp, Permanent, Probe, Reachable, Stale};
    let Some(Seen { state, mac, ifindex: _, address: _ }) = seen else { return Quality::Absent };
    match (state, mac) {
        (Reachable | Delay | Probe | Permanent | Noarp, Some(mac)) => Quality::Usable { mac, ageing: false },
        (Stale, Some(mac)) => Quality::Usable { mac, ageing: true },
        (Incomplete, _) => Quality::Asking,
        (Failed, _) => Quality::Failed,
        _ => Quality::Absent,
    }
}

impl Entry {
    /// Who is asked for on the way to this entry's address.
    fn place(&self, address: IpAddr) -> Option<Kick> {
        self.path.as_ref()?.place(address)
    }

    fn judge(&mut self, address: IpAddr, occasion: Occasion, now: Instant, step: &mut Step) {
        match self.path.clone() {
            None => {}
            Some(Path::None { why }) => self.tell(address, Reach::Unreachable { why }, step),
            Some(Path::Segment(Segment { interface, ethernet: false, .. })) => {
                let why = format!("interface {interface} has no MAC addresses");
                self.tell(address, Reach::Unreachable { why }, step);
            }
            // A lost carrier says nothing of the backend: what was told stays.
            Some(Path::Segment(Segment { interface, carrier: false, .. })) if self.told.is_none() => {
                let why = format!("interface {interface} has no carrier");
                self.tell(address, Reach::Unreachable { why }, step);
            }
            Some(Path::Segment(Segment { carrier: false, .. })) => {}
            Some(Path::Segment(segment)) => {
                let known = quality(self.seen);
                if self.take(known, address, &segment, occasion, step) {
                    self.kick(known, segment.place(address), now, step);
                }
            }
        }
    }

    /// Tells what is new of a neighbour; whether it wants a kick. Failed and ageing entries wait for the
    /// look: a dead backend's would be kicked without end otherwise.
    fn take(
        &mut self,
        known: Quality,
        address: IpAddr,
        segment: &Segment,
        occasion: Occasion,
        step: &mut Step,
    ) -> bool {
        let at_look = occasion == Occasion::Look;
        match known {
            Quality::Usable { mac, ageing } => {
                self.doubted = false;
                self.tell(address, Reach::Resolved(segment.neighbour(mac)), step);
                ageing && at_look
            }
            Quality::Asking => false,
            Quality::Absent => true,
            Quality::Failed if self.deserves_doubt() => true,
            Quality::Failed => {
                self.tell(address, Reach::Unreachable { why: silence(address, segment) }, step);
                at_look
            }
        }
    }

    fn kick(&mut self, known: Quality, kick: Kick, now: Instant, step: &mut Step) {
        if self.kicked.is_none_or(|kicked| now.duration_since(kicked) >= KICK_APART) {
            self.kicked = Some(now);
            self.doubted |= known == Quality::Failed;
            // One gateway stands for many.
            if !step.kicks.contains(&kick) {
                step.kicks.push(kick);
            }
        }
    }

    /// Whether a failure is no news yet. A deleted entry (`ip neigh flush`) goes by way of "failed", and
    /// three lost frames make a failure too: a neighbour that was resolved is asked once more.
    fn deserves_doubt(&self) -> bool {
        !self.doubted && matches!(self.told, Some(Reach::Resolved(_)))
    }

    fn tell(&mut self, address: IpAddr, reach: Reach, step: &mut Step) {
        if self.told.as_ref() != Some(&reach) {
            self.told = Some(reach.clone());
            step.events.push(NeighbourEvent { address, reach });
        }
    }
}

fn silence(address: IpAddr, segment: &Segment) -> String {
    let asked = segment.gateway.unwrap_or(address);
    let whose = segment.gateway.map_or_else(String::new, |_| format!(", the gateway to {address},"));
    format!("nobody answers {} for {asked}{whose} on {}", protocol(asked), segment.interface)
}

fn protocol(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ARP" } else { "neighbour discovery" }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

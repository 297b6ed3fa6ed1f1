//! What is known of each kept address, and what follows from it: events to tell, entries to kick.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use super::{NeighbourEvent, Reach};
use crate::net::{Mac, links::Link};

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
    /// Straight out of an interface.
    Segment { ifindex: u32, interface: String, carrier: bool, ethernet: bool },
    /// No way that serves.
    None { why: String },
}

impl Path {
    pub(super) fn on(links: &[Link], ifindex: u32) -> Self {
        match links.iter().find(|link| link.index == ifindex) {
            Some(Link { index, name, mac, up: _, carrier, xdp: _ }) => Self::Segment {
                ifindex: *index,
                interface: name.clone(),
                carrier: *carrier,
                ethernet: mac.is_some(),
            },
            None => Self::None { why: format!("its interface, number {ifindex}, is gone") },
        }
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
    /// When its MAC address was last forgotten because nobody answered.
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
            entry.seen = match path {
                Path::Segment { ifindex, .. } => by_place.get(&(ifindex, address)).copied(),
                Path::None { .. } => None,
            };
            entry.path = Some(path);
            entry.judge(address, Occasion::Look, now, &mut step);
        }
        step
    }

    /// Takes one new or changed entry of the neighbour table.
    pub(super) fn on_neighbour(&mut self, seen: Seen, now: Instant) -> Step {
        let mut step = Step::default();
        if let Some(entry) = self.entry_at(&seen) {
            entry.seen = Some(seen);
            entry.judge(seen.address, Occasion::Change, now, &mut step);
        }
        step
    }

    /// Takes that an entry of the neighbour table is gone.
    pub(super) fn on_gone(&mut self, gone: &Seen, now: Instant) -> Step {
        let mut step = Step::default();
        if let Some(entry) = self.entry_at(gone) {
            entry.seen = None;
            entry.judge(gone.address, Occasion::Change, now, &mut step);
        }
        step
    }

    /// An address does not answer: where its entry is that is better forgotten. One that somebody has set by hand
    /// is his business, and one that is being asked for is on its way.
    pub(super) fn doubt(&mut self, address: IpAddr, now: Instant) -> Option<Kick> {
        use NeighbourState::{Delay, Probe, Reachable, Stale};
        let entry = self.entries.get_mut(&address)?;
        let Seen { ifindex, state: Reachable | Stale | Delay | Probe, .. } = entry.seen? else { return None };
        if entry.forgotten.is_some_and(|then| now.duration_since(then) < DOUBT_APART) {
            return None;
        }
        entry.forgotten = Some(now);
        Some(Kick { ifindex, address })
    }

    /// The kept address that `seen` is the neighbour of.
    fn entry_at(&mut self, seen: &Seen) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&seen.address)?;
        match entry.path {
            Some(Path::Segment { ifindex, .. }) if ifindex == seen.ifindex => Some(entry),
            _ => None,
        }
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
    fn judge(&mut self, address: IpAddr, occasion: Occasion, now: Instant, step: &mut Step) {
        match self.path.clone() {
            None => {}
            Some(Path::None { why }) => self.tell(address, Reach::Unreachable { why }, step),
            Some(Path::Segment { interface, ethernet: false, .. }) => {
                let why = format!("interface {interface} has no MAC addresses");
                self.tell(address, Reach::Unreachable { why }, step);
            }
            // A lost carrier says nothing of the backend: what was told stays.
            Some(Path::Segment { interface, carrier: false, .. }) if self.told.is_none() => {
                let why = format!("interface {interface} has no carrier");
                self.tell(address, Reach::Unreachable { why }, step);
            }
            Some(Path::Segment { carrier: false, .. }) => {}
            Some(Path::Segment { ifindex, interface, carrier: true, ethernet: true }) => {
                let known = quality(self.seen);
                if self.take(known, Kick { ifindex, address }, &interface, occasion, step) {
                    self.kick(known, Kick { ifindex, address }, now, step);
                }
            }
        }
    }

    /// Tells what is new of a neighbour; whether it wants a kick. Failed and ageing entries wait for the
    /// look: a dead backend's would be kicked without end otherwise.
    fn take(
        &mut self,
        known: Quality,
        Kick { ifindex, address }: Kick,
        interface: &str,
        occasion: Occasion,
        step: &mut Step,
    ) -> bool {
        let at_look = occasion == Occasion::Look;
        match known {
            Quality::Usable { mac, ageing } => {
                self.doubted = false;
                self.tell(address, Reach::Resolved { ifindex, mac }, step);
                ageing && at_look
            }
            Quality::Asking => false,
            Quality::Absent => true,
            Quality::Failed if self.deserves_doubt() => true,
            Quality::Failed => {
                let why = format!("nobody answers {} for {address} on {interface}", protocol(address));
                self.tell(address, Reach::Unreachable { why }, step);
                at_look
            }
        }
    }

    fn kick(&mut self, known: Quality, kick: Kick, now: Instant, step: &mut Step) {
        if self.kicked.is_none_or(|kicked| now.duration_since(kicked) >= KICK_APART) {
            self.kicked = Some(now);
            self.doubted |= known == Quality::Failed;
            step.kicks.push(kick);
        }
    }

    /// Whether a failure is no news yet. A deleted entry (`ip neigh flush`) goes by way of "failed", and
    /// three lost frames make a failure too: a neighbour that was resolved is asked once more.
    fn deserves_doubt(&self) -> bool {
        !self.doubted && matches!(self.told, Some(Reach::Resolved { .. }))
    }

    fn tell(&mut self, address: IpAddr, reach: Reach, step: &mut Step) {
        if self.told.as_ref() != Some(&reach) {
            self.told = Some(reach.clone());
            step.events.push(NeighbourEvent { address, reach });
        }
    }
}

fn protocol(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ARP" } else { "neighbour discovery" }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

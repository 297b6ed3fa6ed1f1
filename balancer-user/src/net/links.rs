//! Interfaces by name: index, MAC address, up and carrier; and their changes.

use std::{collections::HashMap, time::Duration};

use rtnetlink::{
    MulticastGroup,
    packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp},
};
use tokio::{sync::mpsc, task::JoinSet, time};

use crate::net::{
    Mac, NetError, Netlink,
    netlink::{Subscription, collect},
};

/// Looked at again in case a notification was lost.
const RECHECK: Duration = Duration::from_secs(5);

/// An interface as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in the kernel.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address; `None` for one that has none (`lo`, tunnels).
    pub mac: Option<Mac>,
    /// The administrator wants it up.
    pub up: bool,
    /// The lower layer can send.
    pub carrier: bool,
    /// Number of the XDP program on it, whosever.
    pub xdp: Option<u32>,
    /// Bytes of its largest IP packet.
    pub mtu: u32,
    /// What it is, where it is no hardware: `bridge`, `veth`.
    pub kind: Option<String>,
}

impl Link {
    fn of(message: &LinkMessage) -> Option<Self> {
        let flags = message.header.flags;
        let name = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?;
        let mac = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Address(bytes) => Mac::of_station(bytes),
            _ => None,
        });
        let xdp = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Xdp(facts) => facts.iter().find_map(program),
            _ => None,
        });
        Some(Self {
            index: message.header.index,
            name,
            mac,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            xdp,
            mtu: message.attributes.iter().find_map(mtu).unwrap_or(0),
            kind: message.attributes.iter().find_map(kind),
        })
    }
}

/// Kinds of interfaces that take frames from another one's native XDP program (`ndo_xdp_xmit`); hardware mostly does.
const TAKES_FRAMES: [&str; 4] = ["veth", "tun", "bond", "netdevsim"];

impl Link {
    /// Whether it is known that it takes no frames from another interface's native XDP program.
    #[must_use]
    pub fn takes_no_frames(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| !TAKES_FRAMES.contains(&kind))
    }

    /// Whether packets that come in by it may be of a stack of this very host, which leaves checksums to the hardware.
    #[must_use]
    pub fn leads_to_containers(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| CONTAINERS.contains(&kind))
    }
}

/// Kinds of interfaces behind which stacks of this host are.
const CONTAINERS: [&str; 2] = ["bridge", "veth"];

fn mtu(attribute: &LinkAttribute) -> Option<u32> {
    match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    }
}

fn kind(attribute: &LinkAttribute) -> Option<String> {
    let LinkAttribute::LinkInfo(infos) = attribute else { return None };
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

fn program(fact: &LinkXdp) -> Option<u32> {
    use LinkXdp::{DrvProgId, HwProgId, ProgId, SkbProgId};
    match fact {
        ProgId(id) | DrvProgId(id) | SkbProgId(id) | HwProgId(id) => Some(*id).filter(|id| *id != 0),
        _ => None,
    }
}

/// The interface `name`.
///
/// # Errors
/// [`NetError::NoInterface`] if there is none; what went wrong with netlink.
pub async fn by_name(netlink: &Netlink, name: &str) -> Result<Link, NetError> {
    let mut links = all(netlink).await?;
    links.retain(|link| link.name == name);
    links.pop().ok_or_else(|| NetError::NoInterface { name: name.to_owned() })
}

/// Every interface.
///
/// # Errors
/// What went wrong with netlink.
pub async fn all(netlink: &Netlink) -> Result<Vec<Link>, NetError> {
    let messages = collect("the interfaces", netlink.handle().link().get().execute()).await?;
    Ok(messages.iter().filter_map(Link::of).collect())
}

/// An interface that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEvent {
    /// Its name.
    pub name: String,
    /// What it is now; `None`: it is gone.
    pub link: Option<Link>,
}

/// Tells of changes of interfaces until it is dropped.
#[derive(Debug)]
pub struct LinkWatch {
    _task: JoinSet<()>,
}

impl LinkWatch {
    /// Watches the interfaces `names`; first tells how each is now, then how each changes.
    ///
    /// # Errors
    /// The system's, when no netlink socket can be opened.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(names: Vec<String>, events: mpsc::Sender<LinkEvent>) -> Result<Self, NetError> {
        let netlink = Netlink::open()?;
        let subscription = Subscription::open(&[MulticastGroup::Link])?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            let _owner_is_gone = watch(&names, &netlink, subscription, &events).await;
        });
        Ok(Self { _task: task })
    }
}

/// Any notice only says that it is time to look: the picture is compared, so that a lost one costs
/// [`RECHECK`] at most.
async fn watch(
    names: &[String],
    netlink: &Netlink,
    mut subscription: Subscription,
    events: &mpsc::Sender<LinkEvent>,
) -> Result<(), mpsc::error::SendError<LinkEvent>> {
    let mut known = HashMap::new();
    loop {
        match all(netlink).await {
            Ok(links) => {
                for event in changes(names, &mut known, &links) {
                    events.send(event).await?;
                }
            }
            Err(error) => tracing::warn!("cannot watch the interfaces: {error}; trying again"),
        }
        tokio::select! {
            _notice = subscription.next() => {}
            () = time::sleep(RECHECK) => {}
            () = events.closed() => return Ok(()),
        }
    }
}

/// What differs between `known` and `links`; `known` is brought up to date.
fn changes(names: &[String], known: &mut HashMap<String, Option<Link>>, links: &[Link]) -> Vec<LinkEvent> {
    let mut events = Vec::new();
    for name in names {
        let link = links.iter().find(|link| link.name == *name).cloned();
        if known.get(name) != Some(&link) {
            known.insert(name.clone(), link.clone());
            events.push(LinkEvent { name: name.clone(), link });
        }
    }
    events
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;

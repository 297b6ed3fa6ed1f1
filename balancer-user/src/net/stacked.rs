//! The addresses that packets which come in by an interface are for: its own, and those of the interfaces above it.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use rtnetlink::{
    MulticastGroup,
    packet_route::link::{LinkAttribute, LinkMessage},
};
use tokio::time;

use crate::net::{
    NetError, Netlink, address,
    netlink::{Subscription, collect},
};

/// Looked at again in case a notification was lost.
const RECHECK: Duration = Duration::from_secs(5);

/// The addresses of an interface, of the VLANs on it, and of the bridge or bond that it is in; sorted.
///
/// # Errors
/// What went wrong with netlink.
pub async fn addresses(netlink: &Netlink, index: u32) -> Result<Vec<IpAddr>, NetError> {
    let links = collect("the interfaces", netlink.handle().link().get().execute()).await?;
    let places: Vec<_> = links.iter().map(Place::of).collect();
    let above = above(&places, index);
    let addresses = address::local(netlink).await?.into_iter();
    let own: BTreeSet<_> =
        addresses.filter(|one| above.contains(&one.ifindex)).map(|one| one.address).collect();
    Ok(own.into_iter().collect())
}

/// An interface among the others.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    index: u32,
    /// The interface that it is on, in this namespace.
    on: Option<u32>,
    /// The bridge or bond that it is in.
    within: Option<u32>,
}

impl Place {
    fn of(message: &LinkMessage) -> Self {
        let mut place = Self { index: message.header.index, ..Self::default() };
        let mut elsewhere = false;
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Link(index) => place.on = Some(*index),
                LinkAttribute::Controller(index) => place.within = Some(*index),
                // The peer of a veth pair, and its index there.
                LinkAttribute::LinkNetNsId(_) => elsewhere = true,
                _ => {}
            }
        }
        if elsewhere {
            place.on = None;
        }
        place
    }
}

/// The interface, and all above it.
fn above(places: &[Place], index: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([index]);
    loop {
        let on = places.iter().filter(|place| place.on.is_some_and(|on| found.contains(&on)));
        let around = places.iter().filter(|place| found.contains(&place.index));
        let next: BTreeSet<_> = on.map(|place| place.index).chain(around.filter_map(|p| p.within)).collect();
        if next.is_subset(&found) {
            return found;
        }
        found.extend(next);
    }
}

/// Waits until addresses or interfaces may have changed.
pub struct AddressWatch(Subscription);

impl AddressWatch {
    /// Watches from now on.
    ///
    /// # Errors
    /// The system's, when no netlink socket can be opened.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start() -> Result<Self, NetError> {
        let groups = &[MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        Subscription::open(groups).map(Self)
    }

    /// It is time to look again.
    pub async fn changed(&mut self) {
        // Too long a wait only means that nothing was told.
        let _ = time::timeout(RECHECK, self.0.next()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_bridges_and_bonds_are_above_an_interface_and_nothing_else_is() {
        let place = |index, on, within| Place { index, on, within };
        let places = [
            place(1, None, None),
            place(2, None, Some(4)),
            place(3, None, Some(4)),
            // A bond of both, a VLAN on it, and a bridge around that.
            place(4, None, None),
            place(5, Some(4), Some(6)),
            place(6, None, None),
            place(7, Some(8), None),
            place(8, Some(7), None),
        ];
        assert_eq!(above(&places, 2), BTreeSet::from([2, 4, 5, 6]));
        assert_eq!(above(&places, 1), BTreeSet::from([1]));
        assert_eq!(above(&places, 7), BTreeSet::from([7, 8]));
    }
}

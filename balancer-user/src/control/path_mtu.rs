//! What routers have said of the ways of tunnels: soft state, that is forgotten when nobody says it again.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use balancer_common::walk::tunnel::outer;

/// How long it is believed (RFC 1191, 6.3; RFC 8201, 4).
const FOR: Duration = Duration::from_secs(600);
/// Bytes that every host takes in one packet (RFC 791, 3.1; RFC 8200, 5).
const LEAST: [u32; 2] = [576, 1280];

/// The largest packets on the ways to tunnels' ends.
#[derive(Debug, Default)]
pub struct PathMtus(HashMap<IpAddr, Learnt>);

#[derive(Debug)]
struct Learnt {
    mtu: u32,
    until: Instant,
}

/// The smallest MTU of a way that is believed, for a tunnel to this address that carries packets of v4 clients, or of v6 ones. All
/// that a forged message can do is to bring it down to that.
#[must_use]
pub fn floor(to: IpAddr, v4: bool) -> u32 {
    outer::length(to.is_ipv6()) + LEAST[usize::from(!v4)]
}

impl PathMtus {
    /// Takes a router's word on the way to an address, of which so much is `known` (0: nothing). Whether it is news.
    ///
    /// A larger one than what was said before changes nothing: only silence does (RFC 1191, 6.3).
    pub fn learn(&mut self, to: IpAddr, mtu: u32, known: u32, now: Instant) -> bool {
        let mtu = mtu.max(floor(to, true)).max(if to.is_ipv6() { LEAST[1] } else { 0 });
        let before = self.of(to).unwrap_or(u32::MAX);
        if mtu > before || known != 0 && mtu >= known {
            return false;
        }
        self.0.insert(to, Learnt { mtu, until: now + FOR });
        mtu != before
    }

    /// What routers say of the way to an address.
    #[must_use]
    pub fn of(&self, to: IpAddr) -> Option<u32> {
        self.0.get(&to).map(|learnt| learnt.mtu)
    }

    /// The MTU of the way to an address for v4 or v6 clients, where this host itself knows of so much (0: nothing).
    #[must_use]
    pub fn bound(&self, to: IpAddr, v4: bool, known: u32) -> u32 {
        match self.of(to).map(|mtu| mtu.max(floor(to, v4))) {
            Some(mtu) if known == 0 => mtu,
            Some(mtu) => mtu.min(known),
            None => known,
        }
    }

    /// Forgets what is too old; that.
    pub fn expire(&mut self, now: Instant) -> Vec<IpAddr> {
        self.0.extract_if(|_, learnt| learnt.until <= now).map(|(to, _)| to).collect()
    }

    /// Forgets all other addresses.
    pub fn keep(&mut self, wanted: impl Fn(&IpAddr) -> bool) {
        self.0.retain(|to, _| wanted(to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 10));

    const NOBODY: [IpAddr; 0] = [];

    fn to6() -> IpAddr {
        "2001:db8::10".parse().unwrap()
    }

    #[test]
    fn the_smallest_word_counts_until_nobody_says_it_any_more() {
        let (mut mtus, start) = (PathMtus::default(), Instant::now());
        assert!(mtus.learn(TO4, 1400, 1500, start));
        assert!(!mtus.learn(TO4, 1450, 1500, start + FOR / 2), "larger");
        assert_eq!(mtus.expire(start + FOR - Duration::from_secs(1)), NOBODY);
        assert!(!mtus.learn(TO4, 1400, 1500, start + FOR / 2), "no news");
        assert_eq!(mtus.expire(start + FOR), NOBODY, "it was said again");
        assert!(mtus.learn(TO4, 1300, 1500, start + FOR / 2));
        assert_eq!(mtus.bound(TO4, true, 1500), 1300);
        assert_eq!(mtus.expire(start + FOR * 3 / 2), [TO4]);
        assert_eq!(mtus.bound(TO4, true, 1500), 1500);
    }

    #[test]
    fn what_this_host_knows_better_is_no_news() {
        let (mut mtus, now) = (PathMtus::default(), Instant::now());
        assert!(!mtus.learn(TO4, 1400, 1400, now));
        assert!(mtus.learn(TO4, 1400, 0, now), "it knows nothing");
        assert_eq!([0, 1300, 1500].map(|known| mtus.bound(TO4, true, known)), [1400, 1300, 1400]);
    }

    #[test]
    fn a_forged_word_leaves_every_client_the_packets_that_it_may_always_send() {
        let (mut mtus, now) = (PathMtus::default(), Instant::now());
        for to in [TO4, to6()] {
            mtus.learn(to, 68, 1500, now);
        }
        assert_eq!([true, false].map(|v4| mtus.bound(TO4, v4, 1500)), [576 + 20, 1280 + 20]);
        assert_eq!([true, false].map(|v4| mtus.bound(to6(), v4, 1500)), [1280, 1280 + 40]);
    }
}

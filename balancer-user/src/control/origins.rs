//! Where translated answers come from, and what they are translated to.

use std::collections::BTreeMap;

use balancer_common::table::{
    listener::WideAddress,
    origin::{self, KEPT, OriginEntry},
    ports::Block,
    way::{Sources, Way},
};

use super::entries::{address_of, wide};
use crate::config::Endpoint;

/// A listener of a backend's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its number.
    pub listener: u16,
    /// Its protocol's number.
    pub proto: u8,
    /// Its port; `None`: every one.
    pub port: Option<u16>,
}

/// A way by which packets are translated, and the listeners that they come by.
#[derive(Clone, Copy, Debug)]
pub struct Translated<'a> {
    /// The way.
    pub way: &'a Way,
    /// The listeners of its service of the family of the way.
    pub heard: &'a [Heard],
}

impl Translated<'_> {
    /// Address and port of the backend, as an origin's key has them.
    #[must_use]
    pub fn place(&self) -> (WideAddress, u16) {
        (wide(self.endpoint().address), self.way.port)
    }

    fn endpoint(&self) -> Endpoint {
        let port = Some(self.way.port).filter(|port| *port != 0);
        Endpoint { address: address_of(self.way.destination, self.way.v6), port }
    }
}

/// The origins of these ways, by address, port and protocol.
///
/// Who leaves the port open answers from any, and so from one that another backend at that address has too: the entry of
/// that port stands for both.
#[must_use]
pub fn origins(ways: &[Translated<'_>]) -> Vec<OriginEntry> {
    let mut entries: BTreeMap<(Endpoint, u8), OriginEntry> = BTreeMap::new();
    for way in ways {
        for heard in way.heard {
            let endpoint = way.endpoint();
            let empty = || empty(endpoint, heard.proto);
            entries.entry((endpoint, heard.proto)).or_insert_with(empty);
        }
    }
    for ((endpoint, proto), entry) in &mut entries {
        for way in ways.iter().filter(|way| leads_to(way.endpoint(), *endpoint)) {
            let by_port = |heard: &&Heard| match (way.endpoint().port, endpoint.port) {
                (None, Some(port)) => heard.port.is_none_or(|it| it == port),
                _ => true,
            };
            let heard = way.heard.iter().filter(|heard| heard.proto == *proto).filter(by_port);
            heard.for_each(|heard| add(entry, way.way, heard.listener));
        }
    }
    entries.into_values().collect()
}

/// Whether answers of who is sent to `way` may come from `endpoint`.
fn leads_to(way: Endpoint, endpoint: Endpoint) -> bool {
    way.address == endpoint.address && (way.port.is_none() || way.port == endpoint.port)
}

fn empty(endpoint: Endpoint, proto: u8) -> OriginEntry {
    let key = origin::key(wide(endpoint.address), endpoint.port_or_zero(), proto);
    OriginEntry { key, sources: Sources::default(), block: Block::default(), kept: [0; KEPT], mss: 0 }
}

fn add(entry: &mut OriginEntry, way: &Way, listener: u16) {
    // An answer does not say for which of the services it is: the narrowest bound holds for all.
    entry.mss = [entry.mss, way.mss].into_iter().filter(|mss| *mss != 0).min().unwrap_or(0);
    if !way.keep {
        (entry.sources, entry.block) = (way.sources, way.block);
    } else if !entry.kept.contains(&listener)
        // The file is held against this number of places.
        && let Some(free) = entry.kept.iter_mut().find(|it| **it == 0)
    {
        *free = listener;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::entries::words_of;

    const TCP: u8 = 6;

    fn way(endpoint: &str, base: Option<u32>) -> Way {
        let Endpoint { address, port } = endpoint.parse().unwrap();
        let sources = Sources { first: words_of("192.0.2.64".parse().unwrap()), host_bits: 4 };
        Way {
            sources: base.map_or(Sources::default(), |_| sources),
            destination: words_of(address),
            v6: address.is_ipv6(),
            keep: base.is_none(),
            port: port.unwrap_or(0),
            block: Block { base: base.unwrap_or(0), first: 1024, words: 2 },
            ..Way::default()
        }
    }

    fn heard(listener: u16, port: u16) -> Heard {
        Heard { listener, proto: TCP, port: Some(port) }
    }

    /// Port, base of the block (if there is one) and kept listeners of each.
    fn shown(ways: &[(Way, Vec<Heard>)]) -> Vec<(u16, Option<u32>, Vec<u16>)> {
        let ways: Vec<_> = ways.iter().map(|(way, heard)| Translated { way, heard }).collect();
        let shown = |it: &OriginEntry| {
            let base = (it.block.words > 0).then_some(it.block.base);
            (it.key.port, base, it.kept.iter().copied().filter(|number| *number != 0).collect())
        };
        origins(&ways).iter().map(shown).collect()
    }

    #[test]
    fn two_services_to_one_place_are_one_origin() {
        let ways = [
            (way("10.0.0.1:81", Some(0)), vec![heard(1, 80)]),
            (way("10.0.0.1:81", Some(0)), vec![heard(2, 8080)]),
            (way("10.0.0.1:82", Some(128)), vec![heard(1, 80)]),
        ];
        assert_eq!(shown(&ways), [(81, Some(0), vec![]), (82, Some(128), vec![])]);
    }

    #[test]
    fn of_several_bounds_of_segments_the_narrowest_holds() {
        let mss = |bounds: [u16; 2]| {
            let ways = bounds.map(|mss| Way { mss, ..way("10.0.0.1:81", Some(0)) });
            let heard = [heard(1, 80)];
            origins(&ways.each_ref().map(|way| Translated { way, heard: &heard }))[0].mss
        };
        assert_eq!([mss([0, 0]), mss([1400, 0]), mss([0, 1400]), mss([1400, 1300])], [0, 1400, 1400, 1300]);
    }

    #[test]
    fn each_protocol_and_family_has_its_own() {
        let udp = Heard { proto: 17, ..heard(2, 80) };
        let ways = [
            (way("10.0.0.1", Some(0)), vec![heard(1, 80), udp]),
            (way("2001:db8::1", Some(0)), vec![heard(3, 80)]),
        ];
        let ways: Vec<_> = ways.iter().map(|(way, heard)| Translated { way, heard }).collect();
        let keys: Vec<_> = origins(&ways).iter().map(|it| (it.key.proto, it.key.address[0] == 0)).collect();
        assert_eq!(keys, [(0x80 | 6, true), (0x80 | 17, true), (0x80 | 6, false)]);
        assert_eq!(origins(&ways)[0].sources, ways[0].way.sources);
    }

    #[test]
    fn kept_listeners_stand_beside_a_block() {
        let ways = [
            (way("10.0.0.1:81", None), vec![heard(1, 80), heard(2, 8080)]),
            (way("10.0.0.1:81", Some(64)), vec![heard(3, 80)]),
            (way("10.0.0.2", None), vec![heard(1, 80)]),
        ];
        assert_eq!(shown(&ways), [(81, Some(64), vec![1, 2]), (0, None, vec![1])]);
    }

    #[test]
    fn who_leaves_the_port_open_answers_from_anothers_port_too() {
        let ways = [
            (way("10.0.0.1", None), vec![heard(1, 81), heard(2, 82)]),
            (way("10.0.0.1:81", Some(0)), vec![heard(3, 80)]),
        ];
        assert_eq!(shown(&ways), [(0, None, vec![1, 2]), (81, Some(0), vec![1])]);
    }
}

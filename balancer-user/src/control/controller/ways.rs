//! The ways to backends: where packets go, and what they are wrapped in or translated to.

use std::net::IpAddr;

use balancer_common::{
    state::Mode,
    table::{
        backend::NextHop,
        way::{Sources, Way},
    },
};

use super::{Control, Member};
use crate::{
    api::types::WayInfo,
    config::{Endpoint, PoolShape, Service, Source},
    control::{
        blocks::{Claim, Refusal, sources_of},
        entries::{address_of, backend_identity, words_of},
    },
    net::{Mac, neighbour::Neighbour},
};

/// Both families of clients: v4, v6.
pub(super) const FAMILIES: [bool; 2] = [true, false];

/// Whether a service has v4, or v6, clients.
pub(super) fn hears(service: &Service, v4: bool) -> bool {
    service.listen.iter().any(|listen| listen.address.is_ipv4() == v4)
}

impl Control {
    /// Why a service of this mode cannot send to an address, though its neighbour is known.
    pub(super) fn obstacle(&self, mode: Mode, address: IpAddr, neighbour: &Neighbour) -> Option<String> {
        let ifindex = neighbour.ifindex;
        if self.tables.interface_line(ifindex).is_none() {
            return Some(format!(
                "{address} is behind interface number {ifindex}, which is not one of agent.interfaces: nothing can be \
                 sent there"
            ));
        }
        if let (Mode::L2dsr, Some(gateway)) = (mode, neighbour.gateway) {
            return Some(format!(
                "{address} is behind the gateway {gateway}; mode l2dsr changes MAC addresses alone, so a backend must \
                 stand on a segment of this host: use mode ipip or nat"
            ));
        }
        let link = self.links.values().find(|link| link.index == ifindex && link.takes_no_frames())?;
        let native = self.tables.attached().iter().find(|it| it.mode == "native" && it.index != ifindex)?;
        Some(format!(
            "{address} is behind {}, a {} device, to which native XDP (on {}) cannot send: set agent.xdp_mode = \
             \"generic\"",
            link.name,
            link.kind.as_deref().unwrap_or("virtual"),
            native.name
        ))
    }

    /// The neighbour by which a service of this mode sends to an address; `None`: it cannot.
    fn neighbour(&self, mode: Mode, address: IpAddr) -> Option<&Neighbour> {
        let neighbour = self.hops.get(&address)?;
        self.obstacle(mode, address, neighbour).is_none().then_some(neighbour)
    }

    fn next_hop(&self, mode: Mode, neighbour: &Neighbour) -> Option<NextHop> {
        let line = self.tables.interface_line(neighbour.ifindex)?;
        Some(NextHop::new(neighbour.mac.0, line).by(mode))
    }

    /// The next hop of a backend, if its service's clients of every family can be sent to it.
    pub(super) fn hop_of(&self, service: &Service, member: &Member) -> Option<NextHop> {
        if member.mode == Mode::L2dsr {
            return self.segment_hop(member);
        }
        let ways = self.ways_of(service, member);
        let needed = FAMILIES.into_iter().zip(ways).filter(|(v4, _)| hears(service, *v4));
        let mut hops = needed.map(|(_, way)| way.hop);
        let first = hops.next()?;
        (first != NextHop(0) && hops.all(|hop| hop != NextHop(0))).then_some(first)
    }

    /// The next hop of the first address that has one; the one that was adopted while nothing is known of any.
    fn segment_hop(&self, member: &Member) -> Option<NextHop> {
        let addresses = || member.named.addresses.iter().map(|it| it.address);
        let found = addresses().find_map(|it| self.next_hop(member.mode, self.neighbour(member.mode, it)?));
        let adopted = || {
            let unknown = addresses().all(|address| !self.hops.contains_key(&address));
            Some(member.adopted_hop).filter(|hop| unknown && *hop != NextHop(0))
        };
        found.or_else(adopted)
    }

    /// The ways to a backend for v4 and v6 clients.
    pub(super) fn ways_of(&self, service: &Service, member: &Member) -> [Way; 2] {
        FAMILIES.map(|v4| match hears(service, v4) {
            false => Way::default(),
            true => self.way_of(service, member, v4),
        })
    }

    fn way_of(&self, service: &Service, member: &Member, v4: bool) -> Way {
        let mss = service.mss_clamp.unwrap_or(0);
        let same = |endpoint: &&Endpoint| endpoint.address.is_ipv4() == v4;
        let mut addresses = member.named.addresses.iter();
        let endpoint = match member.mode {
            Mode::L2dsr => return Way { mss, mtu: self.segment_mtu(member, v4), ..Way::default() },
            // A tunnel of either family carries both.
            Mode::Ipip => addresses.clone().find(same).or_else(|| addresses.next()),
            Mode::Nat => addresses.find(same),
        };
        endpoint.map_or(Way::default(), |endpoint| {
            let bare = self.bare_way(service, member, *endpoint, v4);
            bare.map_or(Way::default(), |(way, sources)| {
                self.with_hop(Way { mss, ..way }, sources, member, v4)
            })
        })
    }

    /// The way to an address without where it begins, and from where its packets come, if that is known without the
    /// route; `None` without a block where one is wanted.
    fn bare_way(
        &self,
        service: &Service,
        member: &Member,
        endpoint: Endpoint,
        v4: bool,
    ) -> Option<(Way, Option<Sources>)> {
        let address = endpoint.address;
        let bare = Way { destination: words_of(address), v6: address.is_ipv6(), ..Way::default() };
        if member.mode != Mode::Nat {
            let shape = PoolShape::of(&self.config.agent, &self.config.limits, address.is_ipv4());
            return Some((bare, sources_of(&shape)));
        }
        let held = self.blocks.of(self.numbers.backends.of(&member.identity)?, v4)?;
        let keep = service.source == Source::Keep;
        let sources = if keep { Some(Sources::default()) } else { held.sources };
        Some((Way { keep, port: endpoint.port_or_zero(), block: held.block, ..bare }, sources))
    }

    /// The way with where it begins: what is not known any more, or not yet after a start, is as it stands.
    fn with_hop(&self, way: Way, sources: Option<Sources>, member: &Member, v4: bool) -> Way {
        let address = address_of(way.destination, way.v6);
        if let Some(neighbour) = self.hops.get(&address) {
            let own = neighbour.source.map(|own| Sources { first: words_of(own), host_bits: 0 });
            let sources =
                sources.or(own.filter(|_| neighbour.source.is_some_and(|it| it.is_ipv6() == way.v6)));
            let Some(sources) = sources else { return way };
            let hop = self.neighbour(member.mode, address).and_then(|it| self.next_hop(member.mode, it));
            let mtu = self.mtu_to(member.mode, address, neighbour, v4);
            return Way { hop: hop.unwrap_or_default(), mtu, sources, ..way };
        }
        match self.standing_way(member, v4) {
            Some(stands) if (stands.destination, stands.v6) == (way.destination, way.v6) => {
                Way { hop: stands.hop, mtu: stands.mtu, sources: sources.unwrap_or(stands.sources), ..way }
            }
            _ => Way { sources: sources.unwrap_or_default(), ..way },
        }
    }

    fn standing_way(&self, member: &Member, v4: bool) -> Option<&Way> {
        self.standing.ways.get(&(self.numbers.backends.of(&member.identity)?, v4))
    }

    fn segment_mtu(&self, member: &Member, v4: bool) -> u16 {
        let addresses = || member.named.addresses.iter().map(|it| it.address);
        let known = addresses().find_map(|address| self.neighbour(Mode::L2dsr, address));
        known.map_or_else(|| self.standing_way(member, v4).map_or(0, |way| way.mtu), mtu)
    }

    /// The ways to a backend as they are shown.
    pub(super) fn way_infos(&self, service: &Service, member: &Member) -> Vec<WayInfo> {
        let ways = FAMILIES.into_iter().zip(self.ways_of(service, member));
        let heard = ways.filter(|(v4, _)| hears(service, *v4));
        match member.mode {
            Mode::L2dsr => heard.filter_map(|(v4, _)| self.segment_info(member, v4)).collect(),
            Mode::Ipip | Mode::Nat => heard.filter_map(|(v4, way)| self.way_info(v4, &way)).collect(),
        }
    }

    fn segment_info(&self, member: &Member, v4: bool) -> Option<WayInfo> {
        let address = member.named.addresses.iter().map(|it| it.address);
        let found = address.filter_map(|it| Some((it, self.neighbour(member.mode, it)?)));
        found.take(1).next().map(|(address, neighbour)| WayInfo {
            clients: family(v4).to_owned(),
            address,
            gateway: None,
            interface: self.name_of(neighbour),
            mac: Some(neighbour.mac.to_string()),
            mtu: Some(mtu(neighbour)).filter(|mtu| *mtu != 0),
            source: None,
        })
    }

    fn way_info(&self, v4: bool, way: &Way) -> Option<WayInfo> {
        if way.destination == Way::default().destination {
            return None;
        }
        let address = address_of(way.destination, way.v6);
        let neighbour = self.hops.get(&address);
        let [a, b, c, d, e, f, ..] = way.hop.mac().to_le_bytes();
        let first = address_of(way.sources.first, way.v6);
        let source = match way.sources.host_bits {
            _ if way.keep || way.sources == Sources::default() => None,
            0 => Some(first.to_string()),
            bits => Some(format!("{first}/{}", if way.v6 { 128 - bits } else { 32 - bits })),
        };
        Some(WayInfo {
            clients: family(v4).to_owned(),
            address,
            gateway: neighbour.and_then(|neighbour| neighbour.gateway),
            interface: neighbour.and_then(|neighbour| self.name_of(neighbour)),
            mac: (way.hop != NextHop(0)).then(|| Mac([a, b, c, d, e, f]).to_string()),
            mtu: Some(way.mtu).filter(|mtu| *mtu != 0),
            source,
        })
    }

    /// The interface that a neighbour is behind.
    fn name_of(&self, neighbour: &Neighbour) -> Option<String> {
        let link = self.links.values().find(|link| link.index == neighbour.ifindex);
        link.map(|link| link.name.clone())
    }

    /// Gives blocks to those whose packets are translated.
    pub(super) fn claim_blocks(&mut self) {
        let refused = self.blocks.assign(&self.claims(&self.services));
        for ((number, v4), why) in &refused {
            if self.refused.get(&(*number, *v4)) != Some(why)
                && let Some(member) = self.members.get(number)
            {
                tracing::error!(
                    "{}: it takes no clients: {}; `balancer detach` before a start makes the tables anew",
                    member.title(),
                    refusal(*why)
                );
            }
        }
        self.refused = refused;
    }

    /// What all backends claim when these services are wanted: those too that leave, or are gone and still named, as
    /// answers to their flows come from where they are.
    fn claims(&self, services: &[Service]) -> Vec<Claim> {
        let mut claims = Vec::new();
        // Numbers that nobody has, for those that have none yet.
        let mut unknown = u16::MAX;
        for service in services.iter().filter(|service| service.mode == Mode::Nat) {
            for backend in &service.backends {
                let identity = backend_identity(&service.name, &backend.name);
                let number = self.numbers.backends.of(&identity).unwrap_or_else(|| {
                    unknown -= 1;
                    unknown
                });
                claims.extend(claims_of(number, service, &backend.addresses));
            }
        }
        for (number, member) in self.members.iter().filter(|(_, member)| member.mode == Mode::Nat) {
            if !claims.iter().any(|claim| claim.number == *number) {
                let had =
                    |endpoint: &&Endpoint| self.blocks.of(*number, endpoint.address.is_ipv4()).is_some();
                let claim = |endpoint: &Endpoint| Claim {
                    number: *number,
                    endpoint: *endpoint,
                    source: member.source,
                };
                claims.extend(member.named.addresses.iter().filter(had).map(claim));
            }
        }
        claims.sort_by_key(|claim| claim.number);
        claims
    }

    /// Why some backend of these services would have no room for its translated flows.
    pub(super) fn refused_blocks(&self, services: &[Service]) -> Option<&'static str> {
        let mut blocks = self.blocks.clone();
        let refused = blocks.assign(&self.claims(services));
        let new = refused.into_iter().find(|(who, why)| self.refused.get(who) != Some(why));
        new.map(|(_, why)| refusal(why))
    }

    /// Why packets cannot be sent to a backend; `None`: they can, or nothing is known yet.
    pub(super) fn trouble(&self, service: &Service, member: &Member) -> Option<String> {
        if self.hop_of(service, member).is_some() {
            return None;
        }
        let number = self.numbers.backends.of(&member.identity)?;
        let refused = FAMILIES.into_iter().find_map(|v4| self.refused.get(&(number, v4)));
        let addresses = || member.named.addresses.iter().map(|it| it.address);
        let obstacle = |address| self.obstacle(member.mode, address, self.hops.get(&address)?);
        refused
            .map(|why| refusal(*why).to_owned())
            .or_else(|| addresses().find_map(obstacle))
            .or_else(|| addresses().find_map(|address| self.unreachable.get(&address).cloned()))
    }
}

/// What a backend of a service claims.
pub(super) fn claims_of<'a>(
    number: u16,
    service: &'a Service,
    addresses: &'a [Endpoint],
) -> impl Iterator<Item = Claim> + 'a {
    let heard = addresses.iter().filter(|it| hears(service, it.address.is_ipv4()));
    heard.map(move |endpoint| Claim { number, endpoint: *endpoint, source: service.source })
}

pub(super) const fn family(v4: bool) -> &'static str {
    if v4 { "v4" } else { "v6" }
}

fn mtu(neighbour: &Neighbour) -> u16 {
    u16::try_from(neighbour.mtu).unwrap_or(u16::MAX)
}

/// Why there is no block, in words.
pub(super) const fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::NoRoom => "the tables have no room for the translated flows of one more backend",
        Refusal::Apart => "backends that are to share an address have translated flows apart from each other",
    }
}

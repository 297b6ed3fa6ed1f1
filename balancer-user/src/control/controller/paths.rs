//! What routers say of the ways of tunnels.

use std::{net::IpAddr, time::Instant};

use balancer_common::state::Mode;

use super::{Control, Member, member::Stage};
use crate::{
    config::sources_of,
    net::{neighbour::Neighbour, too_big::TooBig},
};

impl Control {
    /// Whether packets are sent in tunnels.
    #[must_use]
    pub fn has_tunnels(&self) -> bool {
        self.members.values().any(|member| member.mode == Mode::Ipip && member.stage != Stage::Gone)
    }

    /// Takes a router's word, if it speaks of a packet of ours: from there on, senders of larger ones are told.
    pub fn on_too_big(&mut self, told: TooBig, now: Instant) {
        let TooBig { router, source, destination, length, mtu } = told;
        let Some(neighbour) = self.hops.get(&destination) else { return };
        let known = neighbour.mtu;
        if self.tunnels_to(destination).next().is_none()
            || mtu >= length
            || !self.is_own(source, neighbour)
            || !self.path_mtus.learn(destination, mtu, known, now)
        {
            return;
        }
        let now = self.path_mtus.of(destination).unwrap_or(known);
        tracing::info!(
            "{}: the way to {destination} takes packets of {now} bytes, as {router} says",
            self.titles(destination)
        );
        self.follow();
    }

    /// Forgets what routers have said long ago; whether that was anything.
    pub(super) fn forget_path_mtus(&mut self, now: Instant) -> bool {
        let gone = self.path_mtus.expire(now);
        for address in &gone {
            tracing::info!("{}: the way to {address} may take larger packets again", self.titles(*address));
        }
        !gone.is_empty()
    }

    /// Bytes of the largest packet on the way to an address.
    pub(super) fn mtu_to(&self, mode: Mode, address: IpAddr, neighbour: &Neighbour, v4: bool) -> u16 {
        let mtu = match mode {
            Mode::Ipip => self.path_mtus.bound(address, v4, neighbour.mtu),
            Mode::L2dsr | Mode::Nat => neighbour.mtu,
        };
        u16::try_from(mtu).unwrap_or(u16::MAX)
    }

    /// Whether tunnels to an address that is reached so may come from `source`.
    fn is_own(&self, source: IpAddr, neighbour: &Neighbour) -> bool {
        match sources_of(&self.config.agent.sources, source.is_ipv4()) {
            Some(sources) => sources.contains(&source),
            None => neighbour.source == Some(source),
        }
    }

    /// The backends at the other end of tunnels to an address.
    fn tunnels_to(&self, address: IpAddr) -> impl Iterator<Item = &Member> {
        self.owners(address).filter(|member| member.mode == Mode::Ipip)
    }

    fn titles(&self, address: IpAddr) -> String {
        self.tunnels_to(address).map(Member::title).collect::<Vec<_>>().join(", ")
    }
}

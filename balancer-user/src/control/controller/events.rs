//! What is observed: outcomes of checks, neighbours, interfaces.

use std::{collections::BTreeSet, net::IpAddr};

use balancer_common::state::Health;

use super::{Control, Member, member::Stage};
use crate::{
    config::Service,
    dataplane::DataplaneError,
    health::{Adopted, BackendKey, Guises, HealthEvent, Outcome, Target, Ways},
    net::{
        links::{Link, LinkEvent},
        neighbour::{Neighbour, NeighbourEvent, Reach},
    },
};

impl Control {
    /// Every check that is to be made, with the verdict to begin from.
    #[must_use]
    pub fn checks(&self) -> Vec<(BackendKey, Target, Adopted)> {
        let (mut checks, ways) = (Vec::new(), self.ways());
        for service in &self.services {
            let targets = self.targets(service, &ways);
            checks.extend(targets.map(|(member, target)| (member.key(), target, member.verdict.state)));
        }
        checks
    }

    /// Whom the checks of a service ask. One that leaves is checked too: if it fails, its flows go elsewhere.
    pub(super) fn targets<'a>(
        &'a self,
        service: &'a Service,
        ways: &'a Ways,
    ) -> impl Iterator<Item = (&'a Member, Target)> {
        let members = self.members.values();
        let members =
            members.filter(|member| member.named.service == service.name && member.stage != Stage::Gone);
        members.filter_map(|member| Some((member, Target::of(service, &member.named.addresses, ways)?)))
    }

    /// The ways that a check can take from here.
    pub(super) fn ways(&self) -> Ways {
        let elsewhere = self.hops.iter().filter(|(_, hop)| self.tables.interface_line(hop.ifindex).is_none());
        Ways {
            probes: self.tables.probes(),
            datapath: self.tables.can_steer(),
            elsewhere: elsewhere.map(|(address, _)| *address).collect(),
            guises: Guises::of(&self.config),
        }
    }

    /// Every address whose MAC address is to be kept.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        let members = self.members.values().filter(|member| member.stage != Stage::Gone);
        members.flat_map(|member| member.named.addresses.iter().map(|it| it.address)).collect()
    }

    /// Takes the outcome of a check.
    pub fn on_health(&mut self, event: HealthEvent) {
        let HealthEvent { key, address, outcome, transition, state, last_error } = event;
        let Some((number, _)) = self.member(&key.service, &key.backend) else { return };
        let Some(member) = self.members.get_mut(&number) else { return };
        // An event of before: the backend has another address now.
        if !member.named.is_at(address) || member.stage == Stage::Gone {
            return;
        }
        let before = (member.verdict.health(), member.verdict.unsure());
        member.verdict.state = state;
        let changes = before != (member.verdict.health(), member.verdict.unsure());
        member.verdict.last_error = last_error;
        // From one that is down, the wish to be drained is one more failure.
        let wishes = matches!(outcome, Outcome::Drain(_)) && state.health == Health::Down;
        if matches!(outcome, Outcome::Failed(_)) || wishes {
            member.verdict.failures += 1;
        }
        if let Some(transition) = &transition {
            member.verdict.transitions += 1;
            let line = format!("{} is {}: {}", member.title(), transition.to, transition.cause);
            match transition.to {
                Health::Down => tracing::warn!("{line}"),
                _ => tracing::info!("{line}"),
            }
        }
        if changes {
            self.follow();
        }
    }

    /// Takes how an address is reached.
    pub fn on_neighbour(&mut self, event: NeighbourEvent) {
        let NeighbourEvent { address, reach } = event;
        let owns = |member: &&Member| member.named.is_at(address) && member.stage != Stage::Gone;
        if !self.members.values().any(|member| owns(&member)) {
            return;
        }
        match reach {
            Reach::Resolved(neighbour) => {
                self.unreachable.remove(&address);
                let before = self.hops.insert(address, neighbour);
                if before.is_none_or(|before| before.ifindex != neighbour.ifindex) {
                    // The way of its checks may be another.
                    self.generation += 1;
                }
                if before != Some(neighbour) {
                    self.tell_neighbour(address, &neighbour);
                    self.follow();
                }
            }
            Reach::Unreachable { why } => {
                self.tell_unreachable(address, &why);
                self.unreachable.insert(address, why);
            }
        }
    }

    /// The backends at an address that are not gone.
    pub(super) fn owners(&self, address: IpAddr) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |member| member.named.is_at(address) && member.stage != Stage::Gone)
    }

    fn tell_neighbour(&self, address: IpAddr, neighbour: &Neighbour) {
        for member in self.owners(address) {
            match self.obstacle(member.mode, address, neighbour) {
                Some(obstacle) => tracing::warn!("{}: {obstacle}", member.title()),
                None => tracing::debug!("{}: {address} is at {}", member.title(), neighbour.mac),
            }
        }
    }

    fn tell_unreachable(&self, address: IpAddr, why: &str) {
        let reached = |member: &Member| {
            let service = self.services.iter().find(|it| it.name == member.named.service);
            service.is_some_and(|service| self.hop_of(service, member).is_some())
        };
        let known = self.owners(address).any(reached);
        let owners: Vec<_> = self.owners(address).map(Member::title).collect();
        let then = if known { "its last MAC address stays in use" } else { "it takes no clients" };
        tracing::warn!("{}: {why}; {then}", owners.join(", "));
    }

    /// Takes how an interface is now, and writes it where packets look.
    ///
    /// # Errors
    /// What the tables refused.
    pub fn on_link(&mut self, event: LinkEvent) -> Result<(), DataplaneError> {
        let LinkEvent { name, link } = event;
        let before = self.links.get(&name).cloned();
        let was_cut_off = self.is_cut_off();
        match link {
            Some(link) => {
                tell_carrier(before.as_ref(), &link);
                self.links.insert(name, link);
            }
            None => {
                tracing::error!("interface {name} is gone: no packet comes or goes by it");
                self.links.remove(&name);
            }
        }
        match (was_cut_off, self.is_cut_off()) {
            (false, true) => tracing::warn!("no interface has a carrier: all verdicts stay as they are"),
            (true, false) => tracing::info!("a carrier is back: verdicts follow the checks again"),
            _ => {}
        }
        self.write_interfaces()
    }

    fn write_interfaces(&mut self) -> Result<(), DataplaneError> {
        let interfaces: Vec<_> =
            self.links.values().filter_map(|link| Some((link.index, link.mac?.0))).collect();
        // The way of checks may be another.
        self.generation += 1;
        self.tables.set_interfaces(&interfaces)?;
        self.follow();
        Ok(())
    }

    /// Whether no interface of ours has a carrier: what checks say then is about this host.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        !self.links.is_empty() && self.links.values().all(|link| !link.carrier)
    }
}

fn tell_carrier(before: Option<&Link>, now: &Link) {
    let had = before.is_none_or(|it| it.carrier);
    match (had, now.carrier) {
        (true, false) => tracing::warn!("interface {}: no carrier", now.name),
        (false, true) => tracing::info!("interface {}: carrier", now.name),
        _ => {}
    }
}

//! The tables as they are wanted, from all that is known.

use std::collections::BTreeMap;

use balancer_common::{
    serve::{Candidate, Serving},
    table::{
        backend::{BackendState, NextHop},
        listener::ListenerEntry,
    },
};

use super::{Condition, Control, Member, member::Stage};
use crate::{
    config::Service,
    control::{
        entries::{listener_entry, listener_id, listener_key, service_identity},
        judge::{Judged, Subject, WantedBackend, judge},
        reconcile::{ServiceLine, Wanted, WantedService},
    },
};

impl Control {
    /// The tables as they are wanted, and how each service fares.
    pub(super) fn wanted(&self) -> (Wanted, BTreeMap<String, Condition>) {
        let mut wanted = Wanted::default();
        let mut conditions = BTreeMap::new();
        for service in &self.services {
            let Some(number) = self.numbers.services.of(&service_identity(&service.name)) else { continue };
            let Judged { regime, backends, maglev } =
                judge(number, service.maglev_size, &self.subjects(service, number));
            let takers = backends.iter().filter(|it| it.state.serving.new_clients()).count();
            conditions.insert(service.name.clone(), Condition { regime, takers });
            wanted.backends.extend(backends);
            let line = ServiceLine {
                identity: service_identity(&service.name),
                affinity_timeout: self.tables.clock().pin_ticks(service.affinity.timeout),
            };
            wanted.services.push(WantedService { number, line, maglev, retired: false });
            wanted.listeners.extend(self.listeners(service, number));
        }
        wanted.services.extend(self.retired_services());
        wanted.backends.extend(self.gone_backends());
        wanted.backends.sort_by_key(|backend| backend.number);
        wanted.listeners.sort_by_key(|entry| entry.listener);
        (wanted, conditions)
    }

    fn listeners(&self, service: &Service, number: u16) -> impl Iterator<Item = ListenerEntry> {
        service.listen.iter().filter_map(move |listen| {
            let listener = self.numbers.listeners.of(&listener_id(listener_key(listen), number))?;
            Some(listener_entry(service, listen, (listener, number), &self.seed, self.tables.clock()))
        })
    }

    /// The backends of a service that are not gone.
    fn subjects(&self, service: &Service, number: u16) -> Vec<Subject> {
        let here = |member: &Member| member.service == number && member.stage != Stage::Gone;
        let members = self.members.iter().filter(|(_, member)| here(member));
        members.map(|(number, member)| self.subject(service, *number, member)).collect()
    }

    fn subject(&self, service: &Service, number: u16, member: &Member) -> Subject {
        let weight = service.backends.iter().find(|it| it.name == member.named.backend);
        let hop = self.hop_of(member);
        // A hop that is not known any more serves until a new one is: its packets wait for nobody else.
        let stands = self.standing.backends.get(&number).map_or(NextHop(0), |it| it.hop);
        Subject {
            number,
            identity: member.identity,
            name: member.named.backend.clone(),
            candidate: Candidate {
                admin: member.stage.admin(),
                health: member.verdict.health(),
                weight: weight.map_or(0, |backend| backend.weight),
                reachable: hop.is_some(),
            },
            hop: hop.unwrap_or(stands),
            mode: member.mode,
        }
    }

    /// The next hop of the first of its addresses that has one.
    pub(super) fn hop_of(&self, member: &Member) -> Option<NextHop> {
        let resolved = member.named.addresses.iter().find_map(|address| {
            let hop = self.hops.get(address)?;
            Some(NextHop::new(hop.mac.0, self.tables.interface_line(hop.ifindex)?))
        });
        resolved.or_else(|| (member.adopted_hop != NextHop(0)).then_some(member.adopted_hop))
    }

    fn retired_services(&self) -> impl Iterator<Item = WantedService> {
        self.numbers.services.retired().filter_map(|number| {
            let identity = self.numbers.services.owner(number)?;
            let line = ServiceLine { identity, affinity_timeout: 0 };
            Some(WantedService { number, line, maglev: None, retired: true })
        })
    }

    fn gone_backends(&self) -> impl Iterator<Item = WantedBackend> {
        self.members.iter().filter(|(_, member)| member.stage == Stage::Gone).map(|(number, member)| {
            let state = BackendState {
                serving: Serving(0),
                admin: member.stage.admin(),
                health: member.verdict.health(),
                mode: member.mode,
                service: member.service,
            };
            let stands = self.standing.backends.get(number).map_or(NextHop(0), |it| it.hop);
            WantedBackend { number: *number, identity: member.identity, state, hop: stands }
        })
    }
}

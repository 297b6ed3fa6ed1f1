//! The tables as they are wanted, from all that is known.

use std::{
    collections::{BTreeMap, HashSet},
    time::SystemTime,
};

use balancer_common::{
    serve::{Candidate, Policy, Serving},
    state::OnNone,
    table::{
        backend::{BackendState, NextHop},
        listener::ListenerEntry,
        schedule::Schedule,
    },
};

use super::{Condition, Control, Member, member::Stage};
use crate::{
    config::Service,
    control::{
        entries::{listener_entry, listener_id, listener_key, service_identity},
        judge::{Judged, Rules, Subject, WantedBackend, judge},
        reconcile::{ServiceLine, Wanted, WantedService},
    },
};

/// How a service judges its backends.
fn rules(service: &Service) -> Rules {
    Rules { policy: policy(service), min_ready: service.min_ready, maglev_size: service.maglev_size }
}

/// What a service does about backends that are not up.
pub(super) fn policy(service: &Service) -> Policy {
    Policy { on_down: service.on_down, panic_below: service.panic_below }
}

impl Control {
    /// The tables as they are wanted, and how each service fares.
    pub(super) fn wanted(&self) -> (Wanted, BTreeMap<String, Condition>) {
        let mut wanted = Wanted::default();
        let mut conditions = BTreeMap::new();
        for service in &self.services {
            let Some(number) = self.numbers.services.of(&service_identity(&service.name)) else { continue };
            let Judged { regime, mut backends, maglev, waiting } =
                judge(number, &rules(service), &self.subjects(service, number));
            for backend in backends.iter_mut().filter(|it| it.state.serving.resets()) {
                backend.schedule = self.schedule(service, backend);
            }
            let takers = backends.iter().filter(|it| it.state.serving.new_clients()).count();
            conditions.insert(service.name.clone(), Condition { regime, takers });
            wanted.backends.extend(backends);
            let line = ServiceLine {
                identity: service_identity(&service.name),
                affinity_timeout: self.tables.clock().pin_ticks(service.affinity.timeout),
            };
            wanted.services.push(WantedService { number, line, maglev, retired: false });
            let listeners = self.listeners(service, number);
            wanted.listeners.extend(listeners.map(|listener| match waiting {
                true => ListenerEntry { on_none: OnNone::Drop, ..listener },
                false => listener,
            }));
        }
        wanted.services.extend(self.retired_services());
        let judged: HashSet<u16> = wanted.backends.iter().map(|backend| backend.number).collect();
        wanted.backends.extend(self.gone_backends().filter(|it| !judged.contains(&it.number)));
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

    /// When the flows of a backend have their turn to be reset: as it was said when that began.
    fn schedule(&self, service: &Service, backend: &WantedBackend) -> Schedule {
        let stands = self.standing.backends.get(&backend.number);
        match stands.filter(|it| it.identity == backend.identity && it.state.serving.resets()) {
            Some(stands) => stands.schedule,
            None => {
                let clock = self.tables.clock();
                let flows = self.live(backend.number);
                Schedule::paced(clock.jiffies(), flows, service.reset_rate, clock.hz)
            }
        }
    }

    /// The backends of a service, those too that are gone and still have flows.
    fn subjects(&self, service: &Service, number: u16) -> Vec<Subject> {
        let members = self.members.iter().filter(|(_, member)| member.service == number);
        members.map(|(number, member)| self.subject(service, *number, member)).collect()
    }

    fn subject(&self, service: &Service, number: u16, member: &Member) -> Subject {
        let hop = self.hop_of(member);
        // A hop that is not known any more serves until a new one is: its packets wait for nobody else.
        let stands = self.standing.backends.get(&number).map_or(NextHop(0), |it| it.hop);
        Subject {
            number,
            identity: member.identity,
            name: member.named.backend.clone(),
            candidate: self.candidate(service, member),
            hop: hop.unwrap_or(stands),
            mode: member.mode,
            draining_since: member.draining_since,
            max_flows: self.max_flows(member),
            full: member.full,
        }
    }

    /// What decides what a backend may do.
    pub(super) fn candidate(&self, service: &Service, member: &Member) -> Candidate {
        let here = member.stage != Stage::Gone;
        let wanted = service.backends.iter().find(|it| here && it.name == member.named.backend);
        let drain = self.drain_of(service, member);
        Candidate {
            admin: member.stage.admin(),
            health: member.verdict.health(),
            weight: wanted.map_or(0, |backend| backend.weight),
            reachable: self.hop_of(member).is_some(),
            backup: wanted.is_some_and(|backend| backend.backup),
            keeps_pins: drain.keeps_pins,
            unsure: member.verdict.unsure(),
            overdue: drain.is_overdue(member.draining_since, SystemTime::now()),
        }
    }

    /// The next hop of the first of its addresses that has one.
    pub(super) fn hop_of(&self, member: &Member) -> Option<NextHop> {
        let resolved = member.named.addresses.iter().find_map(|address| {
            let hop = self.hops.get(&address.address)?;
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
            let schedule = Schedule::default();
            WantedBackend {
                number: *number,
                identity: member.identity,
                state,
                schedule,
                max_flows: 0,
                hop: stands,
            }
        })
    }
}

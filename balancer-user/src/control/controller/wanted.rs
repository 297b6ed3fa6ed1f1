//! The tables as they are wanted, from all that is known.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::SystemTime,
};

use balancer_common::{
    serve::{Candidate, Policy, Serving},
    state::{Mode, OnNone},
    table::{
        backend::{BackendState, NextHop},
        listener::{Echo, ListenerEntry, WideAddress},
        origin::OriginEntry,
        schedule::Schedule,
        way::Way,
    },
};

use super::{Condition, Control, Member, member::Stage, ways::FAMILIES};
use crate::{
    config::{IcmpEcho, Service},
    control::{
        entries::{listener_entry, listener_id, listener_key, service_identity},
        judge::{Judged, Rules, Subject, WantedBackend, judge},
        origins::{Heard, Translated, origins},
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
        let echoes = self.echoes();
        for entry in &mut wanted.listeners {
            entry.echo = echoes.get(&entry.key.address).copied().unwrap_or_default();
        }
        wanted.listeners.sort_by_key(|entry| entry.listener);
        wanted.origins = self.origins(&wanted.backends);
        (wanted, conditions)
    }

    fn listeners(&self, service: &Service, number: u16) -> impl Iterator<Item = ListenerEntry> {
        service.listen.iter().filter_map(move |listen| {
            let listener = self.numbers.listeners.of(&listener_id(listener_key(listen), number))?;
            Some(listener_entry(service, listen, (listener, number), &self.seed, self.tables.clock()))
        })
    }

    /// What becomes of echo requests, by address: it is answered while every service there has as many backends ready as it
    /// wants, and one.
    fn echoes(&self) -> HashMap<WideAddress, Echo> {
        let mut echoes = HashMap::new();
        for service in self.services.iter().filter(|it| it.icmp_echo == IcmpEcho::Balancer) {
            let ready = self.up(service) >= service.min_ready.max(1) as usize;
            for listen in &service.listen {
                let echo = echoes.entry(listener_key(listen).address).or_insert(Echo::Answer);
                if !ready {
                    *echo = Echo::Drop;
                }
            }
        }
        echoes
    }

    /// Where translated answers come from. Of a backend whose service is no more its origins stay as they stand, as long as
    /// its number does: otherwise this host would answer in its place.
    fn origins(&self, backends: &[WantedBackend]) -> Vec<OriginEntry> {
        let translated = backends.iter().filter(|it| it.state.mode == Mode::Nat);
        let heard: Vec<(Way, Vec<Heard>)> = translated
            .flat_map(|it| FAMILIES.into_iter().zip(it.ways).map(|(v4, way)| (it.state.service, v4, way)))
            .filter(|(_, _, way)| way.block.words != 0)
            .map(|(service, v4, way)| (way, self.heard(service, v4)))
            .collect();
        let ways: Vec<_> = heard.iter().map(|(way, heard)| Translated { way, heard }).collect();
        let mut wanted = origins(&ways);
        let orphans: Vec<_> = ways.iter().filter(|it| it.heard.is_empty()).map(Translated::place).collect();
        let stays = |it: &&OriginEntry| orphans.contains(&(it.key.address, it.key.port));
        let left: Vec<_> = self.standing.origins.iter().filter(stays).copied().collect();
        let missing = left.into_iter().filter(|it| !wanted.iter().any(|other| other.key == it.key));
        wanted.extend(missing.collect::<Vec<_>>());
        wanted
    }

    /// The listeners of a service of one family.
    fn heard(&self, number: u16, v4: bool) -> Vec<Heard> {
        let named =
            |service: &&Service| self.numbers.services.of(&service_identity(&service.name)) == Some(number);
        let service = self.services.iter().find(named);
        let listens = service.into_iter().flat_map(|service| &service.listen);
        let heard = listens.filter(|listen| listen.address.is_ipv4() == v4).filter_map(|listen| {
            let listener = self.numbers.listeners.of(&listener_id(listener_key(listen), number))?;
            Some(Heard { listener, proto: listen.proto as u8, port: listen.port })
        });
        heard.collect()
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
        let hop = self.hop_of(service, member);
        // A hop that is not known any more serves until a new one is: its packets wait for nobody else.
        let stands = self.standing.backends.get(&number).map_or(NextHop(0), |it| it.hop);
        Subject {
            number,
            identity: member.identity,
            name: member.named.backend.clone(),
            candidate: self.candidate(service, member),
            hop: hop.unwrap_or(stands),
            ways: self.ways_of(service, member),
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
            reachable: self.hop_of(service, member).is_some(),
            backup: wanted.is_some_and(|backend| backend.backup),
            keeps_pins: drain.keeps_pins,
            unsure: member.verdict.unsure(),
            overdue: drain.is_overdue(member.draining_since, SystemTime::now()),
        }
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
                ways: FAMILIES.map(|v4| self.standing.ways.get(&(*number, v4)).copied().unwrap_or_default()),
            }
        })
    }
}

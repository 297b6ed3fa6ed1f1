//! Numbers for what is wanted, and the way out for what is not wanted any more.

use std::{collections::HashSet, time::Instant};

use balancer_common::{
    state::{Admin, Mode},
    table::backend::NextHop,
};

use super::{Control, Member, Verdict, member::Stage};
use crate::{
    api::types::{ApiError, ErrorCode},
    config::{Backend, Service},
    control::{
        causes::Causes,
        entries::{backend_identity, listener_id, listener_key, service_identity},
        names::Named,
    },
    health::Adopted,
};

impl Control {
    /// Whether there are numbers for all of this.
    ///
    /// # Errors
    /// What there are too many of.
    pub(super) fn room_for(&self, services: &[Service]) -> Result<(), ApiError> {
        let numbers = &self.numbers;
        let new_services =
            services.iter().filter(|it| numbers.services.of(&service_identity(&it.name)).is_none()).count();
        let new_listeners = services.iter().map(|it| self.new_listeners(it)).sum();
        let new_backends = services
            .iter()
            .flat_map(|it| it.backends.iter().map(|backend| backend_identity(&it.name, &backend.name)))
            .filter(|identity| numbers.backends.of(identity).is_none())
            .count();
        check_room("services", new_services, numbers.services.free())?;
        check_room("listeners", new_listeners, numbers.listeners.free())?;
        check_room("backends", new_backends, numbers.backends.free())
    }

    /// Refuses to read the flows of a service otherwise than they were written: what a flow remembers of its client is
    /// another thing where its packets are translated.
    ///
    /// # Errors
    /// Which service has such flows.
    pub(super) fn refuse_other_modes(&self, services: &[Service]) -> Result<(), String> {
        let kind = |mode, source| (mode == Mode::Nat).then_some(source);
        for service in services {
            let number = self.numbers.services.of(&service_identity(&service.name));
            let wanted = kind(service.mode, service.source);
            let other = |member: &&Member| {
                Some(member.service) == number && kind(member.mode, member.source) != wanted
            };
            if let Some(member) = self.members.values().find(other) {
                let source = kind(member.mode, member.source)
                    .map_or_else(String::new, |source| format!(" with source {:?}", source.word()));
                return Err(format!(
                    "service {:?}: it has flows of mode {:?}{source}, and the file says mode {:?}{}",
                    service.name,
                    member.mode.word(),
                    service.mode.word(),
                    wanted.map_or_else(String::new, |source| format!(" with source {:?}", source.word())),
                ));
            }
        }
        Ok(())
    }

    fn new_listeners(&self, service: &Service) -> usize {
        let Some(number) = self.numbers.services.of(&service_identity(&service.name)) else {
            return service.listen.len();
        };
        let known = |key| self.numbers.listeners.of(&listener_id(key, number)).is_some();
        service.listen.iter().filter(|listen| !known(listener_key(listen))).count()
    }

    /// Gives numbers to all that is wanted, and sends off the rest.
    pub(super) fn place(&mut self, now: Instant) {
        let mut kept = Kept::default();
        for service in self.services.clone() {
            let Some(number) = self.numbers.services.take(service_identity(&service.name)) else { continue };
            kept.services.insert(number);
            for listen in &service.listen {
                kept.listeners.extend(self.numbers.listeners.take(listener_id(listener_key(listen), number)));
            }
            for backend in &service.backends {
                kept.backends.extend(self.place_backend(number, &service, backend));
            }
        }
        self.retire_others(&kept, now);
        let addresses = self.addresses();
        self.hops.retain(|address, _| addresses.contains(address));
        self.unreachable.retain(|address, _| addresses.contains(address));
        self.path_mtus.keep(|address| addresses.contains(address));
        self.claim_blocks();
        self.generation += 1;
        self.save_names();
    }

    fn place_backend(&mut self, service_number: u16, service: &Service, backend: &Backend) -> Option<u16> {
        let identity = backend_identity(&service.name, &backend.name);
        let number = self.numbers.backends.take(identity)?;
        let named = Named {
            service: service.name.clone(),
            backend: backend.name.clone(),
            addresses: backend.addresses.clone(),
        };
        let stage = Stage::Wanted(backend.state);
        match self.members.get_mut(&number) {
            Some(member) => {
                let known = !member.named.addresses.is_empty();
                let other = known && member.named.addresses != named.addresses;
                if other {
                    tracing::warn!(
                        "{}: another address is another server: it is judged anew",
                        member.title()
                    );
                }
                // One that was gone was not checked any more.
                if other || member.stage == Stage::Gone {
                    member.verdict = Verdict::of(Adopted::UNKNOWN);
                    member.adopted_hop = NextHop(0);
                }
                *member = Member {
                    named,
                    service: service_number,
                    mode: service.mode,
                    source: service.source,
                    stage,
                    ..member.clone()
                };
            }
            None => {
                let member = Member {
                    named,
                    service: service_number,
                    identity,
                    mode: service.mode,
                    source: service.source,
                    stage,
                    verdict: Verdict::of(Adopted::UNKNOWN),
                    adopted_hop: NextHop(0),
                    admin_since: None,
                    draining_since: None,
                    full: false,
                    causes: Causes::default(),
                };
                self.members.insert(number, member);
            }
        }
        Some(number)
    }

    fn retire_others(&mut self, kept: &Kept, now: Instant) {
        for number in
            self.numbers.services.taken().filter(|it| !kept.services.contains(it)).collect::<Vec<_>>()
        {
            self.numbers.services.retire(number, now);
        }
        for number in
            self.numbers.listeners.taken().filter(|it| !kept.listeners.contains(it)).collect::<Vec<_>>()
        {
            self.numbers.listeners.retire(number, now);
        }
        let others: Vec<_> =
            self.members.keys().filter(|number| !kept.backends.contains(number)).copied().collect();
        for number in others {
            self.send_off(number, kept, now);
        }
    }

    /// A backend that is not wanted any more drains; but one whose service is not there any more, or that served
    /// nothing, is gone at once.
    fn send_off(&mut self, number: u16, kept: &Kept, now: Instant) {
        let Some(member) = self.members.get_mut(&number) else { return };
        match member.stage {
            Stage::Gone => {}
            Stage::Wanted(Admin::Maint | Admin::Gone) => self.forget(number, now, "it was in maintenance"),
            _ if !kept.services.contains(&member.service) => {
                self.forget(number, now, "its service is no more");
            }
            Stage::Wanted(Admin::Ready | Admin::Drain) => {
                member.stage = Stage::Leaving { idle_since: None };
                tracing::info!("{} leaves: it drains until its last flow has ended", member.title());
            }
            Stage::Leaving { .. } => {}
        }
    }

    /// A backend is gone: nothing is sent to it from now on, and its number is free when nothing names it.
    pub(super) fn forget(&mut self, number: u16, now: Instant, why: &str) {
        if let Some(member) = self.members.get_mut(&number) {
            member.stage = Stage::Gone;
            tracing::info!("{} is gone: {why}", member.title());
            self.numbers.backends.retire(number, now);
            self.generation += 1;
        }
    }

    /// Keeps the names of all members for the next agent. Without them it shows numbers: that is no reason to
    /// stop.
    pub(super) fn save_names(&mut self) {
        let names: super::Names =
            self.members.iter().map(|(number, member)| (*number, member.named.clone())).collect();
        if names == self.saved_names {
            return;
        }
        match self.names_file.save(&names) {
            Ok(()) => self.saved_names = names,
            Err(error) => tracing::error!("the names of the numbers cannot be kept: {error}"),
        }
    }
}

/// Numbers that are wanted.
#[derive(Debug, Default)]
struct Kept {
    services: HashSet<u16>,
    listeners: HashSet<u16>,
    backends: HashSet<u16>,
}

fn check_room(what: &str, new: usize, free: usize) -> Result<(), ApiError> {
    if new <= free {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Refused, format!("{new} new {what} want a number, and {free} are free")).with_remedy(
        "numbers of those that were deleted are free when their last flows and pins have run out; wait, or use fewer",
    ))
}

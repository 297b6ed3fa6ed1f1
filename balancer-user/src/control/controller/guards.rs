//! What a verb must not do without being told so twice.

use balancer_common::serve::Candidate;

use super::{Control, wanted::policy};
use crate::{
    api::types::{ApiError, ErrorCode},
    config::{Backend, Service},
    control::{desired, entries::backend_identity, judge::ready_count, runtime::Runtime},
};

impl Control {
    /// Refuses a change that would leave a service with fewer than `min_ready` backends up, and fewer than now.
    pub(super) fn guard_min_ready(
        &self,
        service: &Service,
        changed: &Runtime,
        verb: &str,
    ) -> Result<(), ApiError> {
        let file = self.config.services.iter().find(|it| it.name == service.name);
        let after = file.map(|it| desired::with_changes(it, changed));
        let (before, after) = (self.up(service), after.map_or(0, |it| self.up(&it)));
        if after >= before || after >= service.min_ready as usize {
            return Ok(());
        }
        let name = &service.name;
        let message = format!(
            "service {name:?}: {verb} would leave {after} of {before} backends up, min_ready is {}",
            service.min_ready
        );
        Err(ApiError::new(ErrorCode::Refused, message)
            .with_remedy("bring another backend up first, or say --force"))
    }

    /// How many backends of a service take new clients by right: in a panic none does.
    pub(super) fn up(&self, service: &Service) -> usize {
        let candidate = |backend: &Backend| {
            let number = self.numbers.backends.of(&backend_identity(&service.name, &backend.name))?;
            let member = self.members.get(&number)?;
            Some(Candidate { admin: backend.state, ..self.candidate(service, member) })
        };
        ready_count(policy(service), &service.backends.iter().filter_map(candidate).collect::<Vec<_>>())
    }
}

/// Refuses to cut live flows unless that was said.
pub(super) fn guard_flows(title: &str, flows: u64, yes: bool) -> Result<(), ApiError> {
    if flows == 0 || yes {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::NeedsYes, format!("{title} has {flows} live flows, which maint cuts"))
        .with_remedy("drain it first, or say --yes"))
}

//! The verbs on backends. Each is journalled before the tables follow and before it is answered.

use std::time::{Instant, SystemTime};

use balancer_common::{serve::Serving, state::Admin};

use super::{Control, guards::guard_flows, member::Stage, refused};
use crate::{
    api::types::{ApiError, BackendDoc, DeleteQuery, ErrorCode, Schema, SetAdmin, SetWeight, timestamp},
    config::Service,
    control::{desired, runtime::Runtime},
};

/// The largest weight, as in the file.
const MAX_WEIGHT: u32 = 65_535;

impl Control {
    /// Sets what the operator wants of a backend.
    ///
    /// # Errors
    /// An unknown name, or a guard that wants more than this.
    pub fn set_admin(&mut self, service: &str, backend: &str, set: SetAdmin) -> Result<BackendDoc, ApiError> {
        let SetAdmin { admin, force, yes, drain } = set;
        let service = self.service(service)?.clone();
        let now = self.wanted_backend(&service, backend)?.clone();
        if admin == Admin::Gone {
            return Err(ApiError::new(ErrorCode::Invalid, "a backend is not set to gone")
                .with_remedy("delete it: `balancer backend del`"));
        }
        if drain.is_some() && admin != Admin::Drain {
            return Err(ApiError::new(ErrorCode::Invalid, format!("{admin} has no deadline and no end"))
                .with_remedy("say so with drain alone"));
        }
        let mut runtime = self.runtime.clone();
        runtime.set_admin(&service.name, backend, admin, self.in_file(&service.name, backend));
        if let Some(drain) = drain {
            runtime.set_drain(&service.name, backend, drain);
        }
        if !force {
            self.guard_min_ready(&service, &runtime, &format!("{admin} of {backend}"))?;
        }
        let (number, member) = self.present(&service, backend)?;
        let flows = self.live(number);
        if admin == Admin::Maint && now.state != Admin::Maint {
            guard_flows(&member.title(), flows, yes)?;
        }
        let title = member.title();
        if drain.is_some() {
            // Its time is counted from now on, also of a drain that is on already.
            self.begin_drain(number);
        }
        self.commit(runtime)?;
        if now.state != admin {
            tracing::info!("{title}: {} → {admin}, as the operator says; {flows} live flows", now.state);
            if let Some(member) = self.members.get_mut(&number) {
                member.admin_since = Some(SystemTime::now());
            }
        }
        let note = self.admin_note(&service, number, admin, flows);
        self.backend_doc(&service.name, backend, note.into_iter().collect())
    }

    /// Sets a backend's weight.
    ///
    /// # Errors
    /// An unknown name, a weight out of range, or a guard that wants more than this.
    pub fn set_weight(
        &mut self,
        service: &str,
        backend: &str,
        set: SetWeight,
    ) -> Result<BackendDoc, ApiError> {
        let SetWeight { weight, force } = set;
        check_weight(weight)?;
        let service = self.service(service)?.clone();
        let before = self.wanted_backend(&service, backend)?.weight;
        let mut runtime = self.runtime.clone();
        runtime.set_weight(&service.name, backend, weight, self.in_file(&service.name, backend));
        if !force {
            self.guard_min_ready(&service, &runtime, &format!("weight {weight} of {backend}"))?;
        }
        self.commit(runtime)?;
        if before != weight {
            tracing::info!(
                "service {}: backend {backend}: weight {before} → {weight}, as the operator says",
                service.name
            );
        }
        let note = (weight == 0).then(|| "takes no new clients; its pinned clients still come".to_owned());
        self.backend_doc(&service.name, backend, note.into_iter().collect())
    }

    /// Deletes a backend: it drains and is then forgotten, or at once.
    ///
    /// # Errors
    /// An unknown name, or a guard that wants more than this.
    pub fn delete(
        &mut self,
        service: &str,
        backend: &str,
        query: DeleteQuery,
    ) -> Result<BackendDoc, ApiError> {
        let DeleteQuery { now, force } = query;
        let service = self.service(service)?.clone();
        let (number, member) = self.present(&service, backend)?;
        let (stage, title, flows) = (member.stage, member.title(), self.live(number));
        // One that leaves already can only be hurried.
        if matches!(stage, Stage::Wanted(_)) {
            let mut runtime = self.runtime.clone();
            runtime.delete(&service.name, backend, self.in_file(&service.name, backend));
            if !force {
                self.guard_min_ready(&service, &runtime, &format!("deletion of {backend}"))?;
            }
            tracing::info!("{title}: deleted by the operator; {flows} live flows");
            self.commit(runtime)?;
        }
        let mut document = self.backend_doc(&service.name, backend, Vec::new());
        if now {
            self.forget(number, Instant::now(), "the operator did not want to wait for its flows");
            self.reconcile().map_err(|error| refused(&error))?;
        }
        if let Ok(document) = &mut document {
            document.notes.push(match (now, flows) {
                (_, 0) => "it has no live flow".to_owned(),
                (true, flows) => format!("its {flows} live flows are cut"),
                (false, flows) => format!("it is forgotten when its {flows} live flows have ended"),
            });
        }
        document
    }

    /// What the operator should know besides of a backend whose admin state he has set.
    fn admin_note(&self, service: &Service, number: u16, admin: Admin, flows: u64) -> Option<String> {
        let member = self.members.get(&number).filter(|_| flows > 0)?;
        match admin {
            Admin::Drain => Some(match self.drain_of(service, member).ends_at(member.draining_since) {
                Some(end) => {
                    format!("{flows} live flows go on; what is left of them at {} is reset", timestamp(end))
                }
                None => format!("{flows} live flows go on until they end"),
            }),
            Admin::Maint if self.serving(number).is_some_and(Serving::flows) => {
                Some(format!("{flows} live flows go on while no other backend could take their clients"))
            }
            Admin::Maint => Some(format!("{flows} live flows are cut")),
            Admin::Ready | Admin::Gone => None,
        }
    }

    /// What a backend may do, as the tables have it.
    fn serving(&self, number: u16) -> Option<Serving> {
        self.standing.backends.get(&number).map(|it| it.state.serving)
    }

    /// Journals the runtime changes, and brings the tables to them.
    pub(super) fn commit(&mut self, runtime: Runtime) -> Result<(), ApiError> {
        let services = desired::services(&self.config, &runtime);
        self.room_for(&services)?;
        if runtime != self.runtime {
            self.journal
                .save(&runtime)
                .map_err(|error| ApiError::new(ErrorCode::Failed, format!("nothing was changed: {error}")))?;
        }
        self.runtime = runtime;
        self.services = services;
        self.place(Instant::now());
        self.reconcile().map_err(|error| refused(&error))
    }

    pub(super) fn backend_doc(
        &self,
        service: &str,
        backend: &str,
        notes: Vec<String>,
    ) -> Result<BackendDoc, ApiError> {
        let service: &Service = self.service(service)?;
        let (number, member) = self.present(service, backend)?;
        Ok(BackendDoc {
            schema: Schema,
            service: service.name.clone(),
            backend: self.backend_row(service, number, member, self.service_flows(service)),
            notes,
        })
    }
}

/// Refuses a weight that the file could not have either.
pub(super) fn check_weight(weight: u32) -> Result<(), ApiError> {
    if weight <= MAX_WEIGHT {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Invalid, format!("weight {weight} is too large"))
        .with_remedy(format!("use 0 to {MAX_WEIGHT}")))
}

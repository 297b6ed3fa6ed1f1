//! Names from outside: found, or refused with the name that was probably meant.

use super::{Control, Member, member::Stage};
use crate::{
    api::types::{ApiError, ErrorCode},
    config::{Backend, Service},
};

/// Below this two words have too little in common to be worth a guess.
const ALIKE: f64 = 0.6;

impl Control {
    /// The service `name` as it is wanted.
    pub(super) fn service(&self, name: &str) -> Result<&Service, ApiError> {
        let names = self.services.iter().map(|service| service.name.as_str());
        self.services
            .iter()
            .find(|service| service.name == name)
            .ok_or_else(|| not_found(format!("no service {name:?}"), name, names))
    }

    /// The backend `name` of `service` as it is wanted.
    pub(super) fn wanted_backend<'a>(
        &self,
        service: &'a Service,
        name: &str,
    ) -> Result<&'a Backend, ApiError> {
        if let Some(backend) = service.backends.iter().find(|backend| backend.name == name) {
            return Ok(backend);
        }
        if let Some((_, Member { stage: Stage::Leaving { .. }, .. })) = self.member(&service.name, name) {
            let message = format!("service {:?}: backend {name:?} is deleted and drains", service.name);
            return Err(ApiError::new(ErrorCode::Conflict, message)
                .with_remedy(format!("`balancer backend add {} {name} …` takes it back", service.name)));
        }
        let names = service.backends.iter().map(|backend| backend.name.as_str());
        Err(not_found(format!("service {:?} has no backend {name:?}", service.name), name, names))
    }

    /// Number and member of a backend that is not gone.
    pub(super) fn present(&self, service: &Service, name: &str) -> Result<(u16, &Member), ApiError> {
        match self.member(&service.name, name) {
            Some((number, member)) if member.stage != Stage::Gone => Ok((number, member)),
            _ => {
                let here =
                    |member: &&Member| member.named.service == service.name && member.stage != Stage::Gone;
                let names = self.members.values().filter(here).map(|member| member.named.backend.as_str());
                Err(not_found(format!("service {:?} has no backend {name:?}", service.name), name, names))
            }
        }
    }

    /// What the file has of a backend.
    pub(super) fn in_file(&self, service: &str, backend: &str) -> Option<&Backend> {
        let service = self.config.services.iter().find(|it| it.name == service)?;
        service.backends.iter().find(|it| it.name == backend)
    }
}

fn not_found<'a>(message: String, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> ApiError {
    let error = ApiError::new(ErrorCode::NotFound, message);
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(name, candidate);
    let nearest = names.clone().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(candidate) if likeness(candidate) >= ALIKE => {
            error.with_remedy(format!("did you mean {candidate:?}?"))
        }
        Some(_) => error.with_remedy(format!("there is {}", names.collect::<Vec<_>>().join(", "))),
        None => error,
    }
}

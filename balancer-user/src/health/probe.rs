//! One check of a target, whatever its kind.

use crate::{
    config::model::HealthKind,
    health::{CheckError, Outcome, Target, Way, http, tcp},
};

/// Checks `target` once; it takes no longer than the check's timeout.
pub async fn probe(target: &Target) -> Outcome {
    match ask(target).await {
        Ok(()) => Outcome::Good,
        Err(error) => error.into(),
    }
}

async fn ask(target: &Target) -> Result<(), CheckError> {
    let (address, way) = (target.socket_address(), &target.way);
    let timeout = target.check.timeout;
    let outcome = match &target.check.kind {
        HealthKind::None => Ok(()),
        HealthKind::Tcp => tcp::check(address, way, timeout).await,
        HealthKind::Http { host, path, expect } => {
            http::check(address, way, http::Ask { host: host.as_deref(), path, expect }, timeout).await
        }
    };
    outcome.map_err(|error| match way {
        Way::Direct => error,
        Way::Datapath { .. } => CheckError::ByDatapath {
            service: way.asked(address),
            backend: target.address,
            source: Box::new(error),
        },
    })
}

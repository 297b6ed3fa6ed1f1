//! One check of a target, whatever its kind.

use crate::{
    config::model::HealthKind,
    health::{CheckError, Outcome, Target, Way, http, tcp},
};

/// Checks `target` once; it takes no longer than the check's timeout.
pub async fn probe(target: &Target) -> Outcome {
    ask(target).await.unwrap_or_else(Outcome::from)
}

async fn ask(target: &Target) -> Result<Outcome, CheckError> {
    let (address, way) = (target.socket_address(), &target.way);
    let timeout = target.check.timeout;
    let outcome = match &target.check.kind {
        HealthKind::None => Ok(Outcome::Good),
        HealthKind::Tcp => tcp::check(address, way, timeout).await.map(|()| Outcome::Good),
        HealthKind::Http { host, path, expect, drain_on } => {
            let ask = http::Ask { host: host.as_deref(), path, expect, drain_on };
            http::check(address, way, ask, timeout).await.map(Outcome::from)
        }
    };
    outcome.map_err(|error| match way {
        Way::Direct => error,
        Way::Datapath { .. } => CheckError::ByDatapath { asked: way.words(address), source: Box::new(error) },
    })
}

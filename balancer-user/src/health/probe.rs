//! One check of a target, whatever its kind.

use crate::{
    config::model::HealthKind,
    health::{CheckError, Outcome, Target, http, tcp},
};

/// Checks `target` once; it takes no longer than the check's timeout.
pub async fn probe(target: &Target) -> Outcome {
    match ask(target).await {
        Ok(()) => Outcome::Good,
        Err(error) => error.into(),
    }
}

async fn ask(target: &Target) -> Result<(), CheckError> {
    let address = target.socket_address();
    let timeout = target.check.timeout;
    match &target.check.kind {
        HealthKind::None => Ok(()),
        HealthKind::Tcp => tcp::check(address, timeout).await,
        HealthKind::Http { host, path, expect } => {
            http::check(address, http::Ask { host: host.as_deref(), path, expect }, timeout).await
        }
    }
}

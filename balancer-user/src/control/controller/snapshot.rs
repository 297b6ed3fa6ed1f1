//! All that the metrics show, read at one moment.

use balancer_common::{
    serve::Regime,
    state::{Admin, Health, Mode},
};

use super::{Control, documents::share};
use crate::{
    control::entries::service_identity,
    metrics::{BackendSample, InterfaceSample, ServiceSample, Snapshot},
};

impl Control {
    /// All that the metrics show.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let gauges = self.tables.gauges();
        let interface =
            |it: &crate::dataplane::Attached| InterfaceSample { name: it.name.clone(), mode: it.mode };
        Snapshot {
            backends: self.backend_samples(),
            services: self.service_samples(),
            reasons: self.tables.reasons(),
            tables: self.table_rows(),
            untracked: gauges.untracked,
            pins_lost: gauges.pins_lost,
            unconfirmed: self.unconfirmed,
            interfaces: self.tables.attached().iter().map(interface).collect(),
            last_reload_ok: self.last_reload.ok,
        }
    }

    fn backend_samples(&self) -> Vec<BackendSample> {
        let mut samples = Vec::new();
        for service in &self.services {
            let all = self.service_flows(service);
            for (number, member) in self.rows_of(service) {
                let wanted = service.backends.iter().find(|it| it.name == member.named.backend);
                let counts = self.tables.counts(number);
                samples.push(BackendSample {
                    service: service.name.clone(),
                    backend: member.named.backend.clone(),
                    share: share(counts.live(), all),
                    counts,
                    pins: self.pins_of(number),
                    ports: self.ports_of(number),
                    signals: (member.mode == Mode::Nat).then(|| self.tables.signals(number)),
                    drift: self.swept.drift.get(&number).copied(),
                    up: member.verdict.health() == Health::Up,
                    state: state_word(member.stage.admin(), member.verdict.health()),
                    weight: wanted.map_or(0, |backend| backend.weight),
                    resets: self.causes(number, member),
                    transitions: member.verdict.transitions,
                    failures: member.verdict.failures,
                });
            }
        }
        samples
    }

    fn service_samples(&self) -> Vec<ServiceSample> {
        let sample = |service: &crate::config::Service| ServiceSample {
            service: service.name.clone(),
            panic: self.conditions.get(&service.name).is_some_and(|it| it.regime == Regime::Panic),
            ready: self.up(service) as u64,
            min_ready: service.min_ready,
            table: self
                .numbers
                .services
                .of(&service_identity(&service.name))
                .and_then(|number| self.fingerprints.get(&number))
                .copied(),
        };
        self.services.iter().map(sample).collect()
    }
}

/// What the operator wants where that decides, else what the checks say.
fn state_word(admin: Admin, health: Health) -> &'static str {
    match admin {
        Admin::Ready => health.word(),
        other => other.word(),
    }
}

//! Services and backends as the API shows them.

use std::time::Duration;

use balancer_common::serve::Regime;

use super::{Control, Member, member::Stage};
use crate::{
    api::types::{
        AffinityInfo, ApiError, BackendRow, BackendsDoc, CheckVia, HealthInfo, Schema, ServiceDetail,
        ServiceDoc, ServiceRow, ServiceState, ServicesDoc, TimeoutsInfo, timestamp,
    },
    config::{HealthCheck, HealthKind, Mode, Service, Timeouts},
    health::Way,
};

/// The one way of choosing.
const BALANCE: &str = "maglev";

impl Control {
    /// Every service.
    #[must_use]
    pub fn services_doc(&self) -> ServicesDoc {
        let services = self.services.iter().map(|service| self.service_row(service)).collect();
        ServicesDoc { schema: Schema, services }
    }

    /// One service with its settings and backends.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn service_doc(&self, name: &str) -> Result<ServiceDoc, ApiError> {
        let service = self.service(name)?;
        let detail = ServiceDetail {
            row: self.service_row(service),
            pins: self.rows_of(service).map(|(number, _)| self.pins_of(number)).sum(),
            min_ready: service.min_ready,
            maglev_size: service.maglev_size,
            source: (service.mode == Mode::Nat).then(|| service.source.word().to_owned()),
            mss_clamp: service.mss_clamp,
            icmp_echo: service.icmp_echo.word().to_owned(),
            timeouts: timeouts(&service.timeouts),
            health: self.health(service),
        };
        Ok(ServiceDoc { schema: Schema, service: detail, backends: self.backend_rows(service) })
    }

    /// The backends of a service.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn backends_doc(&self, name: &str) -> Result<BackendsDoc, ApiError> {
        let service = self.service(name)?;
        let backends = self.backend_rows(service);
        Ok(BackendsDoc { schema: Schema, service: service.name.clone(), backends })
    }

    fn health(&self, service: &Service) -> HealthInfo {
        let HealthCheck { kind, port, via, interval, timeout, rise, fall } = &service.health;
        let (kind, path) = match kind {
            HealthKind::None => ("none", None),
            HealthKind::Tcp => ("tcp", None),
            HealthKind::Http { host: _, path, expect: _, drain_on: _ } => ("http", Some(path.clone())),
        };
        HealthInfo {
            kind: kind.to_owned(),
            port: *port,
            path,
            via: self.via(service),
            via_configured: via.word().to_owned(),
            interval: Duration::as_secs_f64(interval),
            timeout: Duration::as_secs_f64(timeout),
            rise: *rise,
            fall: *fall,
        }
    }

    /// The way that the checks of a service take. There is none where nobody is asked.
    fn via(&self, service: &Service) -> Option<CheckVia> {
        let ways = self.ways();
        let targets =
            self.targets(service, &ways).filter(|(_, target)| target.check.kind != HealthKind::None);
        let vias = targets.map(|(_, target)| match target.way {
            Way::Direct => CheckVia::Direct,
            Way::Datapath { .. } => CheckVia::Datapath,
        });
        vias.reduce(|one, other| if one == other { one } else { CheckVia::Both })
    }

    fn service_row(&self, service: &Service) -> ServiceRow {
        ServiceRow {
            name: service.name.clone(),
            listen: service.listen.iter().map(ToString::to_string).collect(),
            mode: service.mode.to_string(),
            balance: BALANCE.to_owned(),
            affinity: AffinityInfo {
                by: service.affinity.by.to_string(),
                timeout: service.affinity.timeout.as_secs(),
                v4_prefix: service.affinity.v4_prefix,
                v6_prefix: service.affinity.v6_prefix,
            },
            ready_backends: self.up(service) as u64,
            backends: service.backends.len() as u64,
            flows: self.service_flows(service),
            state: self.service_state(service),
        }
    }

    fn service_state(&self, service: &Service) -> ServiceState {
        match self.conditions.get(&service.name) {
            None => ServiceState::Down,
            Some(it) if it.takers == 0 => ServiceState::Down,
            Some(it) if it.regime == Regime::Panic => ServiceState::Panic,
            Some(_) if self.up(service) < service.min_ready as usize => ServiceState::Degraded,
            Some(_) => ServiceState::Up,
        }
    }

    /// The backends of a service that are not gone: those that are wanted, in their order, then those that leave.
    pub(super) fn rows_of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = (u16, &'a Member)> {
        let wanted = service.backends.iter().filter_map(|it| self.member(&service.name, &it.name));
        let leaving = self.members.iter().filter(|(_, member)| {
            member.named.service == service.name && matches!(member.stage, Stage::Leaving { .. })
        });
        wanted.chain(leaving.map(|(number, member)| (*number, member)))
    }

    /// Live flows of a service.
    pub(super) fn service_flows(&self, service: &Service) -> u64 {
        self.rows_of(service).map(|(number, _)| self.live(number)).sum()
    }

    fn backend_rows(&self, service: &Service) -> Vec<BackendRow> {
        let all = self.service_flows(service);
        self.rows_of(service).map(|(number, member)| self.backend_row(service, number, member, all)).collect()
    }

    /// One backend; `all` is the number of its service's live flows.
    pub(super) fn backend_row(
        &self,
        service: &Service,
        number: u16,
        member: &Member,
        all: u64,
    ) -> BackendRow {
        let counts = self.tables.counts(number);
        let flows = counts.live();
        let wanted = service.backends.iter().find(|it| it.name == member.named.backend);
        let admin = member.stage.admin();
        BackendRow {
            name: member.named.backend.clone(),
            address: member.named.addresses.first().map_or([0, 0, 0, 0].into(), |first| first.address),
            addresses: member.named.addresses.clone(),
            port: member.named.addresses.first().and_then(|first| first.port),
            mode: member.mode.to_string(),
            ways: self.way_infos(service, member),
            weight: wanted.map_or(0, |backend| backend.weight),
            admin,
            health: member.verdict.health(),
            since: member.since().map(timestamp),
            flows,
            max_flows: wanted.and_then(|backend| backend.max_flows),
            flows_total: counts.opened,
            share: share(flows, all),
            pins: self.pins_of(number),
            packets: counts.packets,
            bytes: counts.bytes,
            resets: counts.reset,
            door: None,
            last_error: member.verdict.last_error.clone().or_else(|| self.trouble(service, member)),
            number,
            remaining: member.drains().then_some(flows),
            drain_ends: self.drain_of(service, member).ends_at(member.draining_since).map(timestamp),
        }
    }

    /// Pins that name a backend, as of the last sweep.
    pub(super) fn pins_of(&self, number: u16) -> u64 {
        self.swept.pins.get(&number).copied().unwrap_or(0)
    }
}

/// Part of a whole, 0 to 1.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn timeouts(timeouts: &Timeouts) -> TimeoutsInfo {
    let Timeouts { established, closing, syn, udp } = timeouts;
    TimeoutsInfo {
        established: established.as_secs(),
        closing: closing.as_secs(),
        syn: syn.as_secs(),
        udp: udp.as_secs(),
    }
}

//! `/metrics`: a [`Snapshot`] of the tables in Prometheus's text format.
//!
//! The library writes OpenMetrics, where a counter's family goes without `_total`: the family of
//! `balancer_backend_flows_total` would be that of the gauge `balancer_backend_flows`. So counters are declared here
//! under their whole name and written like gauges, which gives the older text format that every scraper reads.

use std::fmt;

use balancer_common::reason::Reason;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, text::encode},
    metrics::MetricType,
    registry::Registry,
};

use crate::{
    api::types::TableRow,
    control::causes::Causes,
    dataplane::{BackendCounts, PortUse, Signals},
};

mod families;

/// Media type of what [`render`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that the metrics show, read at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Backends that are not gone.
    pub backends: Vec<BackendSample>,
    /// Services.
    pub services: Vec<ServiceSample>,
    /// Packets by reason.
    pub reasons: Vec<(Reason, u64)>,
    /// How full the tables are.
    pub tables: Vec<TableRow>,
    /// Connections that could not be tracked, v4 and v6.
    pub untracked: [u64; 2],
    /// Pins that found no room.
    pub pins_lost: u64,
    /// Flows that were reset and whose clients never confirmed it, since the agent's start.
    pub unconfirmed: u64,
    /// Interfaces that XDP is attached to.
    pub interfaces: Vec<InterfaceSample>,
    /// Whether the last load of the file was applied.
    pub last_reload_ok: bool,
}

/// A backend.
#[derive(Clone, Debug)]
pub struct BackendSample {
    /// Its service.
    pub service: String,
    /// Its name.
    pub backend: String,
    /// Its counters.
    pub counts: BackendCounts,
    /// Its part of the service's live flows, 0 to 1.
    pub share: f64,
    /// Pins that name it.
    pub pins: u64,
    /// How its ports are used, if packets to it are translated.
    pub ports: Option<PortUse>,
    /// What is seen of its answers, if packets to it are translated.
    pub signals: Option<Signals>,
    /// Live flows counted one by one minus the counters, if the last sweep could tell.
    pub drift: Option<i64>,
    /// Whether its checks pass.
    pub up: bool,
    /// Its state in one word.
    pub state: &'static str,
    /// Its weight.
    pub weight: u32,
    /// Why its flows were reset.
    pub resets: Causes,
    /// Verdicts that changed since the agent's start.
    pub transitions: u64,
    /// Checks that failed since the agent's start.
    pub failures: u64,
}

/// A service.
#[derive(Clone, Debug)]
pub struct ServiceSample {
    /// Its name.
    pub service: String,
    /// Too few backends are up, and health is ignored.
    pub panic: bool,
    /// Backends that are up.
    pub ready: u64,
    /// Verbs that would leave fewer up are refused.
    pub min_ready: u32,
    /// Fingerprint of its Maglev table.
    pub table: Option<u64>,
}

/// An interface.
#[derive(Clone, Debug)]
pub struct InterfaceSample {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: &'static str,
}

/// The text of a snapshot.
///
/// # Errors
/// None in practice: a string takes all that is written.
pub fn render(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("balancer");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    // The end mark of OpenMetrics is no part of this format.
    Ok(text.trim_end_matches("# EOF\n").to_owned())
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families::of_backends(self, &mut encoder)?;
        families::of_services(self, &mut encoder)?;
        families::of_tables(self, &mut encoder)?;
        families::of_agent(self, &mut encoder)
    }
}

/// A family under way.
struct Family<'a>(MetricEncoder<'a>);

impl<'a> Family<'a> {
    fn gauge(encoder: &'a mut DescriptorEncoder<'_>, name: &'a str, help: &str) -> Result<Self, fmt::Error> {
        Ok(Self(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?))
    }

    /// `name` ends in `_total`.
    fn counter(
        encoder: &'a mut DescriptorEncoder<'_>,
        name: &'a str,
        help: &str,
    ) -> Result<Self, fmt::Error> {
        Ok(Self(encoder.encode_descriptor(name, help, None, MetricType::Counter)?))
    }

    /// The one sample of a family without labels.
    fn alone(mut self, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_gauge(value)
    }

    fn sample(&mut self, labels: &impl EncodeLabelSet, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(value)
    }
}

#[cfg(test)]
mod tests;

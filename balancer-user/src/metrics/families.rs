//! The families: their names are a contract with dashboards and alert rules.

use std::fmt;

use balancer_common::state::{Admin, Health};
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};

use super::{BackendSample, Family, Snapshot};
use crate::{
    control::causes::Cause,
    dataplane::{PortUse, Signals},
};

type Encoder<'a> = DescriptorEncoder<'a>;

fn labels(sample: &BackendSample) -> [(&'static str, &str); 2] {
    [("service", &sample.service), ("backend", &sample.backend)]
}

pub(super) fn of_backends(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    gauge(snapshot, encoder, "backend_flows", "Live flows", |it| it.counts.live())?;
    counter(snapshot, encoder, "backend_flows_total", "Flows that began", |it| it.counts.opened)?;
    counter(snapshot, encoder, "backend_packets_total", "Packets forwarded", |it| it.counts.packets)?;
    counter(snapshot, encoder, "backend_bytes_total", "Bytes forwarded, whole frames", |it| it.counts.bytes)?;
    gauge(snapshot, encoder, "backend_share", "Part of the service's live flows, 0 to 1", |it| it.share)?;
    gauge(snapshot, encoder, "backend_pins", "Pins, as of the last sweep", |it| it.pins)?;
    gauge(snapshot, encoder, "backend_up", "Whether the checks pass", |it| u64::from(it.up))?;
    states(snapshot, encoder)?;
    resets(snapshot, encoder)?;
    ports(snapshot, encoder)?;
    signals(snapshot, encoder)?;
    gauge(snapshot, encoder, "backend_weight", "Weight", |it| u64::from(it.weight))?;
    let help = "Verdicts that changed since the agent's start";
    counter(snapshot, encoder, "backend_transitions_total", help, |it| it.transitions)?;
    let help = "Checks that failed since the agent's start";
    counter(snapshot, encoder, "backend_check_failures_total", help, |it| it.failures)?;
    drift(snapshot, encoder)
}

fn gauge<V: EncodeGaugeValue>(
    snapshot: &Snapshot,
    encoder: &mut Encoder<'_>,
    name: &str,
    help: &str,
    value: impl Fn(&BackendSample) -> V,
) -> fmt::Result {
    let mut family = Family::gauge(encoder, name, help)?;
    snapshot.backends.iter().try_for_each(|it| family.sample(&labels(it), &value(it)))
}

fn counter(
    snapshot: &Snapshot,
    encoder: &mut Encoder<'_>,
    name: &str,
    help: &str,
    value: impl Fn(&BackendSample) -> u64,
) -> fmt::Result {
    let mut family = Family::counter(encoder, name, help)?;
    snapshot.backends.iter().try_for_each(|it| family.sample(&labels(it), &value(it)))
}

/// One sample for each state, 1 for the one that it is in.
fn states(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    let health = Health::ALL.iter().map(|state| state.word());
    let admin = [Admin::Drain, Admin::Maint].into_iter().map(Admin::word);
    let words: Vec<_> = health.chain(admin).collect();
    let mut family = Family::gauge(encoder, "backend_state", "1 for the state that the backend is in")?;
    for sample in &snapshot.backends {
        let [service, backend] = labels(sample);
        for word in &words {
            family.sample(&[service, backend, ("state", word)], &u64::from(*word == sample.state))?;
        }
    }
    Ok(())
}

/// One sample for each cause.
fn resets(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    let mut family =
        Family::counter(encoder, "backend_resets_total", "Live flows that were reset, by cause")?;
    for sample in &snapshot.backends {
        let [service, backend] = labels(sample);
        for cause in Cause::ALL {
            family.sample(&[service, backend, ("cause", cause.word())], &sample.resets.of(cause))?;
        }
    }
    Ok(())
}

/// One sample for each use of a port.
fn ports(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    let help = "Ports for translated flows, as of the last sweep";
    let mut family = Family::gauge(encoder, "nat_ports", help)?;
    for (sample, ports) in snapshot.backends.iter().filter_map(|it| Some((it, it.ports?))) {
        let [service, backend] = labels(sample);
        let PortUse { taken, resting, free } = ports;
        for (word, value) in [("taken", taken), ("resting", resting), ("free", free)] {
            family.sample(&[service, backend, ("state", word)], &value)?;
        }
    }
    Ok(())
}

/// What is seen of backends whose answers come this way.
fn signals(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    type Value = fn(&Signals) -> f64;
    let families: [(&str, &str, Value); 5] = [
        ("nat_connections_begun_total", "SYNs that began a connection", |it| it.began as f64),
        ("nat_connections_accepted_total", "Of these, answered by a SYN+ACK", |it| it.accepted as f64),
        ("nat_accept_seconds_total", "Time from the SYN to the SYN+ACK", |it| it.accepted_after as f64 / 1e6),
        ("nat_connections_reset_total", "Connections that the backend reset", |it| it.reset as f64),
        ("nat_refused_total", "Connections refused for want of a port", |it| it.out_of_ports as f64),
    ];
    for (name, help, value) in families {
        let mut family = Family::counter(encoder, name, help)?;
        for (sample, signals) in snapshot.backends.iter().filter_map(|it| Some((it, it.signals?))) {
            family.sample(&labels(sample), &value(&signals))?;
        }
    }
    Ok(())
}

fn drift(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    let help = "Live flows counted one by one by the last sweep minus the counters: 0";
    let mut family = Family::gauge(encoder, "flow_drift", help)?;
    let samples = snapshot.backends.iter().filter_map(|it| Some((it, it.drift?)));
    samples.into_iter().try_for_each(|(it, drift)| family.sample(&labels(it), &drift))
}

pub(super) fn of_services(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    let services = &snapshot.services;
    let mut family = Family::gauge(encoder, "service_ready_backends", "Backends that are up")?;
    services.iter().try_for_each(|it| family.sample(&[("service", &it.service)], &it.ready))?;
    let help = "1 while too few backends are up, and health is ignored";
    let mut family = Family::gauge(encoder, "service_panic", help)?;
    services.iter().try_for_each(|it| family.sample(&[("service", &it.service)], &u64::from(it.panic)))?;
    let help = "Verbs that would leave fewer backends up are refused";
    let mut family = Family::gauge(encoder, "service_min_ready", help)?;
    services.iter().try_for_each(|it| family.sample(&[("service", &it.service)], &it.min_ready))?;
    let help = "1; two hosts with the same hash send each client to the same backend";
    let mut family = Family::gauge(encoder, "maglev_table_info", help)?;
    for (service, table) in services.iter().filter_map(|it| Some((&it.service, it.table?))) {
        family.sample(&[("service", service.as_str()), ("hash", &format!("{table:016x}"))], &1u64)?;
    }
    Ok(())
}

pub(super) fn of_tables(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    let mut family = Family::counter(encoder, "packets_total", "Packets by reason")?;
    for (reason, packets) in &snapshot.reasons {
        family.sample(&[("reason", reason.name())], packets)?;
    }
    let tables = &snapshot.tables;
    let mut family = Family::gauge(encoder, "flow_entries", "Entries in use, as of the last sweep")?;
    tables.iter().try_for_each(|it| family.sample(&[("table", &it.table)], &it.entries))?;
    let mut family = Family::gauge(encoder, "flow_capacity", "Entries that there is room for")?;
    tables.iter().try_for_each(|it| family.sample(&[("table", &it.table)], &it.capacity))?;
    let help = "Connections that could not be tracked: no room, or beyond a bound";
    let mut family = Family::counter(encoder, "flow_untracked_total", help)?;
    for (word, value) in ["v4", "v6"].into_iter().zip(snapshot.untracked) {
        family.sample(&[("family", word)], &value)?;
    }
    Family::counter(encoder, "pin_untracked_total", "Pins that found no room")?.alone(&snapshot.pins_lost)?;
    let help = "Flows that were reset and whose clients never confirmed it, since the agent's start";
    Family::counter(encoder, "resets_unconfirmed_total", help)?.alone(&snapshot.unconfirmed)
}

pub(super) fn of_agent(snapshot: &Snapshot, encoder: &mut Encoder<'_>) -> fmt::Result {
    let mut family = Family::gauge(encoder, "xdp_mode_info", "1; how XDP is attached")?;
    for it in &snapshot.interfaces {
        family.sample(&[("interface", it.name.as_str()), ("mode", it.mode)], &1u64)?;
    }
    let help = "Whether the last load of the file was applied";
    let value = u64::from(snapshot.last_reload_ok);
    Family::gauge(encoder, "config_last_reload_successful", help)?.alone(&value)?;
    let mut family = Family::gauge(encoder, "build_info", "1; the version of the agent")?;
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], &1u64)
}

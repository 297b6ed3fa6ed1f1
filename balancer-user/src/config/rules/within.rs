//! Rules within one service.

use std::time::Duration;

use balancer_common::maglev::is_prime;

use super::{
    super::{
        model::{Endpoint, Mode, Proto, Via},
        place::Placed,
        problem::Report,
        service::{Draft, PlacedTimeouts},
    },
    modes,
};

/// A Maglev table wants this many slots a backend: then a share is off by at most a percent or so.
const SLOTS_A_BACKEND: usize = 100;

/// Checks one service.
pub(in super::super) fn check(service: &Draft, report: &Report<'_>) {
    backend_names(service, report);
    backend_addresses(service, report);
    modes::check(service, report);
    weights(service, report);
    maglev_size(service, report);
    heartbeat(service, report);
    health_port(service, report);
    health_way(service, report);
    min_ready(service, report);
}

pub(super) fn named(service: &Draft) -> String {
    service.name.as_ref().map_or_else(|| "service".to_owned(), |name| format!("service {:?}", name.value))
}

fn backend_names(service: &Draft, report: &Report<'_>) {
    let names: Vec<_> = service.backends.iter().filter_map(|backend| backend.name.as_ref()).collect();
    for (n, name) in names.iter().enumerate() {
        if let Some(first) = names[..n].iter().find(|first| first.value == name.value) {
            let line = report.line(&first.at);
            let message =
                format!("{}: backend {:?} is there twice (first in line {line})", named(service), name.value);
            report.error(&name.at, message, "give it another name or take it out");
        }
    }
}

fn backend_addresses(service: &Draft, report: &Report<'_>) {
    for (n, backend) in service.backends.iter().enumerate() {
        for address in &backend.addresses {
            let mut earlier = service.backends[..n].iter().flat_map(|backend| &backend.addresses);
            if let Some(first) = earlier.find(|first| first.value.is_same_server(address.value)) {
                let line = report.line(&first.at);
                let message = format!(
                    "{}: {} is a backend twice (first in line {line})",
                    named(service),
                    address.value
                );
                report.error(&address.at, message, "take one out; a larger share is a larger weight");
            }
        }
    }
}

fn weights(service: &Draft, report: &Report<'_>) {
    let zero = |weight: &Option<Placed<u32>>| weight.as_ref().is_some_and(|weight| weight.value == 0);
    if let Some(backend) = service.backends.first()
        && service.backends.iter().all(|backend| zero(&backend.weight))
        && let Some(weight) = &backend.weight
    {
        let message = format!("{}: every weight is 0, so nobody takes a client", named(service));
        report.error(&weight.at, message, "give one backend a weight above 0");
    }
}

fn maglev_size(service: &Draft, report: &Report<'_>) {
    let Some(size) = &service.maglev_size else { return };
    if !is_prime(size.value) {
        let message = format!("maglev_size {} is not prime", size.value);
        return report.error(&size.at, message, format!("use {}", next_prime(size.value)));
    }
    let wanted = SLOTS_A_BACKEND * service.backends.len();
    if (size.value as usize) < wanted {
        let message = format!(
            "{}: maglev_size {} is under {SLOTS_A_BACKEND} times the number of its backends, {}: shares are uneven",
            named(service),
            size.value,
            service.backends.len()
        );
        let remedy = format!("use {}", next_prime(u32::try_from(wanted).unwrap_or(u32::MAX)));
        report.warning(&size.at, message, remedy);
    }
}

fn next_prime(n: u32) -> u32 {
    (n..).find(|n| is_prime(*n)).unwrap_or(n)
}

fn heartbeat(service: &Draft, report: &Report<'_>) {
    let (Some(heartbeat), Some(timeouts)) = (&service.heartbeat, &service.timeouts) else { return };
    for (name, timeout) in idle_timeouts(service, timeouts) {
        if timeout.value <= heartbeat.value {
            let [short, long] = [timeout.value, heartbeat.value].map(humantime::format_duration);
            let message = format!("timeouts.{name} of {short} is not longer than the heartbeat of {long}");
            report.error(
                timeout.blame(heartbeat),
                message,
                "raise it: a living connection would be forgotten",
            );
        }
    }
}

/// The timeouts that a living but silent flow of this service must outlast. `closing` is none: a half-closed flow
/// that still sends is revived by its packets, and the rest is over.
fn idle_timeouts<'a>(
    service: &'a Draft,
    timeouts: &'a PlacedTimeouts,
) -> impl Iterator<Item = (&'static str, &'a Placed<Duration>)> {
    let listens = |proto| service.listen.iter().any(|listen| listen.value.proto == proto);
    let established =
        timeouts.established.as_ref().filter(|_| listens(Proto::Tcp)).map(|it| ("established", it));
    let udp = timeouts.udp.as_ref().filter(|_| listens(Proto::Udp)).map(|it| ("udp", it));
    let syn = timeouts.syn.as_ref().map(|it| ("syn", it));
    established.into_iter().chain(syn).chain(udp)
}

fn health_port(service: &Draft, report: &Report<'_>) {
    let Some(health) = &service.health else { return };
    let Some(kind) = health.kind.as_ref().filter(|kind| kind.value != "none") else { return };
    if health.port.is_some() || service.listen.is_empty() {
        return;
    }
    let addresses = service.backends.iter().map(|backend| backend.addresses.first());
    let translated = service.mode.as_ref().is_some_and(|mode| mode.value == Mode::Nat);
    if translated && addresses.flatten().all(|address| address.value.port.is_some()) {
        return;
    }
    let Some(asked) = service.listen.iter().find(|listen| listen.value.port.is_some()) else {
        let message = format!(
            "{}: the {} check has no port to ask, as the service listens on any",
            named(service),
            kind.value
        );
        return report.error(&kind.at, message, "set port in [service.health], or kind = \"none\"");
    };
    if asked.value.proto == Proto::Udp {
        let message = format!(
            "{}: the {} check asks a TCP port, but {} is UDP",
            named(service),
            kind.value,
            asked.value
        );
        report.warning(&kind.at, message, "set port in [service.health], or kind = \"none\"");
    }
}

/// By the datapath a check is as the packets of clients of one family, so that the backend must have an address of it.
fn health_way(service: &Draft, report: &Report<'_>) {
    let Some(health) = &service.health else { return };
    if health.via.as_ref().is_none_or(|via| via.value != Via::Datapath) || service.listen.is_empty() {
        return;
    }
    let heard = |address: &Placed<Endpoint>| {
        let Endpoint { address, port } = address.value;
        let has_port = health.port.or(port).is_some();
        let mut asked = service.listen.iter().filter(|it| has_port || it.value.port.is_some());
        asked.any(|it| it.value.address.is_ipv4() == address.is_ipv4())
    };
    for backend in &service.backends {
        if let Some(first) = backend.addresses.first()
            && !backend.addresses.iter().any(heard)
        {
            let port = if health.port.is_some() { "" } else { " with a port" };
            let message = format!(
                "{}: no service address{port} is of the family of {}, so that it cannot be checked by the datapath",
                named(service),
                first.value
            );
            let remedy = "give the backend such an address, or set health.via to \"direct\"";
            report.error(&first.at, message, remedy);
        }
    }
}

fn min_ready(service: &Draft, report: &Report<'_>) {
    let Some(min_ready) = &service.min_ready else { return };
    if min_ready.written && min_ready.value as usize > service.backends.len() {
        let message = format!(
            "{}: min_ready {} is more than the number of its backends, {}",
            named(service),
            min_ready.value,
            service.backends.len()
        );
        report.warning(&min_ready.at, message, "lower it: every drain would want --force");
    }
}

//! Rules across services.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use super::super::{
    MAX_BACKENDS, MAX_LISTENERS, MAX_SERVICES,
    model::{Listen, Proto},
    place::Placed,
    problem::Report,
    service::Draft,
};

/// Checks all services together, and against the address of the agent's own statistics.
pub(in super::super) fn check(services: &[Draft], stats: Option<&Placed<SocketAddr>>, report: &Report<'_>) {
    names(services, report);
    listeners(services, report);
    backends_apart_from_services(services, report);
    if let Some(stats) = stats {
        stats_apart_from_services(services, stats, report);
    }
    counts(services, report);
}

fn listens(services: &[Draft]) -> impl Iterator<Item = &Placed<Listen>> {
    services.iter().flat_map(|service| &service.listen)
}

/// Every value after its first, with the place of that first one.
fn repeated<'a, T: Copy + Eq + Hash>(
    values: impl Iterator<Item = (T, &'a Range<usize>)>,
) -> impl Iterator<Item = (T, &'a Range<usize>, &'a Range<usize>)> {
    let mut first = HashMap::new();
    values.filter_map(move |(value, at)| {
        let earlier = *first.entry(value).or_insert(at);
        (earlier != at).then_some((value, at, earlier))
    })
}

fn names(services: &[Draft], report: &Report<'_>) {
    let names = services.iter().filter_map(|service| service.name.as_ref());
    for (name, at, first) in repeated(names.map(|name| (name.value.as_str(), &name.at))) {
        let line = report.line(first);
        let message = format!("service {name:?} is there twice (first in line {line})");
        report.error(at, message, "give it another name");
    }
}

/// A wildcard port beside an exact one on the same address is well: the exact one is looked up first.
fn listeners(services: &[Draft], report: &Report<'_>) {
    for (listen, at, first) in repeated(listens(services).map(|listen| (listen.value, &listen.at))) {
        let line = report.line(first);
        let message = format!("{listen} is listened on twice (first in line {line})");
        report.error(at, message, "take one out: an address leads to one service");
    }
}

fn backends_apart_from_services(services: &[Draft], report: &Report<'_>) {
    let addresses: HashMap<IpAddr, &Range<usize>> =
        listens(services).map(|listen| (listen.value.address, &listen.at)).collect();
    for address in
        services.iter().flat_map(|service| &service.backends).flat_map(|backend| &backend.addresses)
    {
        if let Some(listen) = addresses.get(&address.value) {
            let line = report.line(listen);
            let message = format!("backend {} is a service address (line {line})", address.value);
            report.error(&address.at, message, "write the backend's own address");
        }
    }
}

fn stats_apart_from_services(services: &[Draft], stats: &Placed<SocketAddr>, report: &Report<'_>) {
    let taken = |listen: &&Placed<Listen>| {
        listen.value.proto == Proto::Tcp
            && listen.value.address == stats.value.ip()
            && listen.value.port.is_none_or(|port| port == stats.value.port())
    };
    if let Some(listen) = listens(services).find(taken) {
        let message = format!("stats {} would be taken by {}", stats.value, listen.value);
        report.error(&stats.at, message, "use another address or port for stats");
    }
}

fn counts(services: &[Draft], report: &Report<'_>) {
    let backends = services.iter().flat_map(|service| &service.backends).map(|backend| &backend.at);
    too_many("services", MAX_SERVICES, services.iter().map(|service| &service.at), report);
    too_many("listeners", MAX_LISTENERS, listens(services).map(|listen| &listen.at), report);
    too_many("backends", MAX_BACKENDS, backends, report);
}

fn too_many<'a>(
    what: &str,
    most: usize,
    mut places: impl Iterator<Item = &'a Range<usize>>,
    report: &Report<'_>,
) {
    if let Some(first_beyond) = places.nth(most) {
        let all = most + 1 + places.count();
        report.error(
            first_beyond,
            format!("{all} {what} are too many"),
            format!("use at most {most} on one host"),
        );
    }
}

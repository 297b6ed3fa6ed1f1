//! Rules across services.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use ipnet::IpNet;

use super::super::{
    MAX_BACKENDS, MAX_LISTENERS, MAX_SERVICES, agent,
    model::{IcmpEcho, Listen, Proto, Source, Via},
    place::Placed,
    problem::Report,
    service::Draft,
};
use super::within::named;

/// Checks all services together, and against the agent's own addresses.
pub(in super::super) fn check(services: &[Draft], agent: Option<&agent::Draft>, report: &Report<'_>) {
    names(services, report);
    listeners(services, report);
    backends_apart_from_services(services, report);
    echo_is_one(services, report);
    ways_of_kept_clients(services, report);
    if let Some(agent) = agent {
        stats_apart_from_services(services, &agent.stats, report);
        sources_apart(services, &agent.sources, report);
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
        if let Some(listen) = addresses.get(&address.value.address) {
            let line = report.line(listen);
            let message = format!("backend {} is a service address (line {line})", address.value.address);
            report.error(&address.at, message, "write the backend's own address");
        }
    }
}

/// Where clients' addresses are kept, a check by the datapath comes from the service address. Where every port of it is a
/// client's to ask, the answer would be taken for a client's packet.
fn ways_of_kept_clients(services: &[Draft], report: &Report<'_>) {
    for service in services.iter().filter(|it| it.source.as_ref().is_some_and(|it| it.value == Source::Keep))
    {
        let via = service.health.as_ref().and_then(|health| health.via.as_ref());
        let Some(via) = via.filter(|via| via.value == Via::Datapath) else { continue };
        let open = |listen: &&Placed<Listen>| {
            let Listen { address, port, proto } = listen.value;
            let here = service.listen.iter().any(|it| it.value.address == address);
            here && port.is_none() && proto == Proto::Tcp
        };
        let Some(open) = listens(services).find(open) else { continue };
        let message = format!(
            "{}: with source \"keep\" a check by the datapath comes from the service address, and {} (line {}) takes every \
             port of it",
            named(service),
            open.value,
            report.line(&open.at)
        );
        report.error(&via.at, message, "listen on one port there, or set health.via to \"direct\"");
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

/// An echo request names an address and no service.
fn echo_is_one(services: &[Draft], report: &Report<'_>) {
    let mut first: HashMap<IpAddr, (IcmpEcho, &Range<usize>)> = HashMap::new();
    for service in services {
        let Some(echo) = &service.icmp_echo else { continue };
        for listen in &service.listen {
            let address = listen.value.address;
            let (earlier, at) = *first.entry(address).or_insert((echo.value, &listen.at));
            if earlier != echo.value {
                let line = report.line(at);
                let message =
                    format!("echo requests to {address} are answered in two ways (see line {line})");
                let place = if echo.written { &echo.at } else { &listen.at };
                report.error(place, message, "let icmp_echo be the same in all services on one address");
            }
        }
    }
}

/// What comes to a source address is for a flow that is translated, or for nobody.
fn sources_apart(services: &[Draft], sources: &[Placed<IpNet>], report: &Report<'_>) {
    let listens = listens(services).map(|listen| (listen.value.address, &listen.at, "a service"));
    let backends = services.iter().flat_map(|service| &service.backends).flat_map(|it| &it.addresses);
    let backends = backends.map(|address| (address.value.address, &address.at, "a backend"));
    for (address, at, whose) in listens.chain(backends) {
        if let Some(source) = sources.iter().find(|source| source.value.contains(&address)) {
            let message = format!("{address} of {whose} is in agent.sources, {}", source.value);
            report.error(at, message, "take another address, or other sources");
        }
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

//! Rules of translation (mode `nat`) across services, and against the host.

use std::collections::HashMap;

use balancer_common::table::origin::KEPT;

use super::super::{
    agent,
    load::Host,
    model::{Endpoint, Limits, Mode, PortRange, Proto, Service, Source},
    nat::{MAX_ENTRIES, PoolShape, entries},
    place::Placed,
    problem::Report,
    service::Draft,
};

/// Checks what translation takes.
pub(in super::super) fn check(
    host: &Host,
    services: &[Draft],
    agent: Option<&agent::Draft>,
    limits: Option<&(Limits, Placed<PortRange>)>,
    report: &Report<'_>,
) {
    kept(services, report);
    let Some((limits, ports)) = limits else { return };
    let pools = services.iter().find(|service| is_nat(service, Source::Pool));
    if let (Some(pool), Some(local)) = (pools, host.local_ports) {
        local_ports(pool, local, ports, report);
    }
    if let Some(agent) = agent {
        memory(services, agent, limits, ports, report);
    }
}

fn is_nat(service: &Draft, source: Source) -> bool {
    service.mode.as_ref().is_some_and(|mode| mode.value == Mode::Nat)
        && service.source.as_ref().is_some_and(|it| it.value == source)
}

/// What this host's own connections from such a port get back would be taken for an answer to a client.
fn local_ports(pool: &Draft, local: PortRange, ports: &Placed<PortRange>, report: &Report<'_>) {
    let own = ports.value;
    if own.first > local.last || local.first > own.last {
        return;
    }
    let message = format!("nat_ports {own} meet the ports that this host gives its own connections, {local}");
    let remedy = match local.first {
        1025.. => format!("let them end below {}, or move net.ipv4.ip_local_port_range", local.first),
        _ => "move net.ipv4.ip_local_port_range, or nat_ports".to_owned(),
    };
    let place = if ports.written { &ports.at } else { pool.mode.as_ref().map_or(&pool.at, |mode| &mode.at) };
    report.error(place, message, remedy);
}

fn memory(
    services: &[Draft],
    agent: &agent::Draft,
    limits: &Limits,
    ports: &Placed<PortRange>,
    report: &Report<'_>,
) {
    let whole: Vec<Service> = services.iter().filter_map(|draft| draft.service.clone()).collect();
    for (v4, family) in [(true, "IPv4"), (false, "IPv6")] {
        let entries = entries(&PoolShape::of(&agent.agent, limits, v4), &whole, v4);
        if entries > MAX_ENTRIES {
            let source = agent.sources.iter().find(|it| it.value.addr().is_ipv4() == v4);
            let place = source.map_or(&ports.at, |source| &source.at);
            let message = format!(
                "{entries} translated flows of {family} clients are more than {MAX_ENTRIES}, with those to come"
            );
            report.error(place, message, "use fewer sources, fewer nat_ports, or fewer backends");
        }
    }
}

/// An answer whose client keeps its address names no listener: it is looked for under each that there may be.
fn kept(services: &[Draft], report: &Report<'_>) {
    let mut listeners: HashMap<(Endpoint, Proto), usize> = HashMap::new();
    for service in services.iter().filter(|service| is_nat(service, Source::Keep)) {
        for address in service.backends.iter().flat_map(|backend| &backend.addresses) {
            for (endpoint, proto) in asked(service, address) {
                let count = listeners.entry((endpoint, proto)).or_default();
                *count += 1;
                if *count == KEPT + 1 {
                    let message = format!(
                        "more than {KEPT} {proto} listeners keep their clients' addresses towards {}",
                        address.value
                    );
                    let remedy = "use source = \"pool\", or give the backend another port or address";
                    report.error(&address.at, message, remedy);
                }
            }
        }
    }
}

/// Where the answers to the listeners of a service come from, one for each listener; where the port is left open, from
/// that of the listener too.
fn asked<'a>(
    service: &'a Draft,
    address: &'a Placed<Endpoint>,
) -> impl Iterator<Item = (Endpoint, Proto)> + 'a {
    let Endpoint { address, port } = address.value;
    let heard = service.listen.iter().map(|listen| listen.value);
    let heard = heard.filter(move |listen| listen.address.is_ipv4() == address.is_ipv4());
    heard.flat_map(move |listen| {
        let by_listener = listen.port.filter(|_| port.is_none());
        let itself = (Endpoint { address, port }, listen.proto);
        let too = by_listener.map(|port| (Endpoint { address, port: Some(port) }, listen.proto));
        [Some(itself), too].into_iter().flatten()
    })
}

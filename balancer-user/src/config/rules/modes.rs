//! Rules of the modes within one service.

use super::{
    super::{
        model::{Endpoint, Listen, Mode},
        place::Placed,
        problem::Report,
        service::Draft,
    },
    within::named,
};

/// Checks what a service asks of its mode.
pub(super) fn check(service: &Draft, report: &Report<'_>) {
    let Some(mode) = service.mode.as_ref().map(|mode| mode.value) else { return };
    if mode == Mode::Nat {
        families(service, report);
        open_ports(service, report);
    } else {
        ports(mode, service, report);
    }
}

fn addresses(service: &Draft) -> impl Iterator<Item = &Placed<Endpoint>> {
    service.backends.iter().flat_map(|backend| &backend.addresses)
}

/// Only a translation can change a port.
fn ports(mode: Mode, service: &Draft, report: &Report<'_>) {
    for address in addresses(service).filter(|address| address.value.port.is_some()) {
        let Endpoint { address: bare, port: _ } = address.value;
        let message = format!(
            "{:?} has a port, and mode {:?} cannot change ports",
            address.value.to_string(),
            mode.word()
        );
        report.error(
            &address.at,
            message,
            format!("write \"{bare}\": the backend listens on the service's port"),
        );
    }
}

/// A translation does not turn one family into the other.
fn families(service: &Draft, report: &Report<'_>) {
    for backend in &service.backends {
        let Some(first) = backend.addresses.first() else { continue };
        let has = |v4| backend.addresses.iter().any(|it| it.value.address.is_ipv4() == v4);
        let missed = |listen: &&Placed<Listen>| !has(listen.value.address.is_ipv4());
        let Some(listen) = service.listen.iter().find(missed) else { continue };
        let family = if listen.value.address.is_ipv4() { "IPv4" } else { "IPv6" };
        let message = format!(
            "{}: {} has no {family} address beside it, and mode \"nat\" cannot carry {} to the other family",
            named(service),
            first.value,
            listen.value
        );
        let remedy = "give the backend one, or listen there in a service of its own";
        report.error(&first.at, message, remedy);
    }
}

/// Where clients may ask any port, one port of a backend could not tell whom its answers are for.
fn open_ports(service: &Draft, report: &Report<'_>) {
    let Some(listen) = service.listen.iter().find(|listen| listen.value.port.is_none()) else { return };
    for address in addresses(service).filter(|address| address.value.port.is_some()) {
        let message = format!(
            "{}: {} has a port, and {} takes every port",
            named(service),
            address.value,
            listen.value
        );
        report.error(&address.at, message, "leave the port out, or listen on one port");
    }
}

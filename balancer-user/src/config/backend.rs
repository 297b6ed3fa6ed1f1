//! `[[service.backend]]`.

use std::ops::Range;

use super::{
    model::{Admin, Backend, Endpoint},
    place::Placed,
    problem::Report,
    service::name,
    table::Table,
};

/// A backend as far as it could be read.
pub(super) struct Draft {
    pub(super) at: Range<usize>,
    pub(super) name: Option<Placed<String>>,
    pub(super) addresses: Vec<Placed<Endpoint>>,
    pub(super) weight: Option<Placed<u32>>,
    /// `None` when something of it was refused.
    pub(super) backend: Option<Backend>,
}

/// Reads one `[[service.backend]]`.
pub(super) fn read(table: &Table<'_>) -> Draft {
    let name = table.text("name", name);
    let addresses = table.texts("address", |text| text.parse::<Endpoint>()?.checked()).unwrap_or_default();
    let weight = table.number("weight");
    let state = table.word("state", |word| Admin::from_word(word).filter(|state| *state != Admin::Gone));
    let backup = table.flag("backup");
    let max_flows = table.number("max_flows").map(|it| it.value);
    families(&addresses, table.report);
    let whole = || {
        Some(Backend {
            name: name.as_ref()?.value.clone(),
            addresses: addresses.iter().map(|address| address.value).collect(),
            weight: weight.as_ref()?.value,
            state: state?.value,
            backup: backup?.value,
            max_flows,
        })
    };
    let backend = whole();
    Draft { at: table.at().clone(), name, addresses, weight, backend }
}

fn families(addresses: &[Placed<Endpoint>], report: &Report<'_>) {
    for (n, address) in addresses.iter().enumerate() {
        let same =
            |earlier: &Placed<Endpoint>| earlier.value.address.is_ipv4() == address.value.address.is_ipv4();
        if addresses[..n].iter().any(same) {
            let family = if address.value.address.is_ipv4() { "IPv4" } else { "IPv6" };
            let message = format!("{} is the second {family} address of this backend", address.value);
            report.error(&address.at, message, "keep one of each family; another address is another backend");
        }
    }
}

//! The agent as a whole, as the API shows it.

use balancer_common::serve::Regime;

use super::Control;
use crate::{
    api::types::{ChangeRow, InterfaceRow, ReasonRow, Schema, StatusDoc, TableRow, timestamp},
    control::desired,
};

impl Control {
    /// The agent as a whole.
    #[must_use]
    pub fn status_doc(&self) -> StatusDoc {
        StatusDoc {
            schema: Schema,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: timestamp(self.started),
            config: self.config_path.display().to_string(),
            interfaces: self.interface_rows(),
            services: self.services.len() as u64,
            panic: self.in_panic(),
            frozen: self.is_cut_off(),
            flows: self.members.keys().map(|number| self.live(*number)).sum(),
            pins: self.swept.pins.values().sum(),
            drift: self.drift(),
            last_reload: Some(self.last_reload.clone()),
            reasons: self
                .tables
                .reasons()
                .into_iter()
                .map(|(reason, packets)| ReasonRow { reason: reason.name().to_owned(), packets })
                .collect(),
            tables: self.table_rows(),
        }
    }

    fn in_panic(&self) -> Vec<String> {
        let panics = self.conditions.iter().filter(|(_, condition)| condition.regime == Regime::Panic);
        panics.map(|(service, _)| service.clone()).collect()
    }

    fn interface_rows(&self) -> Vec<InterfaceRow> {
        let row = |it: &crate::dataplane::Attached| InterfaceRow {
            name: it.name.clone(),
            mode: it.mode.to_owned(),
            program_id: it.program_id,
            carrier: self.links.get(&it.name).map(|link| link.carrier),
        };
        self.tables.attached().iter().map(row).collect()
    }

    /// How full the tables are, as of the last sweep.
    pub(super) fn table_rows(&self) -> Vec<TableRow> {
        let row = |(table, entries, capacity): &(balancer_common::table::TableId, u64, u64)| TableRow {
            table: table.name().to_lowercase(),
            entries: *entries,
            capacity: *capacity,
        };
        self.swept.entries.iter().map(row).collect()
    }

    /// How what runs differs from the file: by runtime changes, or because the tables are older than it.
    fn drift(&self) -> Vec<ChangeRow> {
        let mut rows = desired::drift(&self.config, &self.runtime);
        let (has, limits) = (self.tables.dimensions(), &self.config.limits);
        for (key, file, runs) in [("flows", limits.flows, has.flows), ("pins", limits.pins, has.pins)] {
            if file != runs {
                rows.push(ChangeRow {
                    object: "limits".to_owned(),
                    key: key.to_owned(),
                    from: Some(file.to_string()),
                    to: Some(runs.to_string()),
                });
            }
        }
        rows
    }
}

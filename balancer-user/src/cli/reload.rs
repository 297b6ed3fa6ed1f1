//! `balancer reload`: the configuration file again.

use clap::Args;

use super::{
    exit::Failure,
    table::{Column, Table, Value},
    ui::Ui,
};
use crate::api::{
    client::Client,
    routes,
    types::{ChangeRow, ReloadDoc, ReloadRequest},
};

/// Apply the configuration file again, and print what changed.
///
/// A bad file changes nothing. Runtime changes (`backend add|del|drain|maint|weight`) outlive a reload, unless the file changed that same key.
#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    /// Forget every runtime change, so that the file alone counts.
    #[arg(long)]
    discard_runtime: bool,

    /// Apply even what needs new tables; without it the refusal names the cost.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: &ReloadArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let request = ReloadRequest { discard_runtime: args.discard_runtime, yes: args.yes };
    let document: ReloadDoc = client.post(routes::RELOAD, &request).await?;
    for warning in &document.warnings {
        ui.talk(warning)?;
    }
    if document.changes.is_empty() {
        return Ok(ui.done(&document, "nothing changed")?);
    }
    Ok(ui.show(&document, || vec![changes(&document.changes, "BEFORE", "AFTER")])?)
}

/// Differences as a table; `from` and `to` are the titles of their columns.
pub(super) fn changes(rows: &[ChangeRow], from: &'static str, to: &'static str) -> Table {
    let mut table =
        Table::new(&[Column::text("OBJECT"), Column::text("KEY"), Column::text(from), Column::text(to)]);
    for row in rows {
        let (from, to) = (row.from.as_deref(), row.to.as_deref());
        table.row([(&row.object).into(), (&row.key).into(), Value::or_dash(from), Value::or_dash(to)]);
    }
    table
}

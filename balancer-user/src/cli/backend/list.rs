//! `balancer backend list`.

use balancer_common::state::{Admin, Health};
use clap::Args;

use crate::{
    api::{
        client::Client,
        routes,
        types::{BackendRow, BackendsDoc, WayInfo},
    },
    cli::{
        exit::Failure,
        table::{Column, Table, Tone, Value},
        ui::Ui,
    },
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Name of the service.
    service: String,
}

pub(super) async fn run(args: &ListArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let document: BackendsDoc = client.get(&routes::path(routes::BACKENDS, &[&args.service])).await?;
    let wide = ui.wide();
    Ok(ui.show(&document, || vec![table(&document.backends, wide)])?)
}

const COLUMNS: [Column; 8] = [
    Column::text("NAME"),
    Column::text("ADDRESS").spare(2),
    Column::number("WEIGHT").spare(3),
    Column::text("ADMIN"),
    Column::text("HEALTH"),
    Column::number("FLOWS"),
    Column::number("SHARE"),
    Column::number("PINS").spare(1),
];

const WIDE: [Column; 9] = [
    Column::number("NUMBER"),
    Column::text("SINCE"),
    Column::number("TOTAL"),
    Column::number("PACKETS"),
    Column::number("BYTES"),
    Column::number("RESETS"),
    Column::text("MODE"),
    Column::text("WAY"),
    Column::text("ERROR"),
];

/// Backends as a table.
pub(in crate::cli) fn table(rows: &[BackendRow], wide: bool) -> Table {
    let mut columns = COLUMNS.to_vec();
    if wide {
        columns.extend(WIDE);
    }
    let mut table = Table::new(&columns);
    for row in rows {
        let mut cells = usual(row);
        if wide {
            cells.extend(more(row));
        }
        table.push(cells);
    }
    table
}

fn usual(row: &BackendRow) -> Vec<Value> {
    vec![
        (&row.name).into(),
        addresses(row).into(),
        row.weight.into(),
        admin(row.admin),
        health(row.health),
        row.flows.into(),
        format!("{:.1}%", row.share * 100.0).into(),
        row.pins.into(),
    ]
}

fn more(row: &BackendRow) -> Vec<Value> {
    vec![
        row.number.into(),
        Value::or_dash(row.since.as_ref()),
        row.flows_total.into(),
        row.packets.into(),
        row.bytes.into(),
        row.resets.into(),
        (&row.mode).into(),
        Value::or_dash(ways(&row.ways).as_ref()),
        Value::or_dash(row.last_error.as_ref()),
    ]
}

fn addresses(row: &BackendRow) -> String {
    row.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Once where both families go alike.
fn ways(ways: &[WayInfo]) -> Option<String> {
    let mut texts: Vec<String> = ways.iter().map(way).collect();
    texts.dedup();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn way(info: &WayInfo) -> String {
    let from = info.source.as_ref().map_or(String::new(), |source| format!(" from {source}"));
    format!("{} {}{from}", info.address, info.leads())
}

fn admin(admin: Admin) -> Value {
    match admin {
        Admin::Ready => Value::from(admin),
        Admin::Drain | Admin::Maint | Admin::Gone => Value::toned(admin, Tone::Warn),
    }
}

fn health(health: Health) -> Value {
    let tone = match health {
        Health::Up => Tone::Good,
        Health::Checking | Health::Draining => Tone::Warn,
        Health::Down => Tone::Bad,
    };
    Value::toned(health, tone)
}

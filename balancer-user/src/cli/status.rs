//! `balancer status`: the agent as a whole.

use super::{
    exit::Failure,
    parse::count,
    reload,
    table::{Column, Table, Tone, Value},
    ui::Ui,
};
use crate::api::{
    client::Client,
    routes,
    types::{LastReload, StatusDoc},
};

pub(super) async fn run(client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let document: StatusDoc = client.get(routes::STATUS).await?;
    let wide = ui.wide();
    Ok(ui.show(&document, || tables(&document, wide))?)
}

fn tables(document: &StatusDoc, wide: bool) -> Vec<Table> {
    let mut tables = vec![facts(document), interfaces(document)];
    if !document.drift.is_empty() {
        tables.push(reload::changes(&document.drift, "FILE", "RUNTIME"));
    }
    tables.push(fill(document));
    if wide {
        tables.push(reasons(document));
    }
    tables
}

fn facts(document: &StatusDoc) -> Table {
    let drift = match document.drift.len() as u64 {
        0 => Value::from("none"),
        changes => Value::toned(count(changes, "runtime change"), Tone::Warn),
    };
    let frozen = || ("verdicts", Value::toned("frozen: no interface has a carrier", Tone::Bad));
    let facts = [
        Some(("version", Value::from(&document.version))),
        Some(("process", format!("{}, since {}", document.pid, document.started).into())),
        Some(("file", (&document.config).into())),
        Some(("last reload", last_reload(document.last_reload.as_ref()))),
        Some(("drift", drift)),
        Some(("services", services(document))),
        document.frozen.then(frozen),
        Some(("flows", document.flows.into())),
        Some(("pins", document.pins.into())),
    ];
    Table::facts(facts.into_iter().flatten())
}

fn services(document: &StatusDoc) -> Value {
    match document.panic.is_empty() {
        true => document.services.into(),
        false => {
            Value::toned(format!("{}, panic: {}", document.services, document.panic.join(", ")), Tone::Bad)
        }
    }
}

fn last_reload(last: Option<&LastReload>) -> Value {
    match last {
        None => "-".into(),
        Some(LastReload { ok: true, at, .. }) => format!("ok, {at}").into(),
        Some(LastReload { ok: false, at, error }) => {
            let why = error.as_deref().unwrap_or("no reason given");
            Value::toned(format!("refused, {at}: {why}"), Tone::Bad)
        }
    }
}

fn interfaces(document: &StatusDoc) -> Table {
    let mut table = Table::new(&[
        Column::text("INTERFACE"),
        Column::text("MODE"),
        Column::number("PROGRAM"),
        Column::text("CARRIER"),
    ]);
    for row in &document.interfaces {
        let tone = if row.mode == "native" { Tone::Plain } else { Tone::Warn };
        table.row([
            (&row.name).into(),
            Value::toned(&row.mode, tone),
            row.program_id.into(),
            carrier(row.carrier),
        ]);
    }
    table
}

fn carrier(carrier: Option<bool>) -> Value {
    match carrier {
        Some(true) => "yes".into(),
        Some(false) => Value::toned("no", Tone::Bad),
        None => "-".into(),
    }
}

fn fill(document: &StatusDoc) -> Table {
    let mut table =
        Table::new(&[Column::text("TABLE"), Column::number("ENTRIES"), Column::number("CAPACITY")]);
    for row in &document.tables {
        table.row([(&row.table).into(), row.entries.into(), row.capacity.into()]);
    }
    table
}

fn reasons(document: &StatusDoc) -> Table {
    let mut table = Table::new(&[Column::text("REASON"), Column::number("PACKETS")]);
    for row in document.reasons.iter().filter(|row| row.packets > 0) {
        table.row([(&row.reason).into(), row.packets.into()]);
    }
    table
}

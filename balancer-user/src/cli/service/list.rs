//! `balancer service list`.

use crate::{
    api::{
        client::Client,
        routes,
        types::{ServiceState, ServicesDoc},
    },
    cli::{
        exit::Failure,
        table::{Column, Table, Tone, Value},
        ui::Ui,
    },
};

pub(super) async fn run(client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let document: ServicesDoc = client.get(routes::SERVICES).await?;
    let wide = ui.wide();
    Ok(ui.show(&document, || vec![table(&document, wide)])?)
}

fn table(document: &ServicesDoc, wide: bool) -> Table {
    let mut columns = vec![
        Column::text("NAME"),
        Column::text("LISTEN"),
        Column::text("STATE"),
        Column::number("READY"),
        Column::number("FLOWS"),
    ];
    if wide {
        columns.extend(["MODE", "BALANCE", "AFFINITY"].map(Column::text));
    }
    let mut table = Table::new(&columns);
    for row in &document.services {
        let mut cells = vec![
            Value::from(&row.name),
            row.listen.join(",").into(),
            state(row.state),
            format!("{}/{}", row.ready_backends, row.backends).into(),
            row.flows.into(),
        ];
        if wide {
            cells.extend([&row.mode, &row.balance, &row.affinity.by].map(Value::from));
        }
        table.push(cells);
    }
    table
}

/// The state's word in its colour.
pub(super) fn state(state: ServiceState) -> Value {
    match state {
        ServiceState::Up => Value::toned("up", Tone::Good),
        ServiceState::Degraded => Value::toned("degraded", Tone::Warn),
        ServiceState::Panic => Value::toned("panic", Tone::Bad),
        ServiceState::Down => Value::toned("down", Tone::Bad),
    }
}

//! `balancer flow list`.

use clap::Args;

use crate::{
    api::{
        client::Client,
        routes,
        types::{DEFAULT_LIMIT, FlowQuery, FlowsDoc},
    },
    cli::{
        exit::Failure,
        parse::{self, seconds},
        table::{Column, Table, Value},
        ui::Ui,
    },
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only this service.
    service: Option<String>,

    /// Only backends of this name.
    #[arg(long)]
    backend: Option<String>,

    /// Only this client address, or those in this prefix.
    #[arg(long, value_parser = parse::client)]
    client: Option<String>,

    /// Only flows whose packets come from this port at their backend (mode nat): whose the backend's log means.
    #[arg(long, value_name = "PORT")]
    nat: Option<u16>,

    /// At most so many rows; 0: all.
    #[arg(long, value_name = "ROWS", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
}

pub(super) async fn run(args: &ListArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let query = FlowQuery {
        service: args.service.clone(),
        backend: args.backend.clone(),
        client: args.client.clone(),
        nat: args.nat,
        limit: Some(args.limit),
    };
    let document: FlowsDoc = client.get_with(routes::FLOWS, &query).await?;
    ui.show(&document, || vec![table(&document)])?;
    Ok(ui.cut(document.truncated, document.flows.len())?)
}

fn table(document: &FlowsDoc) -> Table {
    let translated = document.flows.iter().any(|row| row.nat.is_some());
    let mut columns = vec![
        Column::text("SERVICE").spare(2),
        Column::text("CLIENT"),
        Column::text("DESTINATION").spare(3),
        Column::text("BACKEND"),
        Column::text("STATE").spare(1),
        Column::number("IDLE"),
    ];
    columns.extend(translated.then(|| Column::text("NAT").spare(1)));
    let mut table = Table::new(&columns);
    for row in &document.flows {
        let mut cells = vec![
            (&row.service).into(),
            (&row.client).into(),
            (&row.destination).into(),
            (&row.backend).into(),
            (&row.state).into(),
            seconds(row.idle).into(),
        ];
        cells.extend(translated.then(|| Value::or_dash(row.nat.as_ref())));
        table.push(cells);
    }
    table
}

//! `balancer flow count`.

use clap::Args;

use crate::{
    api::{client::Client, routes, types::FlowCountDoc},
    cli::{
        exit::{Code, Failure},
        table::{Column, Table},
        ui::Ui,
    },
};

#[derive(Debug, Args)]
pub(in crate::cli) struct CountArgs {
    /// Only this service.
    service: Option<String>,
}

pub(super) async fn run(args: &CountArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let mut document: FlowCountDoc = client.get(routes::FLOW_COUNT).await?;
    if let Some(service) = &args.service {
        narrow(&mut document, service)?;
    }
    Ok(ui.show(&document, || vec![table(&document)])?)
}

fn narrow(document: &mut FlowCountDoc, service: &str) -> Result<(), Failure> {
    document.counts.retain(|row| row.service == service);
    if document.counts.is_empty() {
        return Err(Failure::said(
            Code::NotFound,
            format!("service \"{service}\": there is none of that name"),
        )
        .with_remedy("`balancer service list` shows them"));
    }
    document.flows = document.counts.iter().map(|row| row.flows).sum();
    Ok(())
}

fn table(document: &FlowCountDoc) -> Table {
    let mut table = Table::new(&[Column::text("SERVICE"), Column::text("BACKEND"), Column::number("FLOWS")]);
    for row in &document.counts {
        table.row([(&row.service).into(), (&row.backend).into(), row.flows.into()]);
    }
    table.row(["total".into(), "".into(), document.flows.into()]);
    table
}

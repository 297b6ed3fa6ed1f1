//! `balancer pin list`.

use clap::Args;

use crate::{
    api::{
        client::Client,
        routes,
        types::{DEFAULT_LIMIT, PinQuery, PinsDoc},
    },
    cli::{exit::Failure, ui::Ui},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only this service.
    service: Option<String>,

    /// Only backends of this name.
    #[arg(long)]
    backend: Option<String>,

    /// At most so many rows; 0: all.
    #[arg(long, value_name = "ROWS", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
}

pub(super) async fn run(args: &ListArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let query =
        PinQuery { service: args.service.clone(), backend: args.backend.clone(), limit: Some(args.limit) };
    let document: PinsDoc = client.get_with(routes::PINS, &query).await?;
    ui.show(&document, || vec![super::table(&document)])?;
    Ok(ui.cut(document.truncated, document.pins.len())?)
}

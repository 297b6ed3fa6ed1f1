//! `balancer pin …`.

use clap::{Args, Subcommand};

use super::{
    exit::Failure,
    parse::{self, seconds},
    table::{Column, Table, Value},
    ui::Ui,
};
use crate::api::{client::Client, types::PinsDoc};

mod del;
mod get;
mod list;
mod release;

#[derive(Debug, Subcommand)]
pub(super) enum PinCommand {
    /// Pins with their backends.
    List(list::ListArgs),
    /// The pin of one client.
    Get(PinArgs),
    /// Forget the pin of one client; its live flows stay where they are.
    Del(PinArgs),
    /// Forget the pins of clients that are away, so that they are placed anew: evens the shares after a rolling deploy.
    ///
    /// Clients with a live flow keep their pin. Those that are away find another backend when they come back, and the
    /// state that the old one had for them is not there.
    Release(release::ReleaseArgs),
}

/// Which pin.
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// Name of the service.
    service: String,

    /// The client: its address, or its prefix where the service pins by one.
    #[arg(value_parser = parse::client)]
    client: String,
}

pub(super) async fn run(command: PinCommand, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    match command {
        PinCommand::List(args) => list::run(&args, client, ui).await,
        PinCommand::Get(args) => get::run(&args, client, ui).await,
        PinCommand::Del(args) => del::run(&args, client, ui).await,
        PinCommand::Release(args) => release::run(&args, client, ui).await,
    }
}

fn table(document: &PinsDoc) -> Table {
    let mut table = Table::new(&[
        Column::text("SERVICE").spare(1),
        Column::text("CLIENT"),
        Column::text("BACKEND"),
        Column::number("FLOWS"),
        Column::number("AGE").spare(2),
        Column::number("EXPIRES"),
    ]);
    for row in &document.pins {
        table.row([
            (&row.service).into(),
            (&row.client).into(),
            (&row.backend).into(),
            row.flows.into(),
            seconds(row.age).into(),
            Value::or_dash(row.expires_in.map(seconds)),
        ]);
    }
    table
}

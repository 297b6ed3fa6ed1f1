//! `balancer service …`.

use clap::Subcommand;

use super::{exit::Failure, ui::Ui};
use crate::api::client::Client;

mod list;
mod show;

#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Every service.
    List,
    /// One service with its settings and backends.
    Show(show::ShowArgs),
}

pub(super) async fn run(command: ServiceCommand, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    match command {
        ServiceCommand::List => list::run(client, ui).await,
        ServiceCommand::Show(args) => show::run(&args, client, ui).await,
    }
}

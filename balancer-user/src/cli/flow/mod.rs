//! `balancer flow …`.

use clap::Subcommand;

use super::{exit::Failure, ui::Ui};
use crate::api::client::Client;

mod count;
mod list;

#[derive(Debug, Subcommand)]
pub(super) enum FlowCommand {
    /// Live flows with their backends.
    List(list::ListArgs),
    /// Number of live flows by backend.
    Count(count::CountArgs),
}

pub(super) async fn run(command: FlowCommand, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    match command {
        FlowCommand::List(args) => list::run(&args, client, ui).await,
        FlowCommand::Count(args) => count::run(&args, client, ui).await,
    }
}

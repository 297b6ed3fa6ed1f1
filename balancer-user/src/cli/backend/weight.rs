//! `balancer backend weight`.

use clap::Args;

use super::Target;
use crate::{
    api::{
        client::Client,
        routes,
        types::{BackendDoc, SetWeight},
    },
    cli::{exit::Failure, ui::Ui},
};

/// Change a backend's share of new clients.
///
/// Pinned clients and live flows stay. As in HAProxy, weight 0 means no new clients, and pinned ones still come back. For a backend that is to be
/// emptied use `drain`, which is stronger.
#[derive(Debug, Args)]
pub(in crate::cli) struct WeightArgs {
    #[command(flatten)]
    target: Target,

    /// The weight, relative to the others'.
    weight: u32,

    /// Even if fewer than `min_ready` backends take new clients.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: &WeightArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let request = SetWeight { weight: args.weight, force: args.force };
    let document: BackendDoc = client.put(&args.target.path(routes::BACKEND_WEIGHT), &request).await?;
    super::report(&document, ui)
}

//! `balancer backend del`.

use clap::Args;

use super::Target;
use crate::{
    api::{
        client::Client,
        routes,
        types::{BackendDoc, DeleteQuery},
    },
    cli::{exit::Failure, ui::Ui},
};

/// Drain a backend, then forget it.
///
/// It is forgotten when its last flow has ended. Unlike HAProxy's `del server`, it needs no maintenance first and works with live flows. A backend of the
/// configuration file stays deleted over reloads until `reload --discard-runtime`, or until the file changes it.
#[derive(Debug, Args)]
pub(in crate::cli) struct DelArgs {
    #[command(flatten)]
    target: Target,

    /// Forget it at once; its live flows are cut.
    #[arg(long)]
    now: bool,

    /// Even if fewer than `min_ready` backends stay up.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: &DelArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let query = DeleteQuery { now: args.now, force: args.force };
    let document: BackendDoc = client.delete(&args.target.path(routes::BACKEND), &query).await?;
    super::report(&document, ui)
}

//! `balancer backend maint`.

use balancer_common::state::Admin;
use clap::Args;

use super::Target;
use crate::{
    api::{client::Client, types::SetAdmin},
    cli::{exit::Failure, ui::Ui},
};

/// Take a backend out of service at once.
///
/// No client, no connection, and its live flows are cut. With live flows it prints their number and wants --yes; `drain --wait` is the gentle way. Unlike HAProxy's
/// maintenance, health checks go on, so that `ready` finds a judged backend.
#[derive(Debug, Args)]
pub(in crate::cli) struct MaintArgs {
    #[command(flatten)]
    target: Target,

    /// Even if live flows are cut.
    #[arg(long)]
    yes: bool,

    /// Even if fewer than `min_ready` backends stay up.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: &MaintArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let request = SetAdmin { force: args.force, yes: args.yes, ..SetAdmin::to(Admin::Maint) };
    super::report(&args.target.set_admin(client, request).await?, ui)
}

//! `balancer detach`: everything that the kernel holds of us, away.

use std::path::PathBuf;

use clap::Args;

use super::{
    exit::{Code, Failure},
    parse::count,
    ui::Ui,
    wiring,
};
use crate::api::{
    client::{Client, ClientError},
    routes,
    types::{DetachDoc, Schema, StatusDoc},
};

/// Take the XDP program and all its bpffs objects away.
///
/// Service addresses are this host's own again; flows, pins and counters are forgotten. A running agent does it
/// and ends. Without an agent, say where the objects are with --config or --bpffs.
#[derive(Debug, Args)]
pub(super) struct DetachArgs {
    /// Even if flows live, or if no agent can tell whether any do.
    #[arg(long)]
    yes: bool,

    /// Without an agent: the configuration file that names the bpffs directory.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Without an agent: the directory of the bpffs objects.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    bpffs: Option<PathBuf>,
}

pub(super) async fn run(args: &DetachArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let document = match ask(args, client).await {
        Err(Failure::Client(error @ ClientError::Unreachable { .. })) => alone(args, error)?,
        answer => answer?,
    };
    let what =
        if document.removed.is_empty() { "nothing was there".into() } else { document.removed.join("\n") };
    Ok(ui.done(&document, &what)?)
}

async fn ask(args: &DetachArgs, client: &Client) -> Result<DetachDoc, Failure> {
    let status: StatusDoc = client.get(routes::STATUS).await?;
    if status.flows > 0 && !args.yes {
        return Err(Failure::said(
            Code::Failed,
            format!("{} would lose the backend", count(status.flows, "live flow")),
        )
        .with_remedy("drain first, or say --yes"));
    }
    Ok(client.post(routes::DETACH, &()).await?)
}

/// Does it without an agent.
fn alone(args: &DetachArgs, unreachable: ClientError) -> Result<DetachDoc, Failure> {
    let bpffs = match (&args.bpffs, &args.config) {
        (Some(bpffs), _) => bpffs.clone(),
        (None, Some(config)) => wiring::bpffs_of(config)?,
        (None, None) => {
            return Err(Failure::said(Code::Unreachable, unreachable.to_string())
                .with_remedy("if none runs, name what is to be taken away: --config FILE or --bpffs DIR"));
        }
    };
    if !args.yes {
        return Err(Failure::said(Code::Failed, "no agent runs that could tell whether flows live")
            .with_remedy("say --yes to detach all the same"));
    }
    Ok(DetachDoc { schema: Schema, removed: wiring::detach(&bpffs)? })
}

//! `balancer pin release`.

use clap::Args;

use crate::{
    api::{
        client::Client,
        routes,
        types::{ReleaseDoc, ReleaseQuery},
    },
    cli::{exit::Failure, ui::Ui},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ReleaseArgs {
    /// Name of the service.
    service: String,

    /// Of clients without a live flow.
    #[arg(long, required = true)]
    idle: bool,
}

pub(super) async fn run(args: &ReleaseArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let ReleaseArgs { service, idle } = args;
    let path = routes::path(routes::PINS_OF, &[service]);
    let document: ReleaseDoc = client.delete(&path, &ReleaseQuery { idle: *idle }).await?;
    let ReleaseDoc { schema: _, service, released, kept } = &document;
    let pins = |count: u64| if count == 1 { "pin" } else { "pins" };
    let sentence = format!(
        "service \"{service}\": {released} idle {} released; {kept} {} of clients with live flows kept",
        pins(*released),
        pins(*kept)
    );
    Ok(ui.done(&document, &sentence)?)
}

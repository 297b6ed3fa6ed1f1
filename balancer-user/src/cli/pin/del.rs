//! `balancer pin del`.

use super::PinArgs;
use crate::{
    api::{client::Client, routes, types::PinsDoc},
    cli::{exit::Failure, ui::Ui},
};

pub(super) async fn run(args: &PinArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let path = routes::path(routes::PIN, &[&args.service, &args.client]);
    let document: PinsDoc = client.delete(&path, &()).await?;
    let sentences: Vec<_> = document
        .pins
        .iter()
        .map(|pin| {
            format!(
                "client {} of service \"{}\" is no longer pinned to {}",
                pin.client, pin.service, pin.backend
            )
        })
        .collect();
    Ok(ui.done(&document, &sentences.join("\n"))?)
}

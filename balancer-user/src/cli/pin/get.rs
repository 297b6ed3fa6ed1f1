//! `balancer pin get`.

use super::PinArgs;
use crate::{
    api::{client::Client, routes, types::PinsDoc},
    cli::{exit::Failure, ui::Ui},
};

pub(super) async fn run(args: &PinArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let document: PinsDoc = client.get(&routes::path(routes::PIN, &[&args.service, &args.client])).await?;
    Ok(ui.show(&document, || vec![super::table(&document)])?)
}

//! `balancer backend add`.

use clap::Args;

use crate::{
    api::{
        client::Client,
        routes,
        types::{AddBackend, BackendDoc},
    },
    cli::{exit::Failure, ui::Ui},
    config::Endpoint,
};

/// Add a backend.
///
/// It takes clients with its first good check, and stays until it is deleted, or `reload --discard-runtime`. No pinned client and no live flow moves to it: it fills with new clients.
#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
    /// Name of the service.
    service: String,

    /// Name of the backend, new in the service.
    backend: String,

    /// Its address, or one v4 and one v6; in mode nat with :PORT, if it is not the one that clients ask.
    #[arg(value_name = "ADDRESS", required = true, num_args = 1..=2)]
    addresses: Vec<Endpoint>,

    /// Its share of new clients relative to the others [default: 100].
    #[arg(long)]
    weight: Option<u32>,
}

pub(super) async fn run(args: &AddArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let AddArgs { service, backend, addresses, weight } = args;
    let request = AddBackend { name: backend.clone(), addresses: addresses.clone(), weight: *weight };
    let document: BackendDoc = client.post(&routes::path(routes::BACKENDS, &[service]), &request).await?;
    super::report(&document, ui)
}

//! `balancer backend …`.

use balancer_common::state::Admin;
use clap::{Args, Subcommand};

use super::{exit::Failure, parse::count, ui::Ui};
use crate::api::{
    client::Client,
    routes,
    types::{BackendDoc, SetAdmin},
};

mod add;
mod del;
mod drain;
mod list;
mod maint;
mod ready;
mod wait;
mod weight;

pub(super) use list::table;

#[derive(Debug, Subcommand)]
pub(super) enum BackendCommand {
    /// The backends of a service.
    List(list::ListArgs),
    Add(add::AddArgs),
    Del(del::DelArgs),
    /// Let a backend take clients again.
    ///
    /// It ends `drain` and `maint`. Clients that were pinned elsewhere meanwhile stay there.
    Ready(Target),
    Drain(drain::DrainArgs),
    Maint(maint::MaintArgs),
    Weight(weight::WeightArgs),
}

/// Which backend.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Name of the service.
    service: String,
    /// Name of the backend.
    backend: String,
}

impl Target {
    fn path(&self, route: &str) -> String {
        routes::path(route, &[&self.service, &self.backend])
    }

    /// How to let it take clients again.
    fn undo(&self) -> String {
        format!("balancer backend ready {} {}", self.service, self.backend)
    }

    async fn set_admin(&self, client: &Client, request: SetAdmin) -> Result<BackendDoc, Failure> {
        Ok(client.put(&self.path(routes::BACKEND_ADMIN), &request).await?)
    }
}

pub(super) async fn run(command: BackendCommand, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    match command {
        BackendCommand::List(args) => list::run(&args, client, ui).await,
        BackendCommand::Add(args) => add::run(&args, client, ui).await,
        BackendCommand::Del(args) => del::run(&args, client, ui).await,
        BackendCommand::Ready(target) => ready::run(&target, client, ui).await,
        BackendCommand::Drain(args) => drain::run(&args, client, ui).await,
        BackendCommand::Maint(args) => maint::run(&args, client, ui).await,
        BackendCommand::Weight(args) => weight::run(&args, client, ui).await,
    }
}

/// Reports how a backend stands after a verb.
fn report(document: &BackendDoc, ui: &mut Ui<'_>) -> Result<(), Failure> {
    for note in &document.notes {
        ui.talk(&format!("note: {note}"))?;
    }
    Ok(ui.done(document, &sentence(document))?)
}

fn sentence(BackendDoc { service, backend, .. }: &BackendDoc) -> String {
    let flows = count(backend.flows, "live flow");
    let still = if backend.admin == Admin::Gone { "forgotten once idle" } else { backend.health.word() };
    format!(
        "service \"{service}\": backend \"{}\" is {}, {still}, weight {}, {flows}",
        backend.name, backend.admin, backend.weight
    )
}

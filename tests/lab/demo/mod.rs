//! The demo: what the balancer promises, shown with real clients and checked, one step a file.
//!
//! The namespace tests run the same steps on a smaller [`Scale`].

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{
    lifecycle::{self, Claim, Extent},
    paths::Place,
    signals::Signals,
    topology::{VIP_V4, VIP_V6},
};

pub mod add_backend;
pub mod agent_death;
pub mod drain;
pub mod failover;
pub mod picture;
pub mod populate;
pub mod reconnect;
pub mod rows;
pub mod stage;

pub use self::{
    rows::{Row, Rows},
    stage::{Scale, Stage},
};

/// Brings a lab up, shows everything, prints the table, and takes the lab down unless `keep` is set.
///
/// # Errors
/// When a step could not be carried out, when something did not hold, or when it was interrupted; the lab is gone then.
pub async fn run(place: &Place, keep: bool) -> Result<()> {
    let _claim = Claim::on(place)?;
    let mut signals = Signals::take()?;
    if lifecycle::exists(place) {
        eprintln!("an earlier lab is still there: taking it down");
        lifecycle::down(place)?;
    }
    let begun = Instant::now();
    match signals.or(show(place, keep)).await {
        Ok(()) => println!("\nall of it held, in {} s", begun.elapsed().as_secs()),
        Err(error) => {
            eprintln!("cleaning up");
            lifecycle::down(place)?;
            return Err(error);
        }
    }
    if keep {
        print_what_to_try(place);
        return Ok(());
    }
    lifecycle::down(place)
}

async fn show(place: &Place, keep: bool) -> Result<()> {
    println!("making the network, starting servers and the agent");
    lifecycle::up(place, Extent::Agent).await?;
    let mut stage = Stage::open(place, Scale::DEMO)?;
    stage.rows.shown = true;
    let outcome = steps(&mut stage).await;
    println!("\n{}", stage.rows);
    if let Err(error) = outcome {
        bail!("{error:#}\n{}", stage.balancer.log_tail());
    }
    match stage.rows.broken() {
        0 => {}
        broken => bail!("{broken} of {} did not hold\n{}", stage.rows.len(), stage.balancer.log_tail()),
    }
    if keep { stage.stay().await } else { Ok(()) }
}

/// All steps in their order.
async fn steps(stage: &mut Stage) -> Result<()> {
    populate::run(stage).await?;
    stage.picture().await?;
    reconnect::run(stage).await?;
    stage.picture().await?;
    add_backend::run(stage).await?;
    stage.picture().await?;
    drain::run(stage).await?;
    stage.picture().await?;
    failover::run(stage).await?;
    stage.picture().await?;
    agent_death::run(stage).await?;
    stage.picture().await
}

fn print_what_to_try(place: &Place) {
    let prefix = match place.prefix().to_string() {
        prefix if prefix == crate::paths::Prefix::DEFAULT => String::new(),
        prefix => format!(" --prefix {prefix}"),
    };
    println!("\nThe lab and its sessions run on. Try:");
    for (host, command) in [
        ("client-1", format!("curl http://{VIP_V4}/")),
        ("client-1", format!("curl 'http://[{VIP_V6}]/'")),
        ("balancer", "balancer status".to_owned()),
        ("balancer", "balancer backend list ws".to_owned()),
        ("balancer", format!("balancer explain 10.78.1.1 {VIP_V4}:8080/tcp")),
        ("balancer", "balancer backend drain ws backend-4 --wait --timeout 10s".to_owned()),
        ("balancer", "balancer backend ready ws backend-4".to_owned()),
        ("balancer", "curl http://127.0.0.1:9180/metrics".to_owned()),
    ] {
        println!("  cargo xtask lab{prefix} exec {host} -- {command}");
    }
    println!("  cargo xtask lab{prefix} down");
}

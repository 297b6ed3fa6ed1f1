//! What a packet costs, by `BPF_PROG_TEST_RUN` on the object that the agent loads: `cargo xtask bench`.
//!
//! Scenarios are interleaved, so that a slow phase of the machine hits all of them; medians of nine runs. The figures
//! are for a frame in a hot cache: after a NIC's DMA its first line is cold.

mod frames;
mod report;
mod scenario;
mod world;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;

#[derive(Parser)]
struct Args {
    /// Measurements of each scenario.
    #[arg(long, default_value_t = 9)]
    runs: u32,
    /// Only scenarios whose name contains this (the floor always).
    filter: Option<String>,
    /// Write the result to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Compare with a result that was written before.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// The object with the measuring programs.
    #[arg(long, env = "BALANCER_BENCH_OBJECT")]
    object: PathBuf,
    /// Passed by cargo; means nothing here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let object = std::fs::read(&args.object).with_context(|| format!("{}", args.object.display()))?;
    let mut world = world::World::new(&object)?;
    eprintln!("making {} flows; this takes half a minute", 2 * world::FLOWS);
    scenario::prepare(&mut world)?;
    let wanted = |name: &str| {
        name == "floor" || args.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    };
    let scenarios: Vec<_> = scenario::all(&mut world).into_iter().filter(|one| wanted(&one.name)).collect();
    let mut samples = vec![Vec::new(); scenarios.len()];
    for run in 0..args.runs {
        for (scenario, samples) in scenarios.iter().zip(&mut samples) {
            samples.push(scenario.measure(&mut world, run)?);
        }
    }
    let results: Vec<_> = scenarios
        .iter()
        .zip(samples)
        .map(|(scenario, samples)| report::Row::new(&scenario.name, samples))
        .collect();
    report::print(&results, args.compare.as_deref())?;
    if let Some(file) = &args.json {
        report::write(&results, file)?;
    }
    Ok(())
}

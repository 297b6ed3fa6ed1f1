//! The agent with no more privileges than its unit grants.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::programs;
use std::process::Command;

use crate::{
    Test,
    client::{ask, clients},
    file::File,
    labs::block_on,
    stand::Stand,
};

pub(crate) const TESTS: &[Test] =
    &[("the_agent_needs_no_more_capabilities_than_its_unit_grants", capabilities_of_the_unit)];

/// Bits of `CAP_NET_ADMIN`, `CAP_NET_RAW`, `CAP_PERFMON` and `CAP_BPF` (include/uapi/linux/capability.h).
const GRANTED: u64 = 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39;

/// What `CapabilityBoundingSet` of the unit says, as `setpriv` takes it.
fn of_the_unit() -> Result<String> {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/balancer.service");
    let unit = fs::read_to_string(unit).context(unit)?;
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = line.context("the unit does not bound the capabilities")?.split_whitespace();
    let names = names.map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()));
    Ok(format!("-all{}", names.collect::<String>()))
}

fn bounded(stand: &Stand) -> Result<Command> {
    let mut command = stand.netns().command("setpriv");
    command.arg(format!("--bounding-set={}", of_the_unit()?)).args(["--inh-caps=-all", "--no-new-privs"]);
    command.arg(programs::balancer()?).arg("run").arg("-c").arg(stand.place().config());
    Ok(command)
}

fn capabilities_of_the_unit() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-caps-").await?;
        let mut file = File::whole(stand.place(), 2);
        // The way that asks most of the kernel.
        file.services[1].check = "kind = \"tcp\"\nvia = \"datapath\"";
        stand.write(&file)?;
        let agent = stand.start_as(bounded(&stand)?).await?;
        ensure!(effective(agent.pid)? == GRANTED, "it runs with {:x}", effective(agent.pid)?);
        stand.all_up().await?;
        for client in clients(6) {
            ask(stand.place(), client)?;
        }
        // What stands is adopted, and taken away, with no more.
        stand.balancer.kill()?;
        stand.start_as(bounded(&stand)?).await?;
        for client in clients(6) {
            ask(stand.place(), client)?;
        }
        stand.balancer.run(&["detach", "--yes"]).await?;
        stand.nothing_left()
    })
}

fn effective(pid: i32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).context("no CapEff")?;
    Ok(u64::from_str_radix(line.trim(), 16)?)
}

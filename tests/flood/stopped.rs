//! The agent stands still, and connections come and go: what has run out is freed by those that want its place.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use balancer_common::walk::family::{Family, V4, V6};
use lab::{
    agent::AGENT,
    network::INTERFACE,
    packets::Injector,
    process,
    topology::{Host, LINES_PORT},
};
use rustix::process::Signal;
use tokio::time::sleep_until;

use crate::{
    Test, clients,
    forge::Kind,
    generator::{FLOODER, Script},
    labs::block_on,
    scale::Scale,
    stand::{Setup, Stand, until},
    withstand::SETUP,
};

pub(crate) const TESTS: &[Test] =
    &[("with_the_agent_stopped_three_tables_full_of_short_connections_leave_none_untracked", nobody_sweeps)];

/// Flows and pins that are soon over.
const SHORT: &str = "affinity = { timeout = \"1s\" }\ntimeouts = { closing = \"4s\" }";
/// After so long a flow that was closed is over: its timeout of 4 s is one tick of 4.1 s, and is up to one tick late.
const OVER: Duration = Duration::from_millis(8_400);
/// Sources of a burst that send without a pause: their frames are fewer than a veth's queue holds, which is 256.
const LITTLE: u32 = 32;
/// Real connections beside each burst of forged ones.
const REAL: u32 = 100;
/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many forged connections at once, nine tenths of the limit; the next burst when they are over.
fn burst(scale: &Scale) -> u32 {
    scale.limit / 10 * 9
}

/// Connections of both families together: three times what the tables have room for; in the slice, what they promise.
fn connections(scale: &Scale) -> u64 {
    let slots = scale.slots::<<V4 as Family>::Flows>() + scale.slots::<<V6 as Family>::Flows>();
    3 * if scale.long { slots } else { 2 * u64::from(scale.limit) }
}

/// Bursts: one more than these connections need, for a burst may lose some frames on its way.
fn bursts(scale: &Scale) -> u32 {
    1 + (connections(scale) / (2 * u64::from(burst(scale)))) as u32
}

fn nobody_sweeps() -> Result<()> {
    block_on(async {
        let scale = Scale::chosen();
        let stand = Stand::up("bf-stop-", Setup { entries: scale.limit, service: SHORT, ..SETUP }).await?;
        let opened = stand.metric("balancer_backend_flows_total{")?;
        stand.signal(Signal::STOP)?;
        until("the agent stands still", async || stopped(&stand)).await?;
        let came = come_and_go(&stand, &scale).await;
        ensure!(stopped(&stand)?, "the agent has gone on meanwhile");
        stand.signal(Signal::CONT)?;
        stand.balancer.await_ready().await?;
        let (forged, real) = came?;

        let opened = (stand.metric("balancer_backend_flows_total{")? - opened) as u64;
        let untracked = stand.metric("balancer_flow_untracked_total{")?;
        let pins = stand.metric("balancer_pin_untracked_total ")?;
        eprintln!(
            "agent stopped: limits.flows = {}, {forged} forged connections (v4 and v6 half each) and {real} real ones \
             in {} bursts; {opened} flows, {untracked} connections untracked, {pins} pins found no room",
            scale.limit,
            bursts(&scale),
        );
        ensure!(untracked == 0.0, "{untracked} connections are untracked");
        ensure!(pins == 0.0, "{pins} pins found no room");
        let wanted = connections(&scale);
        ensure!(opened >= wanted, "{opened} connections were flows, {wanted} are wanted");
        Ok(())
    })
}

/// Burst after burst, with real clients beside each; how many connections of either kind there were.
async fn come_and_go(stand: &Stand, scale: &Scale) -> Result<(u64, u64)> {
    let script = Script::new(stand.place(), LINES_PORT, &[Kind::Syn, Kind::Ack, Kind::Fin])?;
    let flooder = stand.place().netns(FLOODER);
    let mut last = None;
    for number in 0..bursts(scale) {
        if let Some(last) = last {
            let over: Instant = last + OVER;
            sleep_until(over.into()).await;
        }
        let (from, to) = (number * burst(scale), (number + 1) * burst(scale));
        flooder.inside(|| send(&script, from, to))?;
        let sources: Vec<_> = (number * REAL..(number + 1) * REAL).map(clients::address).collect();
        let real = clients::open_all(stand.place(), &sources, PATIENCE).await?;
        clients::close_all(real).await;
        last = Some(Instant::now());
    }
    let bursts = u64::from(bursts(scale));
    Ok((2 * bursts * u64::from(burst(scale)), bursts * u64::from(REAL)))
}

/// Sends a burst a little at a time: this one is not to overrun the balancer's queue.
fn send(script: &Script, from: u32, to: u32) -> Result<()> {
    let injector = Injector::open(INTERFACE)?;
    for first in (from..to).step_by(LITTLE as usize) {
        script.send(&injector, first, to.min(first + LITTLE))?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether the agent stands still (`T` in `/proc/PID/stat`).
fn stopped(stand: &Stand) -> Result<bool> {
    let agent = process::running(stand.place(), Host::Balancer, AGENT)?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid))?;
    let (_, state) = stat.rsplit_once(") ").context("no state")?;
    Ok(state.starts_with('T'))
}

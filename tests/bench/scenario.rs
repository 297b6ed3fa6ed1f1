//! The named scenarios: a frame, the flows that it goes round, and what must stand in the tables before.

use std::{net::IpAddr, thread::sleep, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    frames::{
        INGRESS, Kind, SOURCE4, SOURCE6, VIP_NAT, VIP_TUNNEL, VIP4, VIP6, VIP6_NAT, answer, arp, frame,
    },
    world::{FLOWS, Plan, World},
};

const DROP: u32 = 1;
const PASS: u32 = 2;
const TX: u32 = 3;
/// Clients behind those that have flows: they are new, or only pinned.
const STRANGERS: u32 = 1 << 22;
/// Flows of each service that is not `l2dsr`.
const OTHERS: u32 = 1 << 14;
/// Handshakes that are completed in one run of `tcp-v4-promote`.
const PROMOTIONS: u32 = 16_384;

/// One scenario.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Its name.
    pub(crate) name: String,
    /// The program that the prologue calls.
    pub(crate) program: &'static str,
    /// The frame.
    pub(crate) frame: Vec<u8>,
    /// What the prologue does.
    pub(crate) plan: Plan,
    /// Runs of the program in one measurement.
    pub(crate) repeat: u32,
    /// The verdict that each run must come to.
    pub(crate) verdict: u32,
    /// Embryonic flows are made before each measurement, one a run.
    pub(crate) promotes: bool,
}

/// All scenarios, the floors first.
pub(crate) fn all(world: &mut World) -> Vec<Scenario> {
    let hit4 = frame(VIP4.into(), Kind::Data, 0);
    let base = |name: &str, program, frame: &[u8], verdict| Scenario {
        name: name.to_owned(),
        program,
        frame: frame.to_vec(),
        plan: Plan::default(),
        repeat: 400_000,
        verdict,
        promotes: false,
    };
    let mut scenarios = vec![base("floor", "floor", &hit4, TX)];
    let changed = Plan { changed: true, ..Plan::default() };
    scenarios.push(Scenario { plan: changed, ..base("floor-restored", "floor", &hit4, TX) });
    let outer = base("floor-outer-header", "floor_outer", &hit4, TX);
    scenarios.push(Scenario { plan: Plan { grown: 20, ..changed }, ..outer });
    let mut one = base("tcp-v4-flow-hit-restored/1", "balancer", &hit4, TX);
    one.plan = changed;
    scenarios.push(one);
    let hit6 = frame(VIP6.into(), Kind::Data, 0);
    let datagram = frame(VIP4.into(), Kind::Datagram, 0);
    for (name, program, frame, offset) in [
        ("tcp-v4-flow-hit", "balancer", &hit4, SOURCE4),
        ("tcp-v4-twin-hash", "twin", &hit4, SOURCE4),
        ("tcp-v6-flow-hit", "balancer", &hit6, SOURCE6),
        ("udp-v4-flow-hit", "balancer", &datagram, SOURCE4),
    ] {
        for (flows, word) in [(1, "1"), (1 << 16, "64k"), (FLOWS, "1M")] {
            if flows == FLOWS && name.starts_with("udp") {
                continue;
            }
            let mut one = base(&format!("{name}/{word}"), program, frame, TX);
            one.plan = Plan { flows, offset: if flows == 1 { 0 } else { offset }, ..Plan::default() };
            scenarios.push(one);
        }
    }
    for (name, vip, offset, grown) in [
        ("tcp-v4-ipip-hit", VIP_TUNNEL.into(), SOURCE4, 20),
        ("tcp-v4-nat-hit", VIP_NAT.into(), SOURCE4, 0),
        ("tcp-v6-nat-hit", VIP6_NAT.into(), SOURCE6, 0),
    ] {
        for (flows, word) in [(1, "1"), (OTHERS, "16k")] {
            let mut one = base(&format!("{name}/{word}"), "balancer", &frame(vip, Kind::Data, 0), TX);
            let offset = if flows == 1 { 0 } else { offset };
            one.plan = Plan { flows, offset, grown, changed: true, ..Plan::default() };
            scenarios.push(one);
        }
    }
    for (name, vip) in [("tcp-v4-nat-back", IpAddr::from(VIP_NAT)), ("tcp-v6-nat-back", VIP6_NAT.into())] {
        let data = translated(world, vip);
        // The backend has accepted the connection: its first answer is looked at more closely.
        world.plane().walk(&mut answer(&data, true), INGRESS);
        let answer = answer(&data, false);
        let plan = Plan { changed: true, ..Plan::default() };
        scenarios.push(Scenario { plan, ..base(name, "balancer", &answer, TX) });
    }
    let syn = frame(VIP4.into(), Kind::Syn, 0);
    let pinned = base("tcp-v4-syn-pinned", "balancer", &syn, TX);
    scenarios.push(Scenario { plan: Plan { flows: 1 << 16, offset: SOURCE4, ..Plan::default() }, ..pinned });
    let new = base("tcp-v4-syn-new", "balancer", &syn, TX);
    scenarios.push(Scenario { plan: Plan { flows: STRANGERS, offset: SOURCE4, ..Plan::default() }, ..new });
    let promote = base("tcp-v4-promote", "balancer", &frame(VIP4.into(), Kind::Ack, 0), TX);
    scenarios.push(Scenario {
        plan: Plan { flows: STRANGERS, offset: SOURCE4, ..Plan::default() },
        repeat: PROMOTIONS,
        promotes: true,
        ..promote
    });
    let mut elsewhere = hit4.clone();
    elsewhere[33] ^= 0x40;
    scenarios.push(base("pass-no-service", "balancer", &elsewhere, PASS));
    scenarios.push(base("pass-arp", "balancer", &arp(), PASS));
    let mut malformed = hit4.clone();
    malformed[14] = 0x44;
    scenarios.push(base("drop-malformed", "balancer", &malformed, DROP));
    scenarios
}

/// Makes the flows of every scenario: handshakes, and a packet a tick later, so that they are established.
pub(crate) fn prepare(world: &mut World) -> Result<()> {
    // Fresh flows may fill a quarter of the table at a time.
    let batch = FLOWS / 4;
    for round in 0..4 {
        let clients = round * batch..(round + 1) * batch;
        send(world, clients.clone(), VIP4.into(), &[Kind::Syn, Kind::Ack]);
        send(world, clients.clone(), VIP6.into(), &[Kind::Syn, Kind::Ack]);
        sleep(Duration::from_secs(6));
        send(world, clients.clone(), VIP4.into(), &[Kind::Data]);
        send(world, clients, VIP6.into(), &[Kind::Data]);
    }
    for vip in [VIP_TUNNEL.into(), VIP_NAT.into(), VIP6_NAT.into()] {
        send(world, 0..OTHERS, vip, &[Kind::Syn, Kind::Ack]);
    }
    sleep(Duration::from_secs(6));
    for vip in [VIP_TUNNEL.into(), VIP_NAT.into(), VIP6_NAT.into()] {
        send(world, 0..OTHERS, vip, &[Kind::Data]);
    }
    send(world, 0..1 << 16, VIP4.into(), &[Kind::Datagram; 3]);
    let sweep = world.plane().sweep();
    let live: u64 = sweep.live.values().sum();
    let wanted = u64::from(2 * FLOWS + (1 << 16) + 3 * OTHERS);
    ensure!(live * 1000 >= wanted * 999, "{live} of {wanted} flows are tracked");
    eprintln!("{live} of {wanted} flows are tracked");
    world.fill_twin(FLOWS)
}

/// What the backend gets of the first client's data.
fn translated(world: &mut World, vip: IpAddr) -> Vec<u8> {
    let mut data = frame(vip, Kind::Data, 0);
    world.plane().walk(&mut data, INGRESS);
    data
}

fn send(world: &mut World, clients: std::ops::Range<u32>, vip: IpAddr, kinds: &[Kind]) {
    for client in clients {
        for kind in kinds {
            world.plane().walk(&mut frame(vip, *kind, client), INGRESS);
        }
    }
}

impl Scenario {
    /// One measurement: nanoseconds a run. `run` tells measurements apart that use clients up.
    pub(crate) fn measure(&self, world: &mut World, run: u32) -> Result<f64> {
        let mut plan = self.plan;
        if plan.flows == STRANGERS {
            plan.first = FLOWS + run * self.repeat;
        }
        if self.promotes {
            embryos(world, &plan, self.repeat);
        }
        world.aim(self.program)?;
        let (ns, verdict) = world.measure(&self.frame, plan, self.repeat)?;
        ensure!(verdict == self.verdict, "{}: verdict {verdict}, expected {}", self.name, self.verdict);
        Ok(ns)
    }
}

/// Sends the SYNs of the clients that the prologue will go round.
fn embryos(world: &mut World, plan: &Plan, count: u32) {
    for i in plan.first..plan.first + count {
        let client = i.wrapping_mul(0x9e37_79b1) & (plan.flows - 1);
        world.plane().walk(&mut frame(VIP4.into(), Kind::Syn, client), INGRESS);
    }
}

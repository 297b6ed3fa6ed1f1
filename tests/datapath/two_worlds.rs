//! The kernel and the host run the same code: the same packets leave the same frames, reasons and tables.

use crate::{
    fixture::{EGRESS, Fixture, INGRESS, OWN, OWN_EGRESS, Run, mac},
    nat_world::Shape,
    random::Packets,
    tunnel::tunnelled,
    world::World,
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::{
    reason::Reason,
    serve::Serving,
    table::{backend::NextHop, listener::Echo},
};
use std::{collections::BTreeSet, time::Duration};

/// Packets over fresh tables.
const BATCH: usize = 2500;
/// How many packets are compared, unless the environment says otherwise.
const PACKETS: usize = 20_000;
/// As many with `BALANCER_LONG=1`.
const MANY: usize = 1_000_000;
/// Environment variable with another number of packets.
const PACKETS_VARIABLE: &str = "BALANCER_TWO_WORLDS_PACKETS";
/// After so many packets a backend's state changes.
const CHANGE: usize = 250;
/// A batch in which the two may have read different clocks is done again, so many times.
const TRIES: usize = 10;

pub(crate) fn kernel_and_host_treat_random_packets_alike() -> Result<()> {
    let packets = match std::env::var(PACKETS_VARIABLE) {
        Ok(number) => number.parse().with_context(|| format!("{PACKETS_VARIABLE}={number}: no number"))?,
        Err(_) if lab::long() => MANY,
        Err(_) => PACKETS,
    };
    let mut outcomes = BTreeSet::new();
    for seed in 0..packets.div_ceil(BATCH) as u64 {
        let compared = (0..TRIES).find_map(|_| batch(seed, &mut outcomes).transpose());
        compared
            .context("the clock ticked within a packet, again and again")?
            .with_context(|| format!("batch {seed} of {BATCH} packets"))?;
    }
    // Packets that all came to the same would prove little.
    ensure!(outcomes.len() >= 35, "only these verdicts and reasons were seen: {outcomes:?}");
    Ok(())
}

/// One batch; `None` if the kernel may have read another tick than the host.
fn batch(seed: u64, outcomes: &mut BTreeSet<(u32, String)>) -> Result<Option<()>> {
    let mut fixture = fixture(seed)?;
    let mut world = World::of(&mut fixture)?;
    let mut packets = Packets::new(seed);
    for number in 0..BATCH {
        if number % CHANGE == CHANGE - 1 {
            fixture.serve(packets.backend(), packets.serving());
            world.copy_backends(&fixture)?;
        }
        let frame = packets.frame();
        let Some((kernel, host)) = both(&mut fixture, &world, &frame)? else { return Ok(None) };
        ensure!(kernel == host, "packet {number}, {frame:02x?}: kernel {kernel:02x?}, host {host:02x?}");
        packets.hear(&kernel);
        outcomes.insert((kernel.verdict, format!("{:?}", kernel.reasons)));
    }
    let differences = world.differences(&fixture)?;
    ensure!(differences.is_empty(), "{} lines differ: {:#?}", differences.len(), &differences[..1]);
    for backend in 1..=3 {
        let counts = fixture.plane().counts(backend);
        let kernel = [counts.opened, counts.closed, counts.expired, counts.revived, counts.reset];
        ensure!(kernel == world.transitions(backend), "transitions of backend {backend}: {kernel:?}");
    }
    Ok(Some(()))
}

/// A fixture for this seed: each mode has its turn.
fn fixture(seed: u64) -> Result<Fixture> {
    let nat = Shape { mtu: 300, mss: 500, ..Shape::default() };
    let mut fixture = match seed % 5 {
        0 => two_interfaces()?,
        1 => tunnelled(false, 300)?,
        2 => nat.fixture()?,
        3 => tunnelled(true, 300)?,
        _ => Shape { keep: true, ..nat }.fixture()?,
    };
    let echo = [Echo::Pass, Echo::Answer, Echo::Drop][(seed % 3) as usize];
    fixture.amend(|listener| listener.echo = echo)?;
    Ok(fixture)
}

/// A fixture whose third backend is behind another interface, and whose Maglev tables differ.
fn two_interfaces() -> Result<Fixture> {
    let mut fixture = Fixture::new()?;
    fixture.plane().set_interfaces(&[(INGRESS, OWN), (EGRESS, OWN_EGRESS)])?;
    let line = fixture.plane().interface_line(EGRESS).context("no line")?;
    fixture.plane().set_next_hop(3, NextHop::new(mac(3), line));
    fixture.choose_among(&[1, 2])?;
    fixture.serve(3, Serving::FLOWS | Serving::PINNED | Serving::NEW);
    Ok(fixture)
}

/// The frame through both, in the middle of a tick of the faster clock; `None` if it ended meanwhile.
fn both(fixture: &mut Fixture, world: &World, frame: &[u8]) -> Result<Option<(Run, Run)>> {
    let clock = fixture.plane().clock();
    let last = (1_u64 << clock.pin_shift) - 1;
    // The host knows the kernel's jiffies to within one; the tick's last eighth is too close to its end.
    let begun = loop {
        let jiffies = clock.jiffies();
        if (2..last / 8 * 7).contains(&(jiffies & last)) {
            break jiffies;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let kernel = fixture.raw(frame)?;
    // How often a CPU has spoken is not the host's to know.
    world
        .speaks
        .set(!kernel.reasons.iter().any(|it| matches!(it, Reason::TooBigDropped | Reason::NoBackend)));
    if (clock.jiffies() + 1) >> clock.pin_shift != begun >> clock.pin_shift {
        return Ok(None);
    }
    Ok(Some((kernel, world.run(frame, begun))))
}

//! The course of the test: operations, then a quiet moment, and again.

use std::{
    env,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use lab::topology::Host;

use crate::{Test, labs::block_on, world::World};

pub(crate) const TESTS: &[Test] =
    &[("no_operation_moves_a_session_it_must_not_and_at_rest_all_counts_agree", run)];

/// Gives the seed.
const SEED: &str = "BALANCER_SOAK_SEED";
/// The slice of this seed rests long enough for tentative pins to run out, so that only pins speak for a client.
const SLICE: u64 = 3;
/// What was done last is shown when something fails.
const TAIL: usize = 25;

/// How long, and how much.
struct Plan {
    lasts: Duration,
    quiet_moments: usize,
    operations: usize,
    sessions: usize,
}

impl Plan {
    fn chosen() -> Self {
        if lab::long() {
            Self { lasts: Duration::from_secs(300), quiet_moments: 10, operations: 12, sessions: 500 }
        } else {
            Self { lasts: Duration::ZERO, quiet_moments: 2, operations: 12, sessions: 150 }
        }
    }
}

fn run() -> Result<()> {
    let seed = seed()?;
    eprintln!("soak: seed {seed}, again with {SEED}={seed}");
    block_on(async {
        let mut world = World::make(seed).await?;
        let outcome = course(&mut world).await;
        outcome.with_context(|| {
            let tail = world.story[world.story.len().saturating_sub(TAIL)..].join("\n");
            format!("seed {seed}, after\n{tail}\n{}\n", world.stand.balancer.log_tail())
        })
    })
}

/// The environment's; else in the default run always the same, in the long one another each time.
fn seed() -> Result<u64> {
    if let Ok(text) = env::var(SEED) {
        return text.parse().with_context(|| format!("{SEED}={text}: no number"));
    }
    if Plan::chosen().lasts.is_zero() {
        return Ok(SLICE);
    }
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

async fn course(world: &mut World) -> Result<()> {
    let plan = Plan::chosen();
    let begun = Instant::now();
    let mut moments = Vec::new();
    while begun.elapsed() < plan.lasts || moments.len() < plan.quiet_moments {
        for _ in 0..plan.operations {
            let operation = world.choose();
            world.run(operation).await?;
            world.beat().await?;
            world.look_after_guest().await?;
        }
        moments.push(rest(world, &plan).await?);
    }
    let fewest = moments.iter().min().copied().unwrap_or(0);
    eprintln!(
        "soak: {} operations and {} quiet moments in {:.0} s, with {fewest} live sessions or more",
        world.story.len(),
        moments.len(),
        begun.elapsed().as_secs_f64()
    );
    ensure!(fewest >= plan.sessions, "a quiet moment had {fewest} live sessions");
    Ok(())
}

/// A quiet moment, with enough sessions to tell.
async fn rest(world: &mut World, plan: &Plan) -> Result<usize> {
    world.reunion().await.context("many come back")?;
    let live: usize = Host::backends().map(|backend| world.count(backend)).sum();
    if live < plan.sessions {
        world.come((plan.sessions - live) as u32).await?;
    }
    let live = world.quiet().await?;
    world.story.push(format!("quiet: {live} sessions"));
    Ok(live)
}

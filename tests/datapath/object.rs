//! The compiled object: what its verification costs, and what is in it.

pub(crate) mod calls;
mod code;
pub(crate) mod loads;

use crate::fixture::Fixture;
use anyhow::{Context as _, Result, ensure};

/// Instructions that the verifier may look at; its own limit is a million (Linux 5.2). 391,012 were measured
/// with the claims of `table/insert.rs`, three overflow buckets, tunnels and address translation, and a tenth more is allowed.
const BUDGET: u32 = 430_000;
/// A budget that is further above what was measured than this, in percent, holds nobody to anything.
const SLACK: u32 = 35;

pub(crate) fn the_verifier_looks_at_no_more_instructions_than_the_budget() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let verified = fixture.plane().verified_instructions().context("the kernel does not say (Linux 5.16)")?;
    ensure!(
        verified <= BUDGET,
        "the verifier looked at {verified} instructions, the budget is {BUDGET}: make the packet path simpler, or \
         raise the budget and say why"
    );
    ensure!(
        verified * (100 + SLACK) / 100 >= BUDGET,
        "the verifier looked at no more than {verified} instructions, the budget is {BUDGET}: lower it"
    );
    Ok(())
}

//! The agent and its command line against the real kernel: what must be safe on a host that one cares about.
//!
//! Each test has a small lab of its own. Without root they are counted as ignored, with the reason;
//! `BALANCER_REQUIRE_PRIVILEGED=1` makes that a failure.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::fixture::{
    client, file, labs, stand,
    trials::{self, Test},
    xdp,
};

mod alone;
mod death;
mod ending;
mod exits;
mod files;
mod foreign;
mod interfaces;
mod metrics;
mod neighbours;
mod privileges;
mod reload;
mod runtime;
mod ssh;
mod translation;

/// Labs side by side: most of a test is waiting, and two cores are enough for two.
const THREADS: usize = 2;

fn main() -> ExitCode {
    labs::clean_up_on_interrupt();
    let tests = [
        alone::TESTS,
        death::TESTS,
        ending::TESTS,
        exits::TESTS,
        files::TESTS,
        foreign::TESTS,
        interfaces::TESTS,
        metrics::TESTS,
        neighbours::TESTS,
        privileges::TESTS,
        reload::TESTS,
        runtime::TESTS,
        ssh::TESTS,
        translation::TESTS,
    ];
    trials::run(THREADS, tests.concat())
}

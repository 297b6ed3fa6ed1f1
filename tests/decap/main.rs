//! `balancer decap`, the other end of a tunnel: packets through the loaded programs, and real connections.
//!
//! Without root they are counted as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes that a failure.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::fixture::{
    labs,
    trials::{self, Test},
};

mod clamp;
mod connections;
mod frames;
mod odd;
mod programs;
mod unwrap;
mod verb;

/// Labs side by side: most of a test is waiting, and two cores are enough for two.
const THREADS: usize = 2;

fn main() -> ExitCode {
    labs::clean_up_on_interrupt();
    let tests = [unwrap::TESTS, odd::TESTS, clamp::TESTS, connections::TESTS, verb::TESTS];
    trials::run(THREADS, tests.concat())
}

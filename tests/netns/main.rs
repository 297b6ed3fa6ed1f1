//! Tests that need network namespaces, each in a lab of its own.
//!
//! Without root they are counted as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes that a failure.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::fixture::{
    labs,
    trials::{self, Test},
};

mod icmp;
mod interrupt;
mod itself;
mod own_hosts;
mod promises;
mod shapes;
mod web;

/// Labs side by side: most of a test is waiting, and two cores are enough for two.
const THREADS: usize = 2;

fn main() -> ExitCode {
    labs::clean_up_on_interrupt();
    let tests = [
        itself::TESTS,
        web::TESTS,
        icmp::TESTS,
        own_hosts::TESTS,
        promises::TESTS,
        shapes::TESTS,
        interrupt::TESTS,
    ];
    trials::run(THREADS, tests.concat())
}

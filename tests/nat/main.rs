//! Mode `nat` with what users have: servers that nobody changed for it, and ports that are used again.
//!
//! `cargo xtask test nat` takes five minutes of real time and a pool of 2,000 ports, each of which is used three times; the
//! default run a small pool whose every port is used once, and then rests.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::fixture::{
    labs,
    trials::{self, Test},
};

mod bench;
mod containers;
mod pool;
mod programs;
mod unmodified;

/// Labs side by side: most of a test is waiting, and two cores are enough for two.
const THREADS: usize = 2;

fn main() -> ExitCode {
    labs::clean_up_on_interrupt();
    let tests: [&[Test]; 3] = [pool::TESTS, unmodified::TESTS, containers::TESTS];
    trials::run(THREADS, tests.concat())
}

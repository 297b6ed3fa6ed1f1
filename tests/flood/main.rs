//! Floods of forged packets in the lab, and what becomes of real clients meanwhile.
//!
//! The default is a slice of each; `BALANCER_LONG=1` runs the whole, and one after another, so that the rates are what
//! the machine can do. Without root they are counted as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes
//! that a failure.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::fixture::{
    clients, labs,
    trials::{self, Test},
};

mod floods;
mod forge;
mod generator;
mod population;
mod scale;
mod stand;
mod stopped;
mod withstand;

/// Slices side by side: one of them mostly waits.
const THREADS: usize = 2;

fn main() -> ExitCode {
    labs::clean_up_on_interrupt();
    let tests = [forge::TESTS, stopped::TESTS, floods::TESTS].concat();
    trials::run(if lab::long() { 1 } else { THREADS }, tests)
}

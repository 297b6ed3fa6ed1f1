//! Minutes of random operations in the lab, and quiet moments between them in which all books must agree.
//!
//! The default is a slice; `BALANCER_LONG=1` runs five minutes. The seed is printed, and `BALANCER_SOAK_SEED` gives it.
//! Without root it is counted as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes that a failure.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::fixture::{
    clients, labs,
    trials::{self, Test},
};

mod course;
mod mortal;
mod operations;
mod outages;
mod quiet;
#[path = "../flood/stand.rs"]
#[expect(dead_code, reason = "of the stand that floods have, this needs no lists of flows and pins")]
mod stand;
mod world;

fn main() -> ExitCode {
    labs::clean_up_on_interrupt();
    trials::run(1, course::TESTS.to_vec())
}

//! What users of long-lived connections are promised, one promise a file, each with real sockets in a lab of its own.
//!
//! The default is a slice of each: fewer clients, shorter silence, and few of them in other modes than `l2dsr`.
//! `BALANCER_LONG=1` runs the whole; where a part of a name is given, it runs in every mode. Without root they are counted
//! as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes that a failure.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::fixture::{client, clients, file, labs, stand, trials};

mod balance_after_deploys;
mod crowd;
mod death;
mod drain;
mod draining_application;
mod each;
mod fleet;
mod full;
mod health_by_the_datapath;
mod health_in_tunnels;
mod health_through_translation;
mod nobody_can_serve;
mod pins;
mod restart_is_not_an_event;
mod timeouts;
mod visitors;

/// Slices side by side: one of them mostly waits.
const THREADS: usize = 2;

fn main() -> ExitCode {
    labs::clean_up_on_interrupt();
    let in_each_mode = [
        death::TESTS,
        drain::TESTS,
        pins::TESTS,
        nobody_can_serve::TESTS,
        restart_is_not_an_event::TESTS,
        full::TESTS,
        timeouts::IN_EACH_MODE,
        draining_application::TESTS,
        balance_after_deploys::TESTS,
    ];
    let tests = [
        &each::of_this_run(&in_each_mode.concat()),
        timeouts::TESTS,
        health_by_the_datapath::TESTS,
        health_in_tunnels::TESTS,
        health_through_translation::TESTS,
    ];
    trials::run(if lab::long() { 1 } else { THREADS }, tests.concat())
}

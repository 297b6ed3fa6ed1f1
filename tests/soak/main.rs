//! Minutes of random operations in the lab, and quiet moments between them in which all books must agree.
//!
//! The default is a slice; `BALANCER_LONG=1` runs five minutes. The seed is printed, and `BALANCER_SOAK_SEED` gives it.
//! Without root it is counted as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes that a failure.
#![forbid(unsafe_code)]

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

#[path = "../flood/clients.rs"]
#[expect(dead_code, reason = "which flow is whose is for the floods")]
mod clients;
mod course;
#[path = "../netns/fixture.rs"]
#[expect(dead_code, reason = "of the fixture that tests of the lab have, this needs no demo")]
mod labs;
mod mortal;
mod operations;
mod outages;
mod quiet;
#[path = "../flood/stand.rs"]
#[expect(dead_code, reason = "of the stand that floods have, this needs no lists of flows and pins")]
mod stand;
mod world;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    labs::clean_up_on_interrupt();
    let missing = (!rustix::process::geteuid().is_root()).then_some("network namespaces need root");
    let required = env::var_os("BALANCER_REQUIRE_PRIVILEGED").is_some_and(|value| value == "1");
    let body = move || match missing {
        Some(reason) => Err(Failed::from(format!("it did not run: {reason}"))),
        None => course::run().map_err(|error| Failed::from(format!("{error:#}"))),
    };
    let name = "no_operation_moves_a_session_it_must_not_and_at_rest_all_counts_agree";
    let trial = Trial::test(name, body).with_ignored_flag(missing.is_some() && !required);
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

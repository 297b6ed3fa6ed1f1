//! Tests that need network namespaces, each in a lab of its own.
//!
//! Without root they are counted as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes that a failure.
#![forbid(unsafe_code)]

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

mod fixture;
mod icmp;
mod interrupt;
mod itself;
mod own_hosts;
mod promises;
mod web;

/// Labs side by side: most of a test is waiting, and two cores are enough for two.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    fixture::clean_up_on_interrupt();
    let tests = [itself::TESTS, web::TESTS, icmp::TESTS, own_hosts::TESTS, promises::TESTS, interrupt::TESTS]
        .concat();
    let privileges = missing_privileges();
    let trials = tests.into_iter().map(|(name, test)| trial(name, test, privileges)).collect();
    if let Some(reason) = privileges {
        eprintln!("the namespace tests do not run ({reason})");
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test: its name is a sentence about the behaviour.
type Test = (&'static str, fn() -> anyhow::Result<()>);

fn trial(name: &'static str, test: fn() -> anyhow::Result<()>, missing: Option<&'static str>) -> Trial {
    let required = env::var_os("BALANCER_REQUIRE_PRIVILEGED").is_some_and(|value| value == "1");
    let body = move || match missing {
        Some(reason) => Err(Failed::from(format!("it did not run: {reason}"))),
        None => test().map_err(|error| Failed::from(format!("{error:#}"))),
    };
    Trial::test(name, body).with_ignored_flag(missing.is_some() && !required)
}

/// Why namespaces can't be made here.
fn missing_privileges() -> Option<&'static str> {
    (!rustix::process::geteuid().is_root()).then_some("network namespaces need root")
}

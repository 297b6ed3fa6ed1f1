//! The agent and its command line against the real kernel: what must be safe on a host that one cares about.
//!
//! Each test has a small lab of its own. Without root they are counted as ignored, with the reason;
//! `BALANCER_REQUIRE_PRIVILEGED=1` makes that a failure.
#![forbid(unsafe_code)]

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

mod alone;
mod client;
mod death;
mod ending;
mod exits;
mod file;
mod files;
mod foreign;
mod interfaces;
#[path = "../netns/fixture.rs"]
#[expect(dead_code, reason = "of the fixture that tests of the lab have, these need no demo")]
mod labs;
mod metrics;
mod neighbours;
mod privileges;
mod reload;
mod runtime;
mod ssh;
mod stand;
mod xdp;

/// Labs side by side: most of a test is waiting, and two cores are enough for two.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
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
    ]
    .concat();
    let privileges = missing_privileges();
    let trials = tests.into_iter().map(|(name, test)| trial(name, test, privileges)).collect();
    if let Some(reason) = privileges {
        eprintln!("the tests of the agent do not run ({reason})");
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

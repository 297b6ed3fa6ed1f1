//! Floods of forged packets in the lab, and what becomes of real clients meanwhile.
//!
//! The default is a slice of each; `BALANCER_LONG=1` runs the whole, and one after another, so that the rates are what
//! the machine can do. Without root they are counted as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes
//! that a failure.
#![forbid(unsafe_code)]

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

use self::scale::Scale;

#[expect(dead_code, reason = "half-closed and reset sessions are for the soak")]
mod clients;
mod floods;
mod forge;
mod generator;
#[path = "../netns/fixture.rs"]
#[expect(dead_code, reason = "of the fixture that tests of the lab have, these need no demo")]
mod labs;
mod population;
mod scale;
mod stand;
mod stopped;
mod withstand;

/// Slices side by side: one of them mostly waits.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(if Scale::chosen().long { 1 } else { THREADS });
    labs::clean_up_on_interrupt();
    let tests = [forge::TESTS, stopped::TESTS, floods::TESTS].concat();
    let privileges = missing_privileges();
    let trials = tests.into_iter().map(|(name, test)| trial(name, test, privileges)).collect();
    if let Some(reason) = privileges {
        eprintln!("the floods do not run ({reason})");
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

//! Tests that need root: without it they are counted as ignored, with the reason; `BALANCER_REQUIRE_PRIVILEGED=1` makes
//! that a failure.

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// A test: its name is a sentence about the behaviour.
pub(crate) type Test = (&'static str, fn() -> anyhow::Result<()>);

/// Runs the tests that the command line asks for; so many at once, unless it says otherwise.
pub(crate) fn run(threads: usize, tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(threads);
    let privileges = missing_privileges();
    let trials = tests.into_iter().map(|(name, test)| trial(name, test, privileges)).collect();
    if let Some(reason) = privileges {
        eprintln!("these tests do not run ({reason})");
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

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

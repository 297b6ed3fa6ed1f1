//! `cargo xtask test`.

mod counts;
pub(crate) mod fuzz;

use std::{
    env,
    io::{BufRead as _, BufReader, pipe},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use self::counts::Counts;
use crate::{run, setup};

/// Tells tests that a privileged one must fail where it would be skipped.
const REQUIRE: &str = "BALANCER_REQUIRE_PRIVILEGED";

/// Sets up, builds, runs the tests, and prints the counts: last of all a line with the total.
pub(crate) fn run(filter: Option<&str>, require_privileged: bool) -> Result<()> {
    setup::run(setup::Talk::Always)?;
    let require = require_privileged || env::var("CI").is_ok_and(|ci| ci == "true");
    let mut tests = run::cargo("test");
    tests.args([run::PROFILE, "--no-fail-fast"]).args(filter);
    // cargo builds a crate's programs with its tests: a build of its own before would only differ in features.
    tests.env("BALANCER_BIN", run::release("balancer")?).env("LAB_NODE_BIN", run::release("lab-node")?);
    if require {
        tests.env(REQUIRE, "1");
    }

    let (counts, success) = follow(tests)?;
    print!("\n{counts}");
    if require && counts.skipped() > 0 {
        bail!("{} tests were skipped, and none may be here", counts.skipped());
    }
    if !success || counts.failed() > 0 {
        bail!("the tests failed");
    }
    Ok(())
}

/// Runs cargo, shows what it prints, and counts.
fn follow(mut tests: Command) -> Result<(Counts, bool)> {
    // One pipe for both: cargo names a suite on stderr, the suite reports on stdout.
    let (reader, writer) = pipe().context("cannot make a pipe")?;
    tests.stdout(writer.try_clone()?).stderr(writer);
    let mut child = tests.spawn().context("cannot start cargo test")?;
    // It holds the writing ends: with them open the pipe would never end.
    drop(tests);

    let mut counts = Counts::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        counts.read(&line);
    }
    let status = child.wait()?;
    counts.finish(status.success());
    Ok((counts, status.success()))
}

//! `cargo xtask test`.

mod counts;
pub(crate) mod fuzz;
mod long;

use std::{
    env,
    io::{BufRead as _, BufReader, pipe},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use self::{counts::Counts, long::Run};
use crate::{run, setup};

/// Tells tests that a privileged one must fail where it would be skipped.
const REQUIRE: &str = "BALANCER_REQUIRE_PRIVILEGED";

/// Sets up, builds, runs the tests that `what` names, and prints the counts: last of all a line with the total.
pub(crate) fn run(what: Option<&str>, require_privileged: bool) -> Result<()> {
    setup::run(setup::Talk::Always)?;
    let require = require_privileged || env::var("CI").is_ok_and(|ci| ci == "true");
    let mut counts = Counts::default();
    let mut success = true;
    match what.and_then(long::of) {
        Some(long) => {
            // A run of one suite alone would not build the programs that it calls.
            run::check(command(&["--no-run", "--quiet"], &[], require)?.stdout(Stdio::null()))?;
            for Run { args, env } in long.runs {
                success &= follow(command(args, env, require)?, &mut counts)?;
            }
        }
        None => success = follow(command(what.as_slice(), &[], require)?, &mut counts)?,
    }
    print!("\n{counts}");
    if require && counts.skipped() > 0 {
        bail!("{} tests were skipped, and none may be here", counts.skipped());
    }
    if !success || counts.failed() > 0 {
        bail!("the tests failed");
    }
    Ok(())
}

fn command(args: &[&str], env: &[(&str, &str)], require: bool) -> Result<Command> {
    let mut tests = run::cargo("test");
    tests.args([run::PROFILE, "--no-fail-fast"]).args(args).envs(env.iter().copied());
    // cargo builds a crate's programs with its tests: a build of its own before would only differ in features.
    tests.env("BALANCER_BIN", run::release("balancer")?).env("LAB_NODE_BIN", run::release("lab-node")?);
    if require {
        tests.env(REQUIRE, "1");
    }
    Ok(tests)
}

/// Runs cargo, shows what it prints, and counts; whether it succeeded.
fn follow(mut tests: Command, counts: &mut Counts) -> Result<bool> {
    // One pipe for both: cargo names a suite on stderr, the suite reports on stdout.
    let (reader, writer) = pipe().context("cannot make a pipe")?;
    tests.stdout(writer.try_clone()?).stderr(writer);
    let mut child = tests.spawn().context("cannot start cargo test")?;
    // It holds the writing ends: with them open the pipe would never end.
    drop(tests);

    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        counts.read(&line);
    }
    let status = child.wait()?;
    counts.finish(status.success());
    Ok(status.success())
}

//! Ctrl-C at any moment: nothing is left.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Result, ensure};
use lab::{lifecycle, paths::Place};
use rustix::process::{Pid, Signal, kill_process};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("nothing_is_left_of_a_lab_interrupted_while_it_comes_up", while_the_lab_comes_up),
    ("nothing_is_left_of_an_interrupted_demo", during_the_demo),
];

fn while_the_lab_comes_up() -> Result<()> {
    for delay in [5, 40, 120, 250, 400] {
        interrupted("bt-ctrlc-up-", &["up", "--only", "servers"], Duration::from_millis(delay))?;
    }
    Ok(())
}

fn during_the_demo() -> Result<()> {
    for delay in [300, 2_500, 7_000, 14_000, 26_000] {
        interrupted("bt-ctrlc-demo-", &["demo"], Duration::from_millis(delay))?;
    }
    Ok(())
}

/// Runs a verb of the lab, interrupts it, and looks whether anything is there.
fn interrupted(prefix: &str, verb: &[&str], after: Duration) -> Result<()> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["--prefix", prefix])
        .args(verb)
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    sleep(after);
    let mut ended_before = child.try_wait()?.is_some();
    if !ended_before {
        kill_process(Pid::from_child(&child), Signal::INT)?;
        // The signal may find the verb at its very end: it says by its exit code which of the two it was.
        ended_before = child.wait()?.success();
    }
    let place = Place::new(prefix.parse()?);
    let left = lifecycle::exists(&place);
    lifecycle::down(&place)?;
    // One that came up before the signal stays: then there is nothing to see here.
    ensure!(ended_before || !left, "{verb:?} interrupted after {after:?} has left something");
    ensure!(verb[0] != "demo" || !ended_before, "the demo ended by itself within {after:?}");
    Ok(())
}

//! The lab's long-running programs: started into a namespace, recorded, and ended without ever hitting a stranger.
//!
//! A process is signalled through a pidfd that was opened *before* its identity was checked, so a reused pid is safe.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid},
};
use serde::{Deserialize, Serialize};

use crate::{netns::Netns, paths::Place, topology::Host};

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_millis(700);
/// How long the kernel may take to end a process after SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// A running program as its record file keeps it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its pid.
    pub pid: i32,
    /// Its start time (field 22 of `/proc/PID/stat`), which tells it from a later process with the same pid.
    started: u64,
}

impl Record {
    /// Whether the process still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// When it is not running, or does not die.
    pub fn kill(&self) -> Result<()> {
        let (pid, fd) = open(self.pid).with_context(|| format!("process {} does not run", self.pid))?;
        if !self.alive() {
            bail!("process {} is not the one that was started", self.pid);
        }
        pidfd_send_signal(&fd, Signal::KILL)?;
        if !gone(&fd, KILL_GRACE) {
            bail!("process {} does not die", self.pid);
        }
        reap(pid);
        Ok(())
    }
}

/// Starts `command` on a host as its program `program`: no stdin, output into the program's log, pid into its record.
///
/// # Errors
/// When the program can't be started, or one of that name runs there already.
pub fn start(place: &Place, host: Host, program: &str, mut command: Command) -> Result<Record> {
    if let Ok(running) = running(place, host, program) {
        bail!("{program} runs on {host} already (pid {}): end it first", running.pid);
    }
    let path = place.log(host, program);
    let log = File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("log {} can't be opened", path.display()))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{program} can't be started on {host}"))?;
    let pid = i32::try_from(child.id())?;
    let started = start_time(pid).with_context(|| format!("{program} on {host} ended at once"))?;
    let record = Record { pid, started };
    fs::write(place.record(host, program), serde_json::to_vec(&record)?)?;
    Ok(record)
}

/// The record of a program that runs on a host.
///
/// # Errors
/// When it does not run.
pub fn running(place: &Place, host: Host, program: &str) -> Result<Record> {
    let not_running = || format!("{program} does not run on {host}");
    let text = fs::read(place.record(host, program)).with_context(not_running)?;
    let record: Record = serde_json::from_slice(&text).with_context(not_running)?;
    if !record.alive() {
        bail!(not_running());
    }
    Ok(record)
}

/// Ends every process in these namespaces, whoever started it: SIGTERM, then SIGKILL.
///
/// # Errors
/// When one does not die.
pub fn end_all(namespaces: &[Netns]) -> Result<()> {
    for (signal, patience) in [(Signal::TERM, GRACE), (Signal::KILL, KILL_GRACE), (Signal::KILL, KILL_GRACE)]
    {
        let inside = processes_in(namespaces)?;
        if inside.is_empty() {
            return Ok(());
        }
        for (_, fd) in &inside {
            // It may have ended by itself since it was found: all the better.
            let _ = pidfd_send_signal(fd, signal);
        }
        let deadline = Instant::now() + patience;
        for (pid, fd) in inside {
            if gone(&fd, deadline.saturating_duration_since(Instant::now())) {
                reap(pid);
            }
        }
    }
    match processes_in(namespaces)?.first() {
        None => Ok(()),
        Some((pid, _)) => bail!("process {} in the lab does not die", pid.as_raw_nonzero()),
    }
}

/// The processes whose network namespace is one of these, except this one.
fn processes_in(namespaces: &[Netns]) -> Result<Vec<(Pid, OwnedFd)>> {
    let wanted: Vec<_> = namespaces.iter().filter_map(Netns::identity).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if pid == rustix::process::getpid().as_raw_nonzero().get() {
            continue;
        }
        let Some((pid, fd)) = open(pid) else { continue };
        if namespace_of(&entry.path()).is_some_and(|identity| wanted.contains(&identity)) {
            found.push((pid, fd));
        }
    }
    Ok(found)
}

fn namespace_of(proc_dir: &Path) -> Option<(u64, u64)> {
    let meta = proc_dir.join("ns/net").metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

fn open(pid: i32) -> Option<(Pid, OwnedFd)> {
    let pid = Pid::from_raw(pid)?;
    Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?))
}

/// Whether the process ends within `patience`: a pidfd becomes readable then.
fn gone(fd: &OwnedFd, patience: Duration) -> bool {
    let Ok(timeout) = Timespec::try_from(patience) else { return false };
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// Takes the zombie away if it was a child of ours; it need not have been.
fn reap(pid: Pid) {
    let _ = waitpid(Some(pid), WaitOptions::NOHANG);
}

/// Field 22 of `/proc/PID/stat`; a zombie counts as gone, but not before its last thread: that still holds its sockets.
fn start_time(pid: i32) -> Option<u64> {
    parse_start_time(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_start_time(stat: &str) -> Option<u64> {
    // The name in field 2 may hold blanks and brackets: count from its last bracket.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (state, threads, start) = (fields.first()?, fields.get(17)?, fields.get(19)?);
    match (*state, *threads) {
        ("Z" | "X", "0" | "1") => None,
        _ => start.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_behind_a_name_with_brackets() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 10";
        assert_eq!(parse_start_time(stat), Some(4242));
    }

    #[test]
    fn a_zombie_is_gone() {
        assert_eq!(parse_start_time("7 (a) Z 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 10"), None);
    }

    #[test]
    fn a_zombie_with_threads_is_not_gone_yet() {
        let stat = "7 (a) Z 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 4242 9 10";
        assert_eq!(parse_start_time(stat), Some(4242));
    }

    #[test]
    fn a_reused_pid_is_never_killed() {
        let own = i32::try_from(std::process::id()).unwrap();
        let stranger = Record { pid: own, started: start_time(own).unwrap() + 1 };
        assert!(!stranger.alive());
        assert!(stranger.kill().unwrap_err().to_string().contains("not the one"));
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "that the record reaps it is what this shows")]
    fn a_killed_child_is_gone_and_reaped() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let record = Record { pid, started: start_time(pid).unwrap() };
        record.kill().unwrap();
        assert!(!record.alive());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}

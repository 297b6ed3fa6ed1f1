//! Named network namespaces, as `ip netns` keeps them.

use std::{
    fs::File,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::PathBuf,
    process::Command,
    thread,
};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

/// One network namespace under `/run/netns`, which may or may not exist.
#[derive(Clone, Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// The namespace of this name.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Makes it.
    ///
    /// # Errors
    /// When it exists already, or for lack of root.
    pub fn create(&self) -> Result<()> {
        run(Command::new("ip").args(["netns", "add", &self.name]))
    }

    /// Removes its name; it goes away with its last process and socket.
    ///
    /// # Errors
    /// When `ip netns del` fails for another reason than that it is gone.
    pub fn delete(&self) -> Result<()> {
        if !self.path().exists() {
            return Ok(());
        }
        run(Command::new("ip").args(["netns", "del", &self.name]))
    }

    /// Device and inode of the namespace, which `/proc/PID/ns/net` of its processes shows too; `None` when it does not
    /// exist.
    #[must_use]
    pub fn identity(&self) -> Option<(u64, u64)> {
        let meta = self.path().metadata().ok()?;
        Some((meta.dev(), meta.ino()))
    }

    /// A command that will run inside, in a process group of its own, so that Ctrl-C reaches the lab alone and it ends
    /// the others in order.
    ///
    /// `nsenter` and not `ip netns exec`: the latter changes the mount namespace too, and bpffs objects would vanish with
    /// the process.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command.process_group(0);
        command
    }

    /// Runs `work` on a thread inside, e.g. to write to `/proc/sys/net` or to open a socket.
    ///
    /// # Errors
    /// When the namespace can't be entered, or when `work` fails.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file =
            File::open(self.path()).with_context(|| format!("namespace {} is not there", self.name))?;
        let enter_and_work = || {
            setns(file, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("namespace {} can't be entered", self.name))?;
            work()
        };
        thread::scope(|scope| match scope.spawn(enter_and_work).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Feeds a script to `ip -batch` inside.
    ///
    /// # Errors
    /// With what `ip` said about the first line that it refused.
    pub fn ip(&self, script: &str) -> Result<()> {
        use std::{io::Write as _, process::Stdio};
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("program ip can't be started: install iproute2")?;
        child.stdin.take().context("no pipe to ip")?.write_all(script.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("ip in {}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Sets kernel parameters under `/proc/sys/net`, each `(path, value)`.
    ///
    /// # Errors
    /// With the first that the kernel refuses.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.inside(|| {
            for (path, value) in settings {
                std::fs::write(format!("/proc/sys/net/{path}"), value)
                    .with_context(|| format!("net/{path} can't be set to {value}"))?;
            }
            Ok(())
        })
    }
}

/// Runs a command to its end and makes an error of a bad exit, with what it wrote to stderr.
///
/// # Errors
/// When it can't be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// As [`run`], with what it wrote to stdout.
///
/// # Errors
/// When it can't be started or fails.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command
        .process_group(0)
        .output()
        .with_context(|| format!("{shown} can't be started: is it installed?"))?;
    if !output.status.success() {
        bail!("{shown} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

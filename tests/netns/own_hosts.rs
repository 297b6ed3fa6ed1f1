//! README, "On your own hosts": its commands, run as they stand there on hosts that have nothing but addresses.

mod readme;
mod wire;

use std::{
    fs::{self, File},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lab::{netns::output, paths::Place, programs, topology::Host};

use crate::{Test, labs::Lab};
use readme::{Part, Step};

pub(crate) const TESTS: &[Test] = &[
    ("the_readmes_commands_work_on_bare_hosts", || follow("bt-own-", Part::Segment, "ws-")),
    ("the_readmes_commands_work_with_backends_as_they_are", || follow("bt-as-", Part::AsTheyAre, "web-")),
    ("the_readmes_commands_work_with_containers_on_the_same_host", || {
        follow("bt-pods-", Part::Containers, "web-")
    }),
];

/// How long the agent may take until it answers, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(15);
/// Seconds that a command may take; the agent takes as long as it likes.
const LONGEST: u32 = 30;
const FOREVER: u32 = 0;
/// The file that the README makes and has its reader edit.
const CONFIG: &str = "/etc/balancer/balancer.toml";
/// The socket that the command line asks by default.
const SOCKET: &str = "/run/balancer/api.sock";
/// Directories of the README's that are this machine's own, each with the test's instead.
const DIRECTORIES: [(&str, &str); 5] = [
    ("/usr/local/bin", "bin"),
    ("/etc/balancer", "etc"),
    ("/run/balancer", "run"),
    ("/var/lib/balancer", "state"),
    ("/sys/fs/bpf/balancer", "bpf/balancer"),
];
/// What the README's build leaves; here it is this test's own build.
const BUILT: &str = "target/release/balancer";

/// The three hosts, and the agent once it runs.
struct Hosts {
    place: Place,
    part: Part,
    agent: Option<Child>,
}

/// Does what the README says; its backends' names begin with `backends`.
fn follow(prefix: &str, part: Part, backends: &str) -> Result<()> {
    let steps = readme::steps(part)?;
    ensure!(steps.len() <= 12, "the README has {} commands, twelve were to be enough", steps.len());
    let lab = Lab::empty(prefix)?;
    wire::build(&lab.place, part)?;
    let mut hosts = Hosts { place: lab.place.clone(), part, agent: None };
    let mut curl = None;
    for step in &steps {
        match hosts.take(step)?.as_deref() {
            Some(page) if step.command.starts_with("curl") => {
                ensure!(page == wire::page(), "{step} got {} bytes, others than the page", page.len());
                curl = Some(step);
            }
            Some(status) if step.command.contains(" status") => went_through(status)?,
            Some(flows) if step.command.contains(" flow ") => knows_the_client(flows, backends)?,
            _ => {}
        }
    }
    hosts.nothing_is_left()?;
    let curl = curl.context("the README has no curl")?;
    ensure!(hosts.run(curl).is_err(), "after the detach {curl} is answered all the same: by whom before?");
    Ok(())
}

/// The packets of the one connection were counted, from its first on.
fn went_through(status: &str) -> Result<()> {
    for reason in ["new-maglev", "promoted", "flow"] {
        ensure!(status.lines().any(|line| line.starts_with(reason)), "no packet was {reason}:\n{status}");
    }
    Ok(())
}

fn knows_the_client(flows: &str, backends: &str) -> Result<()> {
    let client = format!("{}:", wire::CLIENT);
    let known = flows.lines().any(|line| line.contains(&client) && line.contains(&format!(" {backends}")));
    ensure!(known, "no flow of {} to {backends}N:\n{flows}", wire::CLIENT);
    Ok(())
}

impl Hosts {
    /// Does what a reader does with a command; what it wrote to stdout, if it was run to its end.
    fn take(&mut self, step: &Step) -> Result<Option<String>> {
        // The file is made by the command before.
        if step.command.contains(" check ") {
            self.edit()?;
        }
        if step.command.starts_with("cargo ") {
            return Ok(None);
        }
        if step.command.starts_with("balancer run") {
            return self.start(step).map(|()| None);
        }
        self.run(step).map(Some)
    }

    /// A command of the README on its host, with the test's directories, for so many seconds.
    fn command(&self, step: &Step, seconds: u32) -> Result<Command> {
        let mut script = self.with_own_directories(&step.command);
        if script.contains(BUILT) {
            script = script.replace(BUILT, &programs::balancer()?.to_string_lossy());
        }
        let mut command = self.place.netns(step.host).command("timeout");
        command.args(["--kill-after", "5", &seconds.to_string(), "sh", "-ec", &script]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.with_own_directories("/usr/local/bin")));
        command.env("BALANCER_API", self.with_own_directories(SOCKET)).stdin(Stdio::null());
        Ok(command)
    }

    fn with_own_directories(&self, text: &str) -> String {
        let own = self.place.dir();
        DIRECTORIES.iter().fold(text.to_owned(), |text, (readers, ours)| {
            text.replace(readers, &own.join(ours).to_string_lossy())
        })
    }

    fn run(&self, step: &Step) -> Result<String> {
        output(&mut self.command(step, LONGEST)?).with_context(|| step.to_string())
    }

    /// Edits the file as the README says.
    fn edit(&self) -> Result<()> {
        let path = self.with_own_directories(CONFIG);
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        fs::write(&path, self.with_own_directories(&readme::edited(self.part, &text)?))?;
        Ok(())
    }

    /// Starts the agent and waits until it answers.
    fn start(&mut self, step: &Step) -> Result<()> {
        let log = self.place.dir().join("agent.log");
        let mut command = self.command(step, FOREVER)?;
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        self.agent = Some(command.spawn().with_context(|| step.to_string())?);
        let status = Step { host: step.host, command: "balancer status".to_owned() };
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.run(&status) {
            if Instant::now() > deadline || self.agent_ended()?.is_some() {
                bail!("{step}: {error:#}\n{}", fs::read_to_string(&log)?);
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn agent_ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.agent.as_mut().context("the README never starts the agent")?.try_wait()?)
    }

    /// Neither agent nor program nor tables nor socket.
    fn nothing_is_left(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.agent_ended()? {
                Some(status) => break status,
                None if Instant::now() > deadline => bail!("the agent runs on after the detach"),
                None => sleep(Duration::from_millis(20)),
            }
        };
        ensure!(status.success(), "the agent ended with {status}");
        let link = output(self.place.netns(Host::Balancer).command("ip").args(["link", "show", "eth0"]))?;
        ensure!(!link.contains("xdp"), "a program is left on the interface: {link}");
        for path in ["/sys/fs/bpf/balancer", SOCKET] {
            let path = self.with_own_directories(path);
            ensure!(!fs::exists(&path)?, "{path} is left");
        }
        Ok(())
    }
}

//! `cargo xtask test fuzz [SECONDS]`: every fuzzer of `tests/fuzz` for a while, led by what its inputs reach.

mod report;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use self::report::Report;
use crate::{run, setup};

/// The word that asks for it in place of a test's name.
pub(crate) const WORD: &str = "fuzz";
/// Seconds that each fuzzer runs unless the command line says otherwise.
const SECONDS: u64 = 60;
/// The package of the fuzzers.
const PACKAGE: &str = "tests/fuzz";
/// Bytes of an input at most: more only takes longer.
const MAX_LEN: usize = 2048;
/// What else is worth beginning with: the files that the tests of the configuration judge.
const SEEDS: [(&str, &str); 3] = [
    ("config", "balancer-user/tests/config/good"),
    ("config", "balancer-user/tests/config/warned"),
    ("config", "balancer-user/tests/config/broken"),
];

/// Builds the fuzzers, runs each, and prints the counts: last of all a line with the total.
pub(crate) fn run(seconds: Option<u64>) -> Result<()> {
    setup::run(setup::Talk::WhenBusy)?;
    let bin = setup::fuzzer()?;
    let work = run::target()?.join("fuzz");
    let fuzzers = list(&bin)?;
    build(&bin, &work)?;
    let seconds = seconds.unwrap_or(SECONDS);
    let mut failed = 0;
    for fuzzer in &fuzzers {
        eprintln!("{fuzzer}: {seconds} s …");
        let report = Fuzzer { name: fuzzer, work: &work }.run(seconds)?;
        println!("{fuzzer:<12} {report}");
        failed += usize::from(report.fault().is_some());
    }
    println!("{} passed, {failed} failed, 0 skipped", fuzzers.len() - failed);
    ensure!(failed == 0, "{failed} of {} fuzzers failed, see above", fuzzers.len());
    Ok(())
}

/// `cargo fuzz`, which setup has put into `bin`.
fn cargo_fuzz(bin: &Path, verb: &str) -> Result<Command> {
    let mut cargo = run::cargo("fuzz");
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin.to_owned()).chain(std::env::split_paths(&rest)))?;
    cargo.env("PATH", path).arg(verb).args(["--fuzz-dir", PACKAGE]);
    Ok(cargo)
}

fn list(bin: &Path) -> Result<Vec<String>> {
    let list = run::output(&mut cargo_fuzz(bin, "list")?).context("cargo fuzz does not list the fuzzers")?;
    let fuzzers: Vec<String> = list.split_whitespace().map(str::to_owned).collect();
    ensure!(!fuzzers.is_empty(), "{PACKAGE} has no fuzzers");
    Ok(fuzzers)
}

fn build(bin: &Path, work: &Path) -> Result<()> {
    let mut build = cargo_fuzz(bin, "build")?;
    // No sanitizer: they want a nightly, and nothing that is fuzzed has unsafe code. Coverage works on stable, and
    // so do the checks of overflow that cargo-fuzz compiles in.
    build.args(["--sanitizer", "none", "--features", "libfuzzer"]).arg("--target-dir").arg(work);
    run::check(&mut build)
}

/// One fuzzer.
struct Fuzzer<'a> {
    name: &'a str,
    work: &'a Path,
}

impl Fuzzer<'_> {
    fn program(&self) -> Result<PathBuf> {
        let host = run::output(Command::new("rustc").arg("-vV")).context("rustc does not start")?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(self.work.join(host.context("rustc does not name its host")?).join("release").join(self.name))
    }

    fn run(&self, seconds: u64) -> Result<Report> {
        let program = self.program()?;
        let mut child = self.command(&program, seconds)?;
        let mut child = child.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut report = Report::default();
        let output = child.stderr.take().context("a fuzzer speaks on stderr")?;
        for line in BufReader::new(output).split(b'\n') {
            report.read(&String::from_utf8_lossy(&line?));
        }
        report.finish(child.wait()?.success());
        if report.fault().is_some() {
            self.explain(&report, &program);
        }
        Ok(report)
    }

    /// The first directory is where libFuzzer keeps what it finds; it begins with what is in all of them.
    fn command(&self, program: &Path, seconds: u64) -> Result<Command> {
        let found = self.work.join("corpus").join(self.name);
        let artifacts = self.work.join("artifacts").join(self.name);
        for directory in [&found, &artifacts] {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let kept = ["corpus", "regressions"].map(|kind| format!("{PACKAGE}/{kind}/{}", self.name));
        let seeds =
            SEEDS.iter().filter(|(fuzzer, _)| *fuzzer == self.name).map(|(_, path)| (*path).to_owned());
        let inputs = kept.into_iter().chain(seeds).map(|path| run::root().join(path));
        let mut command = Command::new(program);
        command.current_dir(run::root()).stderr(Stdio::piped()).stdout(Stdio::null());
        command.arg(found).args(inputs.filter(|path| path.exists()));
        command.args(["-seed=1", "-print_final_stats=1", "-timeout=20"]);
        command.arg(format!("-max_len={MAX_LEN}")).arg(format!("-max_total_time={seconds}"));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        // The API's fuzzer writes the agent's state at every input: not to a disk.
        if Path::new("/dev/shm").is_dir() {
            command.env("TMPDIR", "/dev/shm");
        }
        Ok(command)
    }

    fn explain(&self, report: &Report, program: &Path) {
        report.last_lines().for_each(|line| eprintln!("    {line}"));
        match report.reproducer() {
            Some(input) => eprintln!(
                "{}: the input is {input}\n  replay it:  {} {input}\n  keep it:    cp {input} \
                 {PACKAGE}/regressions/{}/ && cargo xtask test every_kept_input_of_the_{}",
                self.name,
                program.display(),
                self.name,
                self.name,
            ),
            None => eprintln!("{}: it left no input", self.name),
        }
    }
}

/// What follows the word.
pub(crate) fn seconds(word: Option<&str>) -> Result<Option<u64>> {
    match word.map(str::parse) {
        None => Ok(None),
        Some(Ok(seconds @ 1..)) => Ok(Some(seconds)),
        Some(_) => bail!("{:?} is no number of seconds", word.unwrap_or_default()),
    }
}

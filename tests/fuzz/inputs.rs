//! The inputs that are kept, through the fuzzers' bodies: one test a target.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use balancer_fuzz::{TARGETS, Target};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let trials = TARGETS.into_iter().map(|(name, target)| {
        let body = move || run(name, target).map_err(|error| Failed::from(format!("{error:#}")));
        Trial::test(format!("fuzz::every_kept_input_of_the_{name}_target_holds"), body)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn run(name: &str, target: Target) -> Result<()> {
    let corpus = files(&directory("corpus", name))?;
    ensure!(!corpus.is_empty(), "tests/fuzz/corpus/{name} is empty");
    let regressions = files(&directory("regressions", name))?;
    println!("{name}: {} inputs of the corpus, {} regressions", corpus.len(), regressions.len());
    for path in corpus.iter().chain(&regressions) {
        let input = fs::read(path).with_context(|| path.display().to_string())?;
        if std::panic::catch_unwind(|| target(&input)).is_err() {
            anyhow::bail!("{} breaks it, see above", path.display());
        }
    }
    Ok(())
}

fn directory(kind: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(name)
}

/// The files of a directory, which may be missing: git keeps no empty one.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

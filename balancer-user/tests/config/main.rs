//! The configuration against files: good ones, ones with warnings, and broken ones whose every problem is written down
//! at their end, as `#! LINE:COLUMN: message; remedy`.

mod diff;
mod files;
mod keys;
mod mutations;
mod verbs;
mod verdict;

use std::path::{Path, PathBuf};

/// The files of a directory beside this one.
fn files_of(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(directory);
    let mut files: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A file that uses every key.
const WHOLE: &str = include_str!("good/whole.toml");

//! What is wrong with a file, where, and what to do about it.

use std::{cell::RefCell, fmt, ops::Range};

use serde::{Deserialize, Serialize};

use super::place::line_and_column;

/// Whether a problem refuses the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken.
    Warning,
}

/// One thing that is wrong. Displayed as `FILE:LINE:COLUMN: message; remedy`, always on one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; 0 when the problem is the file itself.
    pub line: usize,
    /// Column in characters, from 1; 0 when the problem is the file itself.
    pub column: usize,
    /// Whether it refuses the file.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Problem {
    /// A problem of the file itself: it cannot be read.
    pub(super) fn of_file(file: &str, message: &str, remedy: &str) -> Self {
        Self::at(file, (0, 0), Severity::Error, message, remedy)
    }

    pub(super) fn at(
        file: &str,
        (line, column): (usize, usize),
        severity: Severity,
        message: &str,
        remedy: &str,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line,
            column,
            severity,
            message: one_line(message),
            remedy: one_line(remedy),
        }
    }
}

/// A file's text reaches the terminal only without its control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let warning = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, ": {warning}{}; {}", self.message, self.remedy)
    }
}

/// Every problem of a refused file, in the order of the file, its warnings included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(n, problem)| {
            let newline = if n == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")
        })
    }
}

impl std::error::Error for Problems {}

/// What is wrong with a value, before anybody knows its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }
}

/// Collects the problems of one text.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::default() }
    }

    pub(super) fn error(&self, at: &Range<usize>, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(at, Severity::Error, message.as_ref(), remedy.as_ref());
    }

    pub(super) fn warning(&self, at: &Range<usize>, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(at, Severity::Warning, message.as_ref(), remedy.as_ref());
    }

    pub(super) fn fault(&self, at: &Range<usize>, fault: &Fault) {
        self.error(at, &fault.message, &fault.remedy);
    }

    /// The line of a place, for messages that name a second one.
    pub(super) fn line(&self, at: &Range<usize>) -> usize {
        line_and_column(self.text, at.start).0
    }

    fn add(&self, at: &Range<usize>, severity: Severity, message: &str, remedy: &str) {
        let place = line_and_column(self.text, at.start);
        self.problems.borrow_mut().push(Problem::at(self.file, place, severity, message, remedy));
    }

    /// All problems in the order of the file.
    pub(super) fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| (p.line, p.column));
        problems.dedup();
        problems
    }
}

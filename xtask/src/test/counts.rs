//! The counts, out of what `cargo test` prints.

use std::fmt;

/// One test program, or the examples in the documentation of one crate.
#[derive(Debug, Default, PartialEq)]
struct Suite {
    name: String,
    passed: usize,
    failed: usize,
    skipped: usize,
    reported: bool,
}

/// The suites so far.
#[derive(Default)]
pub(crate) struct Counts {
    suites: Vec<Suite>,
}

impl Counts {
    /// Takes in one line.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(name) = suite_name(line) {
            self.suites.push(Suite { name, ..Suite::default() });
        }
        let Some(suite) = self.suites.last_mut() else { return };
        if let Some((passed, failed, skipped)) = result(line) {
            let name = std::mem::take(&mut suite.name);
            *suite = Suite { name, passed, failed, skipped, reported: true };
        }
    }

    /// Ends the count: a suite that never reported has crashed, and a failure without a suite is one, too.
    pub(crate) fn finish(&mut self, success: bool) {
        for suite in self.suites.iter_mut().filter(|suite| !suite.reported) {
            suite.failed += 1;
        }
        if !success && self.failed() == 0 {
            self.suites.push(Suite { name: "cargo test".into(), failed: 1, ..Suite::default() });
        }
    }

    /// Tests that failed.
    pub(crate) fn failed(&self) -> usize {
        self.suites.iter().map(|suite| suite.failed).sum()
    }

    /// Tests that did not run.
    pub(crate) fn skipped(&self) -> usize {
        self.suites.iter().map(|suite| suite.skipped).sum()
    }

    fn passed(&self) -> usize {
        self.suites.iter().map(|suite| suite.passed).sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for suite in self.suites.iter().filter(|suite| suite.passed + suite.failed + suite.skipped > 0) {
            let Suite { name, passed, failed, skipped, reported: _ } = suite;
            writeln!(f, "{name:<44} {passed:>5} passed {failed:>4} failed {skipped:>4} skipped")?;
        }
        writeln!(f, "{} passed, {} failed, {} skipped", self.passed(), self.failed(), self.skipped())
    }
}

/// The crate and file in `     Running tests/a.rs (target/release/deps/a-0123456789abcdef)`.
fn suite_name(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name}, examples"));
    }
    let (source, program) = line.strip_prefix("Running ")?.split_once(" (")?;
    let program = program.trim_end_matches(')').rsplit('/').next()?;
    let (name, _hash) = program.rsplit_once('-')?;
    Some(format!("{name}, {}", source.trim_start_matches("unittests ")))
}

/// Passed, failed and ignored in `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn result(line: &str) -> Option<(usize, usize, usize)> {
    let (_verdict, counts) = line.trim_start().strip_prefix("test result: ")?.split_once(". ")?;
    let mut numbers = counts.split("; ").map(|part| part.split(' ').next()?.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[&str], success: bool) -> Counts {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.read(line));
        counts.finish(success);
        counts
    }

    const UNITS: &str =
        "     Running unittests src/lib.rs (target/release/deps/balancer_common-0123456789abcdef)";

    #[test]
    fn each_suite_has_a_line_and_the_total_stands_alone_at_the_end() {
        let lines = [
            UNITS,
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "     Running netns/main.rs (/elsewhere/release/deps/netns-0123456789abcdef)",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "   Doc-tests lab",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        let text = count(&lines, false).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("balancer_common, src/lib.rs "), "{text}");
        assert!(lines[1].starts_with("netns, netns/main.rs "), "{text}");
        assert_eq!(lines[2], "4 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_suite_that_ends_without_a_result_has_failed() {
        assert_eq!(count(&[UNITS, "signal: 11, SIGSEGV"], false).failed(), 1);
    }

    #[test]
    fn tests_that_do_not_compile_have_failed() {
        assert_eq!(count(&["error[E0425]: cannot find value"], false).failed(), 1);
    }
}

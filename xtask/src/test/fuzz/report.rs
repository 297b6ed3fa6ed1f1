//! What libFuzzer prints, as counts.

use std::{collections::VecDeque, fmt};

/// Lines that are shown of a fuzzer that stopped.
const LAST: usize = 40;

/// One run of a fuzzer.
#[derive(Debug, Default)]
pub(crate) struct Report {
    executions: u64,
    /// Edges of the program that its inputs reach, of so many.
    covered: u64,
    edges: u64,
    /// Inputs that it keeps, each for something that no other reaches.
    inputs: u64,
    reproducer: Option<String>,
    fault: Option<&'static str>,
    last: VecDeque<String>,
}

impl Report {
    /// Takes in one line.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = rest.trim().parse().unwrap_or(0);
        } else if let Some(path) = line.split_once("Test unit written to ").map(|(_, path)| path) {
            self.reproducer = Some(path.to_owned());
        } else if line.starts_with("INFO: Loaded") && line.contains("inline 8-bit counters") {
            self.edges += line.split_once('(').map_or(0, |(_, rest)| leading(rest));
        } else if line.starts_with('#') {
            self.covered = after(line, "cov: ").unwrap_or(self.covered);
            self.inputs = after(line, "corp: ").unwrap_or(self.inputs);
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    /// Ends the run. One that tried nothing, or was blind, proves as little as one that failed.
    pub(crate) fn finish(&mut self, success: bool) {
        self.fault = match (success, self.executions, self.covered) {
            (false, ..) => Some("stopped"),
            (true, 0, _) => Some("tried nothing"),
            (true, _, 0) => Some("was not led by coverage"),
            (true, ..) => None,
        };
    }

    /// Why the run is no success.
    pub(crate) const fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    /// The file with the input that it stopped at.
    pub(crate) fn reproducer(&self) -> Option<&str> {
        self.reproducer.as_deref()
    }

    /// What it said last.
    pub(crate) fn last_lines(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, covered, edges, inputs, .. } = self;
        let fault = self.fault.map_or(String::new(), |fault| format!(", FAILED: it {fault}"));
        write!(f, "{executions:>9} executions, {covered:>5} of {edges} edges, {inputs:>5} inputs kept{fault}")
    }
}

/// The number behind a word of a line.
fn after(line: &str, word: &str) -> Option<u64> {
    line.split_once(word).map(|(_, rest)| leading(rest))
}

fn leading(text: &str) -> u64 {
    let digits = text.trim_start().split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str], success: bool) -> Report {
        let mut report = Report::default();
        lines.iter().for_each(|line| report.read(line));
        report.finish(success);
        report
    }

    const LOADED: &str =
        "INFO: Loaded 1 modules   (6457 inline 8-bit counters): 6457 [0x55c6801c1e48, 0x55c6801c3781), ";
    const DONE: &str = "#699852\tDONE   cov: 982 ft: 1297 corp: 194/15762b lim: 2048 exec/s: 33326 rss: 28Mb";
    const UNITS: &str = "stat::number_of_executed_units: 699852";

    #[test]
    fn executions_coverage_and_inputs_are_read_from_what_libfuzzer_prints() {
        let report = report(&[LOADED, DONE, UNITS], true);
        assert_eq!(report.fault(), None);
        assert_eq!(report.to_string(), "   699852 executions,   982 of 6457 edges,   194 inputs kept");
    }

    #[test]
    fn a_run_that_tried_nothing_or_was_blind_has_failed() {
        assert_eq!(report(&[LOADED, DONE], true).fault(), Some("tried nothing"));
        assert_eq!(report(&[UNITS], true).fault(), Some("was not led by coverage"));
    }

    #[test]
    fn a_crash_names_its_input() {
        let written = "artifact_prefix='x/'; Test unit written to x/crash-0a4d55";
        let report = report(&[LOADED, DONE, written, UNITS], false);
        assert_eq!((report.fault(), report.reproducer()), (Some("stopped"), Some("x/crash-0a4d55")));
    }
}

//! The words that `cargo xtask test` takes beside a part of a test's name, and what each runs.
//!
//! A word stands for the long form of something, of which the default run has a slice.

/// What a word stands for.
pub(crate) struct Long {
    /// The word.
    pub(crate) word: &'static str,
    /// What is run for it, one after another.
    pub(crate) runs: &'static [Run],
}

/// One run of `cargo test`.
pub(crate) struct Run {
    /// Its arguments.
    pub(crate) args: &'static [&'static str],
    /// What it finds in its environment.
    pub(crate) env: &'static [(&'static str, &'static str)],
}

/// Selects the long form, everywhere.
const LONG: (&str, &str) = ("BALANCER_LONG", "1");

/// Every word.
const WORDS: &[Long] = &[
    Long { word: "affinity", runs: AFFINITY },
    Long { word: "flood", runs: FLOOD },
    Long { word: "modes", runs: MODES },
    Long { word: "nat", runs: NAT },
    Long { word: "soak", runs: SOAK },
];

/// What users of long-lived connections are promised, in every mode, with as many clients and as long a silence as it says.
const AFFINITY: &[Run] = &[Run { args: &["--test", "affinity"], env: &[LONG] }];

/// Every mode, family, protocol and place of the backends, with many clients and 50 MB streams.
const MODES: &[Run] = &[Run { args: &["--test", "modes"], env: &[LONG] }];

/// nginx, HAProxy and a WebSocket library behind `nat`, and five minutes in which every port is used again and again.
const NAT: &[Run] = &[Run { args: &["--test", "nat"], env: &[LONG] }];

/// Floods of ten times every table's size, and the stopped agent.
const FLOOD: &[Run] = &[Run { args: &["--test", "flood"], env: &[LONG] }];

/// Minutes of random operations, a million packets in kernel and host, the proofs of `balancer-common`.
const SOAK: &[Run] = &[
    Run { args: &["--test", "soak"], env: &[LONG] },
    Run { args: &["--test", "datapath", "--", "kernel_and_host_treat_random_packets_alike"], env: &[LONG] },
    Run { args: &["--test", "proofs"], env: &[LONG] },
];

/// What a word stands for, if it is one of these.
pub(crate) fn of(word: &str) -> Option<&'static Long> {
    WORDS.iter().find(|long| long.word == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_no_filter_and_a_filter_is_no_word() {
        assert_eq!(of("soak").map(|long| long.word), Some("soak"));
        assert!(of("soaks").is_none());
        assert!(of("syn").is_none());
    }

    #[test]
    fn every_word_runs_something_and_stands_once() {
        for (place, long) in WORDS.iter().enumerate() {
            assert!(!long.runs.is_empty(), "{}", long.word);
            assert!(WORDS[..place].iter().all(|other| other.word != long.word), "{} twice", long.word);
        }
    }
}

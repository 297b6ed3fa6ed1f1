//! A test in each mode, and which of them the default run has.

use crate::trials::{self, Test};

/// The same test in `l2dsr`, by its name alone, and in the other modes.
pub(crate) type EachMode = [Test; 4];

/// Names a test in each mode; it takes the mode.
macro_rules! in_each_mode {
    ($name:literal, $test:path) => {
        [
            ($name, || $test(lab::fixture::mode::Mode::L2dsr)),
            (concat!($name, "_in_ipip"), || $test(lab::fixture::mode::Mode::Ipip)),
            (concat!($name, "_in_nat"), || $test(lab::fixture::mode::Mode::Nat)),
            (concat!($name, "_in_nat_keep"), || $test(lab::fixture::mode::Mode::NatKeep)),
        ]
    };
}
pub(crate) use in_each_mode;

/// What the default run has of the other modes.
const SLICE: [&str; 4] = [
    "death_resets_every_client_in_ipip",
    "death_resets_every_client_in_nat",
    "drain_in_nat",
    "restart_is_not_an_event_in_nat",
];

/// Every mode in the long form, and where the command line asks for tests by name; otherwise `l2dsr` and the slice.
pub(crate) fn of_this_run(tests: &[EachMode]) -> Vec<Test> {
    let all = lab::long() || trials::by_name();
    let there = |name: &&str| tests.iter().flatten().any(|(other, _)| other == name);
    assert!(SLICE.iter().all(there), "a test of the default run is not there: {SLICE:?}");
    let in_slice = |(name, _): &Test| all || SLICE.contains(name);
    let of_one =
        |[plain, others @ ..]: EachMode| [plain].into_iter().chain(others.into_iter().filter(in_slice));
    tests.iter().copied().flat_map(of_one).collect()
}

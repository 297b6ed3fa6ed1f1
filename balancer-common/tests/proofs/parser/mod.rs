//! The parser against an independent one, and on bytes that nobody meant to be a packet.

mod agrees;
mod bounds;
mod frames;

use proptest::test_runner::Config;

/// So many cases of a property, many more in a long run; failures are printed, not kept in files.
fn cases(cases: u32) -> Config {
    let cases = if crate::long() { cases * 100 } else { cases };
    Config { cases, failure_persistence: None, ..Config::default() }
}

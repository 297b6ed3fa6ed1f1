//! What the fuzzers run, each a plain function over bytes that panics where something does not hold.
//!
//! `cargo xtask test fuzz` drives them by libFuzzer; `cargo xtask test` runs the inputs in `corpus/` and `regressions/`
//! through the same functions. The rules are those of the proofs in `balancer-common`, whose modules are taken from
//! there.
#![forbid(unsafe_code)]

mod api;
#[expect(dead_code, reason = "the proofs use more of it")]
#[path = "../../balancer-common/tests/proofs/audit.rs"]
mod audit;
mod config;
mod decision;
mod journal;
mod parser;
#[path = "../../balancer-common/tests/proofs/reading/mod.rs"]
mod reading;
#[path = "../../balancer-common/tests/proofs/sweeper.rs"]
mod sweeper;
#[path = "../../balancer-user/tests/config/verdict.rs"]
mod verdict;
#[path = "../datapath/ways.rs"]
mod ways;
#[expect(dead_code, reason = "the proofs use more of it")]
#[path = "../../balancer-common/tests/proofs/world/mod.rs"]
mod world;

pub use self::{api::api, config::config, decision::decision, journal::journal, parser::parser};

/// A fuzzer's body.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its program and of the directories of its inputs.
pub const TARGETS: [(&str, Target); 5] =
    [("parser", parser), ("decision", decision), ("config", config), ("api", api), ("journal", journal)];

/// Goes on if it holds.
fn hold<T>(result: Result<T, String>) -> T {
    result.unwrap_or_else(|broken| panic!("{broken}"))
}

//! What the tables, the parser and the hashes promise, checked over the very code that the packet path runs:
//! under every schedule that a scheduler comes up with, under real threads, in churn, and on arbitrary bytes.
//!
//! `docs/tables.md` says what is proven here and what was measured.

mod audit;
mod churn;
mod clock;
mod keys;
mod model;
mod parser;
mod reading;
mod sweeper;
mod threads;
mod world;

/// Whether this run may take minutes: `BALANCER_LONG=1`.
fn long() -> bool {
    std::env::var_os("BALANCER_LONG").is_some_and(|value| value == "1")
}

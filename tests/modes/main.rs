//! Every mode, family, protocol and place of the backends: what clients are promised holds in each. Its results are printed
//! as one table at the end.
//!
//! A lab each for a mode and a place, with both families and both protocols in it. `cargo xtask test modes` takes more
//! clients and transfers of 50 MB.
//!
//! And transfers over a way that is narrower behind the balancer than in front of it, see `narrow`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::{
    fixture::{
        labs,
        mode::Mode,
        trials::{self, Test},
    },
    shape::Backends::{Routed, Segment, TwoSegments},
};

mod backend;
mod course;
mod file;
mod narrow;
mod results;
mod row;

/// Labs side by side: most of a test is waiting, and two cores are enough for two.
const THREADS: usize = 2;

const TESTS: &[Test] = &[
    ("l2dsr_keeps_its_promises_on_one_segment", || course::run("bm-l2-seg-", Mode::L2dsr, Segment)),
    ("l2dsr_keeps_its_promises_over_a_second_interface", || {
        course::run("bm-l2-two-", Mode::L2dsr, TwoSegments)
    }),
    ("ipip_keeps_its_promises_on_one_segment", || course::run("bm-ip-seg-", Mode::Ipip, Segment)),
    ("ipip_keeps_its_promises_behind_a_router", || course::run("bm-ip-far-", Mode::Ipip, Routed)),
    ("nat_keeps_its_promises_on_one_segment", || course::run("bm-nat-seg-", Mode::Nat, Segment)),
    ("nat_keeps_its_promises_behind_a_router", || course::run("bm-nat-far-", Mode::Nat, Routed)),
    ("nat_with_kept_sources_keeps_its_promises_on_one_segment", || {
        course::run("bm-nk-seg-", Mode::NatKeep, Segment)
    }),
    ("nat_with_kept_sources_keeps_its_promises_behind_a_router", || {
        course::run("bm-nk-far-", Mode::NatKeep, Routed)
    }),
];

fn main() -> ExitCode {
    labs::clean_up_on_interrupt();
    let code = trials::run(THREADS, [TESTS, narrow::TESTS].concat());
    results::PROMISES.print();
    narrow::print();
    code
}

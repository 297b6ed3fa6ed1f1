//! A way behind the balancer that carries less than the clients' one: a transfer completes, both ways, for v4 and v6
//! clients, by "fragmentation needed" and "packet too big" alone; and by smaller segments where those are lost.
//!
//! Clients and backends know nothing of it: their own links are as wide as ever, and so is what they announce.

use lab::{
    fixture::{mode::Mode, trials::Test},
    shape::Backends::{self, Routed, Segment, TwoSegments},
};

use crate::results::Results;

mod bench;
mod course;
mod network;

/// Where the way gets narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Narrow {
    /// Nowhere: a tunnel's header alone makes packets too large.
    Header,
    /// At the balancer's own link or route.
    Own,
    /// At a router's far side, of which the balancer knows nothing.
    Further,
}

impl Narrow {
    const fn name(self) -> &'static str {
        match self {
            Self::Header => "the tunnel's header",
            Self::Own => "the balancer's route",
            Self::Further => "further on",
        }
    }
}

static RESULTS: Results =
    Results::new(&["MODE", "NARROW", "FAMILY"], &["CLAMP", "PTB", "PATH MTU OR WHY NOT"]);

/// What cannot be, and why.
const NEVER: &[(Mode, Narrow, &str)] = &[
    (Mode::L2dsr, Narrow::Header, "packets do not grow"),
    (Mode::L2dsr, Narrow::Further, "a backend is on a segment of the balancer: there is no further"),
    (Mode::Nat, Narrow::Header, "packets do not grow"),
    (Mode::NatKeep, Narrow::Header, "packets do not grow"),
];

pub(crate) const TESTS: &[Test] = &[
    ("l2dsr_transfers_over_a_narrow_second_segment", || {
        run("bm-n-l2-", Mode::L2dsr, TwoSegments, Narrow::Own)
    }),
    ("ipip_transfers_though_its_header_does_not_fit", || {
        run("bm-n-ip-seg-", Mode::Ipip, Segment, Narrow::Header)
    }),
    ("ipip_transfers_over_a_narrow_route", || run("bm-n-ip-own-", Mode::Ipip, Routed, Narrow::Own)),
    ("ipip_transfers_over_a_way_that_is_narrow_further_on", || {
        run("bm-n-ip-far-", Mode::Ipip, Routed, Narrow::Further)
    }),
    ("nat_transfers_over_a_narrow_route", || run("bm-n-nat-seg-", Mode::Nat, Segment, Narrow::Own)),
    ("nat_transfers_over_a_way_that_is_narrow_further_on", || {
        run("bm-n-nat-far-", Mode::Nat, Routed, Narrow::Further)
    }),
    ("nat_with_kept_sources_transfers_over_a_narrow_route", || {
        run("bm-n-nk-seg-", Mode::NatKeep, Segment, Narrow::Own)
    }),
    ("nat_with_kept_sources_transfers_over_a_way_that_is_narrow_further_on", || {
        run("bm-n-nk-far-", Mode::NatKeep, Routed, Narrow::Further)
    }),
];

fn run(prefix: &str, mode: Mode, backends: Backends, narrow: Narrow) -> anyhow::Result<()> {
    course::run(prefix, mode, backends, narrow)
}

/// Prints what came of all, if something did.
pub(crate) fn print() {
    if RESULTS.is_empty() {
        return;
    }
    for (mode, narrow, why) in NEVER {
        let names = [mode.name(), narrow.name(), "-"].map(str::to_owned);
        RESULTS.enter((names.into(), ["-", "-", why].map(str::to_owned).into()));
    }
    RESULTS.print();
}

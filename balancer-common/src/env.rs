//! What the shared code asks of the world that it runs in: the kernel, the agent, or a test.

use crate::{
    reason::Reason,
    settings::{Now, Settings},
    table::{TableId, ledger, line::Line},
};

/// A transition of a flow. Whoever's compare-and-swap makes it counts it, once, per backend:
/// live flows = opened + revived − closed − expired − reset, at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// A flow began at this backend.
    Opened,
    /// A live flow ended there by a FIN or RST of the client, or moved away.
    Closed,
    /// A live flow ran out.
    Expired,
    /// A closing flow turned out to be alive.
    Revived,
    /// A live flow was reset.
    Reset,
}

impl Transition {
    /// From its place among them.
    #[inline(always)]
    #[must_use]
    pub const fn from_index(index: u32) -> Option<Self> {
        Some(match index {
            0 => Self::Opened,
            1 => Self::Closed,
            2 => Self::Expired,
            3 => Self::Revived,
            4 => Self::Reset,
            _ => return None,
        })
    }

    /// What it does to the number of its backend's live flows.
    #[inline(always)]
    #[must_use]
    pub const fn delta(self) -> i64 {
        match self {
            Self::Opened | Self::Revived => 1,
            Self::Closed | Self::Expired | Self::Reset => -1,
        }
    }
}

/// Places in a backend's line of counters of a CPU.
pub mod traffic {
    /// Packets but those of the reason `flow`.
    pub const OTHERS: usize = 0;
    /// Bytes of all packets, whole frames.
    pub const BYTES: usize = 1;
    /// The first [`Transition`](super::Transition); the others follow in their order.
    pub const TRANSITIONS: usize = 2;
    /// Packets of the reason `flow`: counted here and nowhere else.
    pub const SETTLED: usize = 7;
}

/// What is seen of a backend whose answers come this way; the value is the place in its line of signals of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// Connections that were begun: a SYN was sent to it.
    Began = 0,
    /// Of these, those that it accepted.
    Accepted = 1,
    /// Microseconds from the SYN to the SYN+ACK, of all that it accepted.
    AcceptedAfter = 2,
    /// Connections that it reset.
    Reset = 3,
    /// Connections that were refused for want of a port.
    OutOfPorts = 4,
}

/// Shared numbers in the one line of [`TableId::Gauges`]; the value is the word's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Gauge {
    /// Fresh TCP flows of v4 clients.
    Fresh4 = 0,
    /// Fresh TCP flows of v6 clients.
    Fresh6 = 1,
    /// UDP flows of v4 clients.
    Udp4 = 2,
    /// UDP flows of v6 clients.
    Udp6 = 3,
    /// Connections of v4 clients that could not be tracked: the table was full, or a bound was reached.
    Untracked4 = 4,
    /// Connections of v6 clients that could not be tracked.
    Untracked6 = 5,
    /// Pins that found no room.
    PinsLost = 6,
}

/// The world: shared lines, time, counters.
pub trait Env: Sized {
    /// Its lines.
    type Line: Line;

    /// What was fixed at load.
    fn settings(&self) -> &Settings;
    /// Line `index` of a table; `None` beyond its end.
    fn line(&self, table: TableId, index: u32) -> Option<&Self::Line>;
    /// Jiffies since boot.
    fn jiffies(&self) -> u64;
    /// Whether an ICMP message may be sent now, which takes note of it: at most one a CPU and jiffy.
    fn may_speak(&self) -> bool;
    /// Adds one to this CPU's, or the agent's, own count of such transitions at a backend.
    fn count_transition(&self, backend: u16, transition: Transition);
    /// Microseconds of a clock that only goes forward, in 32 bits that wrap; for what is off the path of a known flow.
    fn micros(&self) -> u32;
    /// Adds to what is known of a backend whose answers come this way.
    fn signal(&self, backend: u16, signal: Signal, amount: u64);
    /// Counts a packet of `bytes` bytes that goes to a backend, at the backend and under the reason with this index.
    fn forwarded(&self, backend: u16, reason: u32, bytes: u32);
    /// Counts a packet that goes nowhere under the reason with this index.
    fn count_index(&self, index: u32);

    /// Counts a transition of a flow at a backend, and its live flows.
    #[inline(always)]
    fn transition(&self, backend: u16, transition: Transition) {
        self.count_transition(backend, transition);
        ledger::count(self, backend, transition);
    }

    /// Counts a packet's reason.
    #[inline(always)]
    fn count(&self, reason: Reason) {
        self.count_index(reason.index());
    }

    /// The tables' clocks.
    #[inline(always)]
    fn now(&self) -> Now {
        self.settings().now(self.jiffies())
    }

    /// Adds to a gauge.
    #[inline(always)]
    fn gauge(&self, gauge: Gauge, delta: i64) {
        if let Some(line) = self.line(TableId::Gauges, 0) {
            line.add(gauge as usize, delta as u64);
        }
    }

    /// Reads a gauge; what a race made negative counts as nothing.
    #[inline(always)]
    fn gauge_value(&self, gauge: Gauge) -> u32 {
        match self.line(TableId::Gauges, 0) {
            Some(line) => {
                let value = line.load(gauge as usize);
                if value > u32::MAX as u64 { 0 } else { value as u32 }
            }
            None => 0,
        }
    }
}

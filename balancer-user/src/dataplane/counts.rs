//! Counters of backends and reasons: those of the packet path, by CPU, and those of the agent.

use balancer_common::{
    env::{
        Signal, Transition,
        traffic::{BYTES, OTHERS, SETTLED, TRANSITIONS},
    },
    reason::Reason,
    table::{
        ledger,
        line::{HostLine, Line},
    },
};

/// A backend's counters since the maps were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendCounts {
    /// Packets sent to it.
    pub packets: u64,
    /// Those of them that have the reason `flow`.
    pub settled: u64,
    /// Bytes sent to it, whole frames.
    pub bytes: u64,
    /// Flows that began.
    pub opened: u64,
    /// Flows that its clients ended, or that moved away.
    pub closed: u64,
    /// Flows that ran out.
    pub expired: u64,
    /// Closing flows that turned out to be alive.
    pub revived: u64,
    /// Live flows that were reset.
    pub reset: u64,
}

impl BackendCounts {
    /// Flows that live now.
    #[must_use]
    pub fn live(&self) -> u64 {
        (self.opened + self.revived).saturating_sub(self.closed + self.expired + self.reset)
    }

    /// Adds the counters of one CPU.
    pub(super) fn add(&mut self, words: &[u64; 8]) {
        self.packets = self.packets.wrapping_add(words[OTHERS]).wrapping_add(words[SETTLED]);
        self.settled = self.settled.wrapping_add(words[SETTLED]);
        self.bytes = self.bytes.wrapping_add(words[BYTES]);
        self.add_transitions(&words[TRANSITIONS..]);
    }

    /// Adds a line of the ledger.
    pub(super) fn add_agents(&mut self, line: &HostLine) {
        self.add_transitions(&line.snapshot()[ledger::TRANSITIONS..]);
    }

    fn add_transitions(&mut self, words: &[u64]) {
        let transition = |one: Transition| words[one as usize];
        self.opened = self.opened.wrapping_add(transition(Transition::Opened));
        self.closed = self.closed.wrapping_add(transition(Transition::Closed));
        self.expired = self.expired.wrapping_add(transition(Transition::Expired));
        self.revived = self.revived.wrapping_add(transition(Transition::Revived));
        self.reset = self.reset.wrapping_add(transition(Transition::Reset));
    }
}

/// What was seen of a backend whose answers come this way, since the maps were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Connections that were begun: a SYN was sent to it.
    pub began: u64,
    /// Of these, those that it accepted.
    pub accepted: u64,
    /// Microseconds from the SYN to the SYN+ACK, of all that it accepted.
    pub accepted_after: u64,
    /// Connections that it reset.
    pub reset: u64,
    /// Connections that were refused for want of a port.
    pub out_of_ports: u64,
}

impl Signals {
    /// With those of one CPU more.
    pub(super) fn and(self, words: &[u64; 8]) -> Self {
        let with = |sum: u64, signal: Signal| sum.wrapping_add(words[signal as usize]);
        Self {
            began: with(self.began, Signal::Began),
            accepted: with(self.accepted, Signal::Accepted),
            accepted_after: with(self.accepted_after, Signal::AcceptedAfter),
            reset: with(self.reset, Signal::Reset),
            out_of_ports: with(self.out_of_ports, Signal::OutOfPorts),
        }
    }
}

/// Counts a transition in a line of the ledger.
pub(super) fn note(line: &impl Line, transition: Transition) {
    line.add(ledger::TRANSITIONS + transition as usize, 1);
}

/// Where the packet path's counters come from.
pub(super) trait PacketCounters: Send {
    /// Counters of a backend, a set of words for each CPU.
    fn backend(&self, number: u16) -> Vec<[u64; 8]>;
    /// What was seen of a backend's answers, a set of words for each CPU.
    fn signals(&self, number: u16) -> Vec<[u64; 8]>;
    /// Packets with this reason, all CPUs; of the reason `flow` only those to backends whose numbers were freed.
    fn reason(&self, reason: Reason) -> u64;
    /// Clears a backend's counters: its number is given to another.
    fn clear(&mut self, number: u16);
}

/// No packet path: tables in heap memory.
#[derive(Debug)]
pub(super) struct NoPackets;

impl PacketCounters for NoPackets {
    fn backend(&self, _number: u16) -> Vec<[u64; 8]> {
        Vec::new()
    }

    fn signals(&self, _number: u16) -> Vec<[u64; 8]> {
        Vec::new()
    }

    fn reason(&self, _reason: Reason) -> u64 {
        0
    }

    fn clear(&mut self, _number: u16) {}
}

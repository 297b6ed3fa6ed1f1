//! Every map of the program.
//!
//! | map | key → value | who writes | who reads | when full |
//! |---|---|---|---|---|
//! | `FLOWS4/6` | line → bucket of flows | packets; the agent frees | packets, agent | the connection stays embryonic, counted |
//! | `EMBRYONIC4/6` | line → bucket of embryonic flows | packets | packets, agent | the oldest gives way |
//! | `PINS4/6` | line → bucket of pins | packets; the agent frees | packets, agent | the client is not pinned, counted |
//! | `TENTATIVE4/6` | line → bucket of tentative pins | packets | packets | the oldest gives way |
//! | `ROOT` | 0 → which half of the listeners is current | agent | packets | |
//! | `INDEX` | line → listener numbers by hash, two halves | agent | packets | |
//! | `LISTENERS` | number → listener, two halves | agent | packets | |
//! | `SERVICES` | number → Maglev tables and pin timeout | agent | packets | |
//! | `MAGLEV` | line → backend numbers, the pool of all tables | agent | packets | |
//! | `BACKENDS` | number → state, next hop, turns of its resets | agent | packets | |
//! | `INTERFACES` | hash of index → index and MAC address | agent | packets | |
//! | `GAUGES` | 0 → shared numbers | packets, agent | packets, agent | |
//! | `LEDGER` | backend → live flows and their limit; transitions that the agent made | packets and agent the live flows, agent the rest | packets, agent | |
//! | `WAYS` | twice the backend, plus one for v6 clients → what its packets are wrapped in or translated to | agent | packets | |
//! | `PORTS4/6` | line → ports of translated flows that are taken, and that rest | packets, agent | packets, agent | the connection is refused, counted |
//! | `NAT4/6` | line → entries of translated flows | packets | packets, agent | as `PORTS4/6` |
//! | `PROBES` | source port, modulo half its lines → a health check by the datapath that runs | agent; `probe_out`, `probe_in` one word | `probe_out`, `probe_in`, agent | the agent takes another port |
//! | `SPOKEN` | 0 → when this CPU last sent an ICMP message, in jiffies | packets | packets | |
//! | `TRAFFIC` | backend → counters of this CPU | packets | agent | |
//! | `SIGNALS` | backend → what is seen of its answers, on this CPU | packets | agent | |
//! | `REASONS` | reason → packets of this CPU; those of the reason `flow` stand in `TRAFFIC` | packets | agent | |
//!
//! A backend's programs have two of their own, in [`decap`](crate::decap).
//!
//! All but `PROBES` and `SPOKEN`, which end with the agent and the program, are kept in bpffs. All lines are 64 bytes; the
//! sizes here are placeholders, the agent sets them before load. Lines are mmap-able because only then a line is one cache line (a
//! plain array's values start in the middle of one).

use aya_ebpf::{
    btf_maps::{Array, PerCpuArray},
    macros::btf_map,
};

/// `BPF_F_MMAPABLE` (Linux 5.5).
const MMAPABLE: usize = 1 << 10;

/// A table of lines.
pub(crate) type Lines = Array<[u64; 8], 1, MMAPABLE>;

macro_rules! lines {
    ($($name:ident),* $(,)?) => {
        $(#[btf_map]
        pub(crate) static $name: Lines = Array::new();)*
    };
}

lines! {
    FLOWS4, FLOWS6, EMBRYONIC4, EMBRYONIC6, PINS4, PINS6, TENTATIVE4, TENTATIVE6,
    ROOT, INDEX, LISTENERS, SERVICES, MAGLEV, BACKENDS, INTERFACES, GAUGES, LEDGER,
    WAYS, PORTS4, PORTS6, NAT4, NAT6, PROBES,
}

/// Counters of a backend on this CPU: packets but those of the reason `flow`, bytes, opened, closed, expired, revived,
/// reset, packets of the reason `flow`.
#[btf_map]
pub(crate) static TRAFFIC: PerCpuArray<[u64; 8], 1> = PerCpuArray::new();

/// When this CPU last sent an ICMP message, in jiffies.
#[btf_map]
pub(crate) static SPOKEN: PerCpuArray<u64, 1> = PerCpuArray::new();

/// What is seen of a backend whose answers come this way, on this CPU; by [`Signal`](balancer_common::env::Signal).
#[btf_map]
pub(crate) static SIGNALS: PerCpuArray<[u64; 8], 1> = PerCpuArray::new();

/// Packets by reason on this CPU. The agent writes that of `flow`: what backends counted whose numbers were freed.
#[btf_map]
pub(crate) static REASONS: PerCpuArray<u64, 1> = PerCpuArray::new();

//! The tables: lines of 64 bytes in shared memory, and the protocol by which kernel and agent share them.
//!
//! `docs/packet.md` shows their layout. A bucket is one line; a key has two of them, and one in the overflow.

pub mod backend;
pub mod bucket;
pub mod flow;
pub mod hint;
pub mod insert;
pub mod interface;
pub mod key;
pub mod ledger;
pub mod line;
pub mod listener;
pub mod nat;
pub mod origin;
pub mod overflow;
pub mod pin;
pub mod ports;
pub mod schedule;
pub mod service;
pub mod way;
pub mod words;

/// Which array of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableId {
    /// Flows of v4 clients.
    Flows4,
    /// Flows of v6 clients.
    Flows6,
    /// Embryonic flows of v4 clients.
    Embryonic4,
    /// Embryonic flows of v6 clients.
    Embryonic6,
    /// Pins of v4 clients.
    Pins4,
    /// Pins of v6 clients.
    Pins6,
    /// Tentative pins of v4 clients.
    Tentative4,
    /// Tentative pins of v6 clients.
    Tentative6,
    /// One line: which half of the listeners is current, see [`listener::Root`].
    Root,
    /// Packed 16-bit listener numbers by hash, two halves.
    Index,
    /// Listeners by number, two halves.
    Listeners,
    /// Services by number.
    Services,
    /// Packed 16-bit backend numbers, the pool of all Maglev tables.
    Maglev,
    /// Backends by number.
    Backends,
    /// Interfaces, hashed by their index.
    Interfaces,
    /// One line of shared gauges, see [`crate::env::Gauge`].
    Gauges,
    /// Live flows and their limit, and transitions that the agent made, by backend number; see [`ledger`].
    Ledger,
    /// Ways to backends, two lines each: for v4 and for v6 clients; see [`way`].
    Ways,
    /// Ports that translated flows of v4 clients have; see [`ports`].
    Ports4,
    /// Ports that translated flows of v6 clients have.
    Ports6,
    /// What translated flows of v4 clients are translated to; see [`nat`].
    Nat4,
    /// What translated flows of v6 clients are translated to.
    Nat6,
}

impl TableId {
    /// Every table.
    pub const ALL: &'static [Self] = &[
        Self::Flows4,
        Self::Flows6,
        Self::Embryonic4,
        Self::Embryonic6,
        Self::Pins4,
        Self::Pins6,
        Self::Tentative4,
        Self::Tentative6,
        Self::Root,
        Self::Index,
        Self::Listeners,
        Self::Services,
        Self::Maglev,
        Self::Backends,
        Self::Interfaces,
        Self::Gauges,
        Self::Ledger,
        Self::Ways,
        Self::Ports4,
        Self::Ports6,
        Self::Nat4,
        Self::Nat6,
    ];

    /// Name of its map in the object and of its bpffs object.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows4 => "FLOWS4",
            Self::Flows6 => "FLOWS6",
            Self::Embryonic4 => "EMBRYONIC4",
            Self::Embryonic6 => "EMBRYONIC6",
            Self::Pins4 => "PINS4",
            Self::Pins6 => "PINS6",
            Self::Tentative4 => "TENTATIVE4",
            Self::Tentative6 => "TENTATIVE6",
            Self::Root => "ROOT",
            Self::Index => "INDEX",
            Self::Listeners => "LISTENERS",
            Self::Services => "SERVICES",
            Self::Maglev => "MAGLEV",
            Self::Backends => "BACKENDS",
            Self::Interfaces => "INTERFACES",
            Self::Gauges => "GAUGES",
            Self::Ledger => "LEDGER",
            Self::Ways => "WAYS",
            Self::Ports4 => "PORTS4",
            Self::Ports6 => "PORTS6",
            Self::Nat4 => "NAT4",
            Self::Nat6 => "NAT6",
        }
    }
}

/// 16-bit numbers that one line of [`TableId::Index`] or [`TableId::Maglev`] packs.
pub const NUMBERS_PER_LINE: u32 = 32;

/// Reads one packed 16-bit number out of a line.
#[inline(always)]
pub fn packed_number<L: line::Line>(line: &L, place: u32) -> u16 {
    let place = place % NUMBERS_PER_LINE;
    line.load_quarter(place as usize)
}

//! Listeners: the front-end addresses of services, found by a perfect hash that the agent builds.
//!
//! [`Root`] names the half of the index and of the listeners that is current, and the seed under which no two
//! keys of that half meet, so that one look at the index and one at the line decide.

use super::line::Line;
use crate::{
    hash::{HashKey, reduce},
    state::{AffinityBy, OnExpire, OnNone, Proto},
};

mod find;

pub use find::{by_number, find, find_for_packet, is_service_address, root};

/// Listeners that there can be, the number 0 included, which names none.
pub const MAX_LISTENERS: u32 = 4096;
/// Places of one half of the index; with 4,095 keys a seed without a collision takes some 3,000 tries.
pub const INDEX_PLACES: u32 = 1 << 20;

/// A service address as two words in memory order (network order, loaded natively); v4 as `::ffff:a.b.c.d`.
pub type WideAddress = [u64; 2];

/// The wide form of a v4 address (network order loaded natively).
#[inline(always)]
#[must_use]
pub const fn wide4(address: u32) -> WideAddress {
    [0, (address as u64) << 32 | 0xffff_0000]
}

/// What is looked up: address, port (0 = any), protocol (0 with port 0: the address itself).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerKey {
    /// Service address.
    pub address: WideAddress,
    /// Port, host order; 0 for a wildcard listener and for the address itself.
    pub port: u16,
    /// IP protocol number; 0 for the address itself.
    pub proto: u8,
}

impl ListenerKey {
    /// The key that says "this is a service address", whatever the port.
    #[inline(always)]
    #[must_use]
    pub const fn address_itself(address: WideAddress) -> Self {
        Self { address, port: 0, proto: 0 }
    }

    /// Place in one half of the index, under a root's seed.
    #[inline(always)]
    #[must_use]
    pub fn place(&self, key: &HashKey, root: Root) -> u32 {
        let hash = key
            .start()
            .piece::<0>(self.address[0] as u32)
            .piece::<1>((self.address[0] >> 32) as u32)
            .piece::<2>(self.address[1] as u32)
            .piece::<3>((self.address[1] >> 32) as u32)
            .piece::<4>(self.port as u32 | (self.proto as u32) << 16)
            .finish_short(root.seed());
        reduce(hash, root.places())
    }
}

/// The word that readers follow: half 1 · any wildcards 1 · log2 of the places 6 · any origins 1, seed at bit 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Root(pub u64);

impl Root {
    /// From its parts; `log2_places` is at most 20.
    #[must_use]
    pub const fn new(half: u32, wildcards: bool, log2_places: u32, seed: u32) -> Self {
        Self(half as u64 & 1 | (wildcards as u64) << 1 | (log2_places as u64 & 63) << 2 | (seed as u64) << 32)
    }

    /// The current half, 0 or 1.
    #[inline(always)]
    #[must_use]
    pub const fn half(self) -> u32 {
        self.0 as u32 & 1
    }

    /// Whether any listener takes every port.
    #[inline(always)]
    #[must_use]
    pub const fn wildcards(self) -> bool {
        self.0 & 2 != 0
    }

    /// The same, where answers of backends are translated back: the [origins](super::origin) stand in the index too.
    #[must_use]
    pub const fn with_origins(self, origins: bool) -> Self {
        Self(self.0 & !Self::ORIGINS | if origins { Self::ORIGINS } else { 0 })
    }

    const ORIGINS: u64 = 1 << 8;

    /// Whether answers of backends are translated back.
    #[inline(always)]
    #[must_use]
    pub const fn origins(self) -> bool {
        self.0 & Self::ORIGINS != 0
    }

    /// Places of the half that are in use.
    #[inline(always)]
    #[must_use]
    pub const fn places(self) -> u32 {
        1 << (self.0 >> 2 & 31)
    }

    /// Seed of the perfect hash.
    #[inline(always)]
    #[must_use]
    pub const fn seed(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// All that a packet needs to know of its listener and service, as the agent writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerEntry {
    /// What it listens on.
    pub key: ListenerKey,
    /// Its number, which is also its line.
    pub listener: u16,
    /// Number of its service; 0 for an address itself.
    pub service: u16,
    /// What affinity goes by.
    pub by: AffinityBy,
    /// Hash of the service's name: makes services differ in Maglev, the same on every host.
    pub salt: u32,
    /// Slots of the service's Maglev table.
    pub maglev_size: u32,
    /// Pin timeout in pin ticks, at most 24 bits.
    pub affinity_timeout: u32,
    /// Leading bits of a client's v4 address.
    pub v4_prefix: u8,
    /// Leading bits of a client's v6 address.
    pub v6_prefix: u8,
    /// Idle timeouts in flow ticks.
    pub timeouts: TimeoutTicks,
    /// What becomes of a new connection that nobody can serve.
    pub on_none: OnNone,
    /// What becomes of a flow that has run out.
    pub on_expire: OnExpire,
    /// Whether its packets are translated (mode `nat`).
    pub nat: bool,
    /// What becomes of an echo request; only in the line of an address itself.
    pub echo: Echo,
}

/// What becomes of an ICMP echo request to a service address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Echo {
    /// It is the host's.
    #[default]
    Pass,
    /// It is answered here.
    Answer,
    /// Nobody answers: too few backends are ready.
    Drop,
}

/// Idle timeouts in flow ticks, at most 15 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutTicks {
    /// Fresh and embryonic flows.
    pub syn: u16,
    /// Established TCP flows.
    pub established: u16,
    /// Closing TCP flows.
    pub closing: u16,
    /// UDP flows.
    pub udp: u16,
}

const FLAG_BY_CLIENT: u64 = 1;
const FLAG_REFUSES: u64 = 2;
const FLAG_RESETS_EXPIRED: u64 = 4;
const FLAG_NAT: u64 = 8;
const FLAG_ECHO_ANSWERED: u64 = 16;
const FLAG_ECHO_DROPPED: u64 = 32;

impl ListenerEntry {
    /// The line: address 16 · (port 16, protocol 8, flags 8, listener 16, service 16) · (salt 32, affinity
    /// timeout 32) · (syn, established, closing, udp: 16 each) · (Maglev size 32, v4 mask 32) · v6 mask 16.
    #[must_use]
    pub fn words(&self) -> [u64; 8] {
        let flag = |is: bool, flag: u64| if is { flag } else { 0 };
        let flags = flag(self.by == AffinityBy::Client, FLAG_BY_CLIENT)
            | flag(self.on_none == OnNone::Reset, FLAG_REFUSES)
            | flag(self.on_expire == OnExpire::Reset, FLAG_RESETS_EXPIRED)
            | flag(self.nat, FLAG_NAT)
            | flag(self.echo == Echo::Answer, FLAG_ECHO_ANSWERED)
            | flag(self.echo == Echo::Drop, FLAG_ECHO_DROPPED);
        let names = u64::from(self.key.port)
            | u64::from(self.key.proto) << 16
            | flags << 24
            | u64::from(self.listener) << 32
            | u64::from(self.service) << 48;
        let t = self.timeouts;
        let timeouts = u64::from(t.syn)
            | u64::from(t.established) << 16
            | u64::from(t.closing) << 32
            | u64::from(t.udp) << 48;
        let v4_mask = u32::MAX.checked_shl(32 - u32::from(self.v4_prefix)).unwrap_or(0).to_be();
        let v6_mask = u128::MAX.checked_shl(128 - u32::from(self.v6_prefix)).unwrap_or(0);
        [
            self.key.address[0],
            self.key.address[1],
            names,
            u64::from(self.salt) | u64::from(self.affinity_timeout) << 32,
            timeouts,
            u64::from(self.maglev_size) | u64::from(v4_mask) << 32,
            ((v6_mask >> 64) as u64).to_be(),
            (v6_mask as u64).to_be(),
        ]
    }
}

/// A listener's line, read field by field.
#[derive(Debug)]
pub struct Listener<'a, L>(pub &'a L);

impl<L> Clone for Listener<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Listener<'_, L> {}

impl<L: Line> Listener<'_, L> {
    /// Whether this line is for the key.
    #[inline(always)]
    #[must_use]
    pub fn is_for(&self, key: &ListenerKey) -> bool {
        self.0.load_half(4) & 0x00ff_ffff == key.port as u32 | (key.proto as u32) << 16
            && self.0.load(1) == key.address[1]
            && self.0.load(0) == key.address[0]
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> ListenerKey {
        let half = self.0.load_half(4);
        ListenerKey {
            address: [self.0.load(0), self.0.load(1)],
            port: half as u16,
            proto: (half >> 16) as u8,
        }
    }

    /// The port that it listens on, host order; 0 = every one.
    #[inline(always)]
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.load_quarter(8)
    }

    /// Whether it takes every port.
    #[inline(always)]
    #[must_use]
    pub fn wildcard(&self) -> bool {
        self.0.load_quarter(8) == 0
    }

    /// The transport protocol.
    #[must_use]
    pub fn proto(&self) -> Option<Proto> {
        Proto::from_code((self.0.load_half(4) >> 16) as u8)
    }

    /// Whether it listens for this transport protocol.
    #[inline(always)]
    #[must_use]
    pub fn is_of(&self, proto: u8) -> bool {
        (self.0.load_half(4) >> 16) as u8 == proto
    }

    /// Whether clients are pinned.
    #[inline(always)]
    #[must_use]
    pub fn by_client(&self) -> bool {
        self.0.load(2) >> 24 & FLAG_BY_CLIENT != 0
    }

    /// Whether a new connection that nobody can serve is refused, rather than dropped.
    #[inline(always)]
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.0.load(2) >> 24 & FLAG_REFUSES != 0
    }

    /// Whether a TCP flow that has run out is reset.
    #[must_use]
    pub fn resets_expired(&self) -> bool {
        self.0.load(2) >> 24 & FLAG_RESETS_EXPIRED != 0
    }

    /// Whether its packets are translated.
    #[inline(always)]
    #[must_use]
    pub fn nat(&self) -> bool {
        self.0.load(2) >> 24 & FLAG_NAT != 0
    }

    /// What becomes of an echo request, in the line of an address itself.
    #[inline(always)]
    #[must_use]
    pub fn echo(&self) -> Echo {
        let flags = self.0.load(2) >> 24;
        if flags & FLAG_ECHO_ANSWERED != 0 {
            Echo::Answer
        } else if flags & FLAG_ECHO_DROPPED != 0 {
            Echo::Drop
        } else {
            Echo::Pass
        }
    }

    /// Its number.
    #[inline(always)]
    #[must_use]
    pub fn number(&self) -> u16 {
        self.0.load_quarter(10)
    }

    /// Number of its service.
    #[inline(always)]
    #[must_use]
    pub fn service(&self) -> u16 {
        self.0.load_quarter(11)
    }

    /// Hash of the service's name.
    #[inline(always)]
    #[must_use]
    pub fn salt(&self) -> u32 {
        self.0.load_half(6)
    }

    /// Pin timeout in pin ticks.
    #[inline(always)]
    #[must_use]
    pub fn affinity_timeout(&self) -> u32 {
        self.0.load_half(7)
    }

    /// Idle timeouts in flow ticks.
    #[inline(always)]
    #[must_use]
    pub fn timeouts(&self) -> TimeoutTicks {
        let word = self.0.load(4);
        TimeoutTicks {
            syn: word as u16,
            established: (word >> 16) as u16,
            closing: (word >> 32) as u16,
            udp: (word >> 48) as u16,
        }
    }

    /// Slots of the service's Maglev table.
    #[inline(always)]
    #[must_use]
    pub fn maglev_size(&self) -> u32 {
        self.0.load_half(10)
    }

    /// Mask of a v4 client (network order loaded natively).
    #[inline(always)]
    #[must_use]
    pub fn v4_mask(&self) -> u32 {
        self.0.load_half(11)
    }

    /// Mask of a v6 client (network order loaded natively).
    #[inline(always)]
    #[must_use]
    pub fn v6_mask(&self) -> [u64; 2] {
        [self.0.load(6), self.0.load(7)]
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;

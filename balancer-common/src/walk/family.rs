//! The two address families: their tables, keys and masks.

use super::{notice::Notice, rewrite::Places, tunnel::Inner};
use crate::{
    checksum::ChecksumUpdate,
    env::{Env, Gauge},
    hash::Hash,
    packet::Packet,
    parse::{IpHeader, transport::Segment},
    settings::{Settings, Sizes},
    table::{
        TableId,
        bucket::{KeyOf, Table},
        key::{FlowSlots4, FlowSlots6, PinSlots4, PinSlots6, Slots},
        line::Line,
        listener::{Listener, WideAddress},
        nat::Entry,
        pin::PinService,
        way::Words,
        words::{FlowWord, PinWord},
    },
};

mod v4;
mod v6;

pub use v4::V4;
pub use v6::V6;

macro_rules! table {
    ($(#[$meta:meta])* $name:ident, $slots:ty, $id:ident, $small:literal, $sizes:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Table for $name {
            type Slots = $slots;
            const ID: TableId = TableId::$id;
            const SMALL: bool = $small;

            #[inline(always)]
            fn sizes(settings: &Settings) -> &Sizes {
                &settings.$sizes
            }
        }
    };
}

table!(/// Flows of v4 clients.
    Flows4, FlowSlots4, Flows4, false, flows4);
table!(/// Embryonic flows of v4 clients.
    Embryonic4, FlowSlots4, Embryonic4, true, flows4);
table!(/// Pins of v4 clients.
    Pins4, PinSlots4, Pins4, false, pins4);
table!(/// Tentative pins of v4 clients.
    Tentative4, PinSlots4, Tentative4, true, pins4);
table!(/// Flows of v6 clients.
    Flows6, FlowSlots6, Flows6, false, flows6);
table!(/// Embryonic flows of v6 clients.
    Embryonic6, FlowSlots6, Embryonic6, true, flows6);
table!(/// Pins of v6 clients.
    Pins6, PinSlots6, Pins6, false, pins6);
table!(/// Tentative pins of v6 clients.
    Tentative6, PinSlots6, Tentative6, true, pins6);

/// An address family.
pub trait Family: Copy + core::fmt::Debug {
    /// An address, network order loaded natively.
    type Address: Copy + PartialEq + core::fmt::Debug;
    /// How its flow tables hold slots.
    type FlowSlots: Slots<Word = FlowWord>;
    /// How its pin tables hold slots.
    type PinSlots: Slots<Word = PinWord, Key: PinService>;
    /// Its flows.
    type Flows: Table<Slots = Self::FlowSlots>;
    /// Its embryonic flows.
    type Embryonic: Table<Slots = Self::FlowSlots>;
    /// Its pins.
    type Pins: Table<Slots = Self::PinSlots>;
    /// Its tentative pins.
    type Tentative: Table<Slots = Self::PinSlots>;
    /// Whether it is IPv4.
    const IS_V4: bool;
    /// Gauge of its fresh flows.
    const FRESH: Gauge;
    /// Gauge of its UDP flows.
    const UDP: Gauge;
    /// Gauge of its connections that could not be tracked.
    const UNTRACKED: Gauge;

    /// The address in 16 bytes, as listeners have it.
    fn wide(address: Self::Address) -> WideAddress;
    /// Key of a flow.
    fn flow_key(source: Self::Address, sport: u16, listener: u16, dport: u16) -> KeyOf<Self::Flows>;
    /// Key of a client's pin.
    fn pin_key(client: Self::Address, service: u16) -> KeyOf<Self::Pins>;
    /// The client of a flow: its source address, unmasked.
    fn client_of(key: &KeyOf<Self::Flows>) -> Self::Address;
    /// Source port of a flow.
    fn sport_of(key: &KeyOf<Self::Flows>) -> u16;
    /// Number of the listener of a flow.
    fn listener_of(key: &KeyOf<Self::Flows>) -> u16;
    /// The client prefix of a pin.
    fn pinned_client(key: &KeyOf<Self::Pins>) -> Self::Address;
    /// The part of an address that makes a client.
    fn mask<L: Line>(address: Self::Address, listener: Listener<'_, L>) -> Self::Address;
    /// Adds an address to a hash, at places 0 to 3.
    fn hash(hash: Hash<'_>, address: Self::Address) -> Hash<'_>;

    /// Bytes of an IP header and a RST.
    const RST: u32;
    /// Writes, from the IP header at `at` on, the RST that answers a segment; whether it fits.
    fn write_rst<P: Packet>(packet: &mut P, segment: &Segment<Self::Address>, at: u32) -> bool;

    /// Bytes of an ICMP message about a packet.
    const NOTICE: u32;
    /// Its words.
    type NoticeWords;
    /// The message about the packet whose IP header is at `at`, if it may be spoken of.
    fn notice<P: Packet>(packet: &P, at: u32, notice: Notice) -> Option<Self::NoticeWords>;
    /// Writes it from `at` on; whether it fits.
    fn write_notice<P: Packet>(packet: &mut P, at: u32, message: &Self::NoticeWords) -> bool;

    /// Ports of its translated flows.
    const PORTS: TableId;
    /// The address of these 16 bytes.
    fn narrow(wide: WideAddress) -> Self::Address;
    /// Bytes of the packet whose IP header is at `at`.
    fn size<P: Packet>(packet: &P, at: u32) -> Option<u32>;
    /// TTL or hop limit in the IP header at `at`; 0 if it is not there.
    fn hops<P: Packet>(packet: &P, at: u32) -> u8;
    /// An address as ways have it.
    fn words(address: Self::Address) -> Words;
    /// The address in these words.
    fn of_words(words: Words) -> Self::Address;
    /// The entry of a translated flow.
    fn entry<E: Env>(env: &E, number: u32) -> Option<Entry<'_, E::Line>>;
    /// Writes whose an entry is.
    fn own<L: Line>(entry: Entry<'_, L>, client: Self::Address, sport: u16, listener: u16);
    /// The client's address and port, and the listener's number, of an entry.
    fn owner<L: Line>(entry: Entry<'_, L>) -> (Self::Address, u16, u16);
    /// Where its addresses stand in an IP header.
    const PLACES: Places;
    /// Puts an address in another's place, at `at`: what that does to a sum.
    fn put<P: Packet>(packet: &mut P, at: u32, new: Self::Address) -> Option<ChecksumUpdate>;

    /// Puts other addresses into the IP header at `at`, with one hop fewer: what the addresses do to a sum.
    fn readdress<P: Packet>(
        packet: &mut P,
        at: u32,
        source: impl FnOnce() -> Self::Address,
        destination: impl FnOnce() -> Self::Address,
    ) -> Option<ChecksumUpdate>;

    /// Mends the checksum of the quoted IP header at `at`, whose addresses have changed the sum so; whether it is there.
    fn mend_quoted<P: Packet>(packet: &mut P, at: u32, addresses: ChecksumUpdate) -> bool;

    /// The address at `at`.
    fn address_at<P: Packet>(packet: &P, at: u32) -> Option<Self::Address>;
    /// Type and code of an echo reply.
    const ECHO_REPLY: u16;
    /// Whether an address is that of one host, which may be answered.
    fn is_one_host(address: Self::Address) -> bool;
    /// Gives the IP header at `at` the hops of an answer; whether it is there.
    fn renew<P: Packet>(packet: &mut P, at: u32) -> bool;

    /// What an outer header needs to know of the packet whose IP header is at `at`, of the flow with these ports.
    fn inner<P: Packet>(packet: &P, at: u32, ports: u32) -> Option<Inner>;
    /// Takes one off the TTL or hop limit (not 0) in the IP header at `at`, of which nothing else changes; whether it is there.
    fn hop<P: Packet>(packet: &mut P, at: u32) -> bool;
    /// Takes one off the TTL or hop limit in the IP header at `at`, whose addresses have changed the sum so; whether it is
    /// there.
    fn age<P: Packet>(packet: &mut P, at: u32, addresses: ChecksumUpdate) -> bool;

    /// Reads an IP header.
    fn parse<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<Self::Address>>;

    /// Reads an IP header of a packet that may be cut off behind it.
    fn parse_quoted<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<Self::Address>>;

    /// Key of the flow that a segment belongs to.
    #[inline(always)]
    fn segment_key<L: Line>(
        segment: &Segment<Self::Address>,
        listener: Listener<'_, L>,
    ) -> KeyOf<Self::Flows> {
        Self::numbered_key(segment, listener, listener.number())
    }

    /// As [`Family::segment_key`], where the listener's number is known already.
    #[inline(always)]
    fn numbered_key<L: Line>(
        segment: &Segment<Self::Address>,
        listener: Listener<'_, L>,
        number: u16,
    ) -> KeyOf<Self::Flows> {
        let dport = if listener.wildcard() { segment.dport } else { 0 };
        Self::flow_key(segment.source, segment.sport, number, dport)
    }
}

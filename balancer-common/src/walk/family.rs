//! The two address families: their tables, keys and masks.

use super::{
    answer, errors,
    notice::{self, Notice},
    rewrite::{self, Places},
    tunnel::{self, Inner},
};
use crate::{
    checksum::ChecksumUpdate,
    env::{Env, Gauge},
    hash::Hash,
    packet::{Packet, View as _},
    parse::{IpHeader, ipv4, ipv6, transport::Segment},
    settings::{Settings, Sizes},
    table::{
        TableId,
        bucket::{KeyOf, Table},
        key::{FlowKey4, FlowKey6, FlowSlots4, FlowSlots6, PinKey4, PinKey6, PinSlots4, PinSlots6, Slots},
        line::Line,
        listener::{Listener, WideAddress, wide4},
        nat::{self, Entry},
        pin::PinService,
        way::Words,
        words::{FlowWord, PinWord},
    },
};

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

    /// What an outer header needs to know of the packet whose IP header is at `at`.
    fn inner<P: Packet>(packet: &P, at: u32) -> Option<Inner>;
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

/// IPv4.
#[derive(Clone, Copy, Debug)]
pub struct V4;

impl Family for V4 {
    type Address = u32;
    type FlowSlots = FlowSlots4;
    type PinSlots = PinSlots4;
    type Flows = Flows4;
    type Embryonic = Embryonic4;
    type Pins = Pins4;
    type Tentative = Tentative4;
    const IS_V4: bool = true;
    const FRESH: Gauge = Gauge::Fresh4;
    const UDP: Gauge = Gauge::Udp4;
    const UNTRACKED: Gauge = Gauge::Untracked4;

    const RST: u32 = 40;

    #[inline(always)]
    fn write_rst<P: Packet>(packet: &mut P, segment: &Segment<u32>, at: u32) -> bool {
        packet.store_words(at, &answer::rst4(segment))
    }

    const NOTICE: u32 = 4 * notice::WORDS4 as u32;
    type NoticeWords = [u32; notice::WORDS4];

    #[inline(always)]
    fn notice<P: Packet>(packet: &P, at: u32, notice: Notice) -> Option<Self::NoticeWords> {
        notice::message4(notice::quote::<28, 7, P>(packet, at)?, notice)
    }

    #[inline(always)]
    fn inner<P: Packet>(packet: &P, at: u32) -> Option<Inner> {
        tunnel::inner4(packet, at)
    }

    const PORTS: TableId = TableId::Ports4;
    const ECHO_REPLY: u16 = 0;

    #[inline(always)]
    fn address_at<P: Packet>(packet: &P, at: u32) -> Option<u32> {
        Some(packet.view::<4>(at)?.u32(0))
    }

    #[inline(always)]
    fn is_one_host(address: u32) -> bool {
        let first = address.to_ne_bytes()[0];
        first != 0 && first != 127 && first < 224
    }

    #[inline(always)]
    fn renew<P: Packet>(packet: &mut P, at: u32) -> bool {
        rewrite::renew4(packet, at, answer::TTL)
    }

    #[inline(always)]
    fn mend_quoted<P: Packet>(packet: &mut P, at: u32, addresses: ChecksumUpdate) -> bool {
        errors::mend(packet, at + 10, addresses)
    }
    const PLACES: Places = Places { source: 12, destination: 16 };

    #[inline(always)]
    fn size<P: Packet>(packet: &P, at: u32) -> Option<u32> {
        Some(u32::from(packet.view::<20>(at)?.be16(2)))
    }

    #[inline(always)]
    fn narrow([_, low]: WideAddress) -> u32 {
        (low >> 32) as u32
    }

    #[inline(always)]
    fn hops<P: Packet>(packet: &P, at: u32) -> u8 {
        packet.view::<20>(at).map_or(0, |header| header.u8(8))
    }

    #[inline(always)]
    fn words(address: u32) -> Words {
        [address, 0, 0, 0]
    }

    #[inline(always)]
    fn of_words(words: Words) -> u32 {
        words[0]
    }

    #[inline(always)]
    fn entry<E: Env>(env: &E, number: u32) -> Option<Entry<'_, E::Line>> {
        nat::find4(env, number)
    }

    #[inline(always)]
    fn own<L: Line>(entry: Entry<'_, L>, client: u32, sport: u16, listener: u16) {
        entry.set_owner(u64::from(client) | u64::from(sport) << 32 | u64::from(listener) << 48);
    }

    #[inline(always)]
    fn owner<L: Line>(entry: Entry<'_, L>) -> (u32, u16, u16) {
        let owner = entry.owner();
        (owner as u32, (owner >> 32) as u16, (owner >> 48) as u16)
    }

    #[inline(always)]
    fn put<P: Packet>(packet: &mut P, at: u32, new: u32) -> Option<ChecksumUpdate> {
        rewrite::put4(packet, at, new)
    }

    #[inline(always)]
    fn readdress<P: Packet>(
        packet: &mut P,
        at: u32,
        source: impl FnOnce() -> u32,
        destination: impl FnOnce() -> u32,
    ) -> Option<ChecksumUpdate> {
        rewrite::readdress4(packet, at, source(), destination())
    }

    #[inline(always)]
    fn age<P: Packet>(packet: &mut P, at: u32, addresses: ChecksumUpdate) -> bool {
        rewrite::age4(packet, at, addresses)
    }

    #[inline(always)]
    fn write_notice<P: Packet>(packet: &mut P, at: u32, message: &Self::NoticeWords) -> bool {
        packet.store_words(at, message)
    }

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<u32>> {
        ipv4::parse(packet, at)
    }

    #[inline(always)]
    fn parse_quoted<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<Self::Address>> {
        ipv4::parse_quoted(packet, at)
    }

    #[inline(always)]
    fn wide(address: u32) -> WideAddress {
        wide4(address)
    }

    #[inline(always)]
    fn flow_key(source: u32, sport: u16, listener: u16, dport: u16) -> FlowKey4 {
        FlowKey4::new(source, sport, listener, dport)
    }

    #[inline(always)]
    fn pin_key(client: u32, service: u16) -> PinKey4 {
        PinKey4::new(client, service)
    }

    #[inline(always)]
    fn client_of(key: &FlowKey4) -> u32 {
        key.source()
    }

    #[inline(always)]
    fn sport_of(key: &FlowKey4) -> u16 {
        key.sport()
    }

    #[inline(always)]
    fn listener_of(key: &FlowKey4) -> u16 {
        key.listener()
    }

    #[inline(always)]
    fn pinned_client(key: &PinKey4) -> u32 {
        key.client()
    }

    #[inline(always)]
    fn mask<L: Line>(address: u32, listener: Listener<'_, L>) -> u32 {
        address & listener.v4_mask()
    }

    #[inline(always)]
    fn hash(hash: Hash<'_>, address: u32) -> Hash<'_> {
        hash.piece::<0>(address)
    }
}

/// IPv6.
#[derive(Clone, Copy, Debug)]
pub struct V6;

impl Family for V6 {
    type Address = [u64; 2];
    type FlowSlots = FlowSlots6;
    type PinSlots = PinSlots6;
    type Flows = Flows6;
    type Embryonic = Embryonic6;
    type Pins = Pins6;
    type Tentative = Tentative6;
    const IS_V4: bool = false;
    const FRESH: Gauge = Gauge::Fresh6;
    const UDP: Gauge = Gauge::Udp6;
    const UNTRACKED: Gauge = Gauge::Untracked6;

    const RST: u32 = 60;

    #[inline(always)]
    fn write_rst<P: Packet>(packet: &mut P, segment: &Segment<[u64; 2]>, at: u32) -> bool {
        packet.store_words(at, &answer::rst6(segment))
    }

    const NOTICE: u32 = 4 * notice::WORDS6 as u32;
    type NoticeWords = [u32; notice::WORDS6];

    #[inline(always)]
    fn notice<P: Packet>(packet: &P, at: u32, notice: Notice) -> Option<Self::NoticeWords> {
        notice::message6(notice::quote::<48, 12, P>(packet, at)?, notice)
    }

    #[inline(always)]
    fn inner<P: Packet>(packet: &P, at: u32) -> Option<Inner> {
        tunnel::inner6(packet, at)
    }

    const PORTS: TableId = TableId::Ports6;
    const ECHO_REPLY: u16 = 129 << 8;

    #[inline(always)]
    fn address_at<P: Packet>(packet: &P, at: u32) -> Option<[u64; 2]> {
        let address = packet.view::<16>(at)?;
        Some([address.u64(0), address.u64(8)])
    }

    #[inline(always)]
    fn is_one_host([high, _]: [u64; 2]) -> bool {
        high.to_ne_bytes()[0] != 0xff && high != 0
    }

    #[inline(always)]
    fn renew<P: Packet>(packet: &mut P, at: u32) -> bool {
        rewrite::renew6(packet, at, answer::TTL)
    }

    // It has none.
    #[inline(always)]
    fn mend_quoted<P: Packet>(_packet: &mut P, _at: u32, _addresses: ChecksumUpdate) -> bool {
        true
    }
    const PLACES: Places = Places { source: 8, destination: 24 };

    #[inline(always)]
    fn size<P: Packet>(packet: &P, at: u32) -> Option<u32> {
        Some(40 + u32::from(packet.view::<40>(at)?.be16(4)))
    }

    #[inline(always)]
    fn narrow([high, low]: WideAddress) -> [u64; 2] {
        [high, low]
    }

    #[inline(always)]
    fn hops<P: Packet>(packet: &P, at: u32) -> u8 {
        packet.view::<40>(at).map_or(0, |header| header.u8(7))
    }

    #[inline(always)]
    fn words([high, low]: [u64; 2]) -> Words {
        [high as u32, (high >> 32) as u32, low as u32, (low >> 32) as u32]
    }

    #[inline(always)]
    fn of_words([a, b, c, d]: Words) -> [u64; 2] {
        [u64::from(a) | u64::from(b) << 32, u64::from(c) | u64::from(d) << 32]
    }

    #[inline(always)]
    fn entry<E: Env>(env: &E, number: u32) -> Option<Entry<'_, E::Line>> {
        nat::find6(env, number)
    }

    #[inline(always)]
    fn own<L: Line>(entry: Entry<'_, L>, client: [u64; 2], sport: u16, listener: u16) {
        entry.set_client6(client);
        entry.set_owner(u64::from(sport) << 32 | u64::from(listener) << 48);
    }

    #[inline(always)]
    fn owner<L: Line>(entry: Entry<'_, L>) -> ([u64; 2], u16, u16) {
        let owner = entry.owner();
        (entry.client6(), (owner >> 32) as u16, (owner >> 48) as u16)
    }

    #[inline(always)]
    fn put<P: Packet>(packet: &mut P, at: u32, new: [u64; 2]) -> Option<ChecksumUpdate> {
        rewrite::put6(packet, at, new)
    }

    #[inline(always)]
    fn readdress<P: Packet>(
        packet: &mut P,
        at: u32,
        source: impl FnOnce() -> [u64; 2],
        destination: impl FnOnce() -> [u64; 2],
    ) -> Option<ChecksumUpdate> {
        rewrite::readdress6(packet, at, source, destination)
    }

    #[inline(always)]
    fn age<P: Packet>(packet: &mut P, at: u32, _addresses: ChecksumUpdate) -> bool {
        rewrite::age6(packet, at)
    }

    #[inline(always)]
    fn write_notice<P: Packet>(packet: &mut P, at: u32, message: &Self::NoticeWords) -> bool {
        packet.store_words(at, message)
    }

    #[inline(always)]
    fn parse<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<[u64; 2]>> {
        ipv6::parse(packet, at)
    }

    #[inline(always)]
    fn parse_quoted<P: Packet>(packet: &P, at: u32) -> Option<IpHeader<Self::Address>> {
        ipv6::parse_quoted(packet, at)
    }

    #[inline(always)]
    fn wide(address: [u64; 2]) -> WideAddress {
        address
    }

    #[inline(always)]
    fn flow_key(source: [u64; 2], sport: u16, listener: u16, dport: u16) -> FlowKey6 {
        FlowKey6::new(source, sport, listener, dport)
    }

    #[inline(always)]
    fn pin_key(client: [u64; 2], service: u16) -> PinKey6 {
        PinKey6::new(client, service)
    }

    #[inline(always)]
    fn client_of(key: &FlowKey6) -> [u64; 2] {
        key.source()
    }

    #[inline(always)]
    fn sport_of(key: &FlowKey6) -> u16 {
        key.sport()
    }

    #[inline(always)]
    fn listener_of(key: &FlowKey6) -> u16 {
        key.listener()
    }

    #[inline(always)]
    fn pinned_client(key: &PinKey6) -> [u64; 2] {
        key.client()
    }

    #[inline(always)]
    fn mask<L: Line>(address: [u64; 2], listener: Listener<'_, L>) -> [u64; 2] {
        let mask = listener.v6_mask();
        [address[0] & mask[0], address[1] & mask[1]]
    }

    #[inline(always)]
    fn hash(hash: Hash<'_>, address: [u64; 2]) -> Hash<'_> {
        hash.piece::<0>(address[0] as u32)
            .piece::<1>((address[0] >> 32) as u32)
            .piece::<2>(address[1] as u32)
            .piece::<3>((address[1] >> 32) as u32)
    }
}

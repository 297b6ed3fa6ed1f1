//! IPv4.

use super::{Embryonic4, Family, Flows4, Pins4, Tentative4};
use crate::{
    checksum::ChecksumUpdate,
    env::{Env, Gauge},
    hash::Hash,
    packet::{Packet, View as _},
    parse::{IpHeader, ipv4, transport::Segment},
    table::{
        TableId,
        key::{FlowKey4, FlowSlots4, PinKey4, PinSlots4},
        line::Line,
        listener::{Listener, WideAddress, wide4},
        nat::{self, Entry},
        way::Words,
    },
    walk::{
        answer, errors,
        notice::{self, Notice},
        rewrite::{self, Places},
        tunnel::{self, Inner},
    },
};

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
    fn inner<P: Packet>(packet: &P, at: u32, ports: u32) -> Option<Inner> {
        tunnel::inner4(packet, at, ports)
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
    fn hop<P: Packet>(packet: &mut P, at: u32) -> bool {
        rewrite::hop4(packet, at)
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

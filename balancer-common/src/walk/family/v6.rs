//! IPv6.

use super::{Embryonic6, Family, Flows6, Pins6, Tentative6};
use crate::{
    checksum::ChecksumUpdate,
    env::{Env, Gauge},
    hash::Hash,
    packet::{Packet, View as _},
    parse::{IpHeader, ipv6, transport::Segment},
    table::{
        TableId,
        key::{FlowKey6, FlowSlots6, PinKey6, PinSlots6},
        line::Line,
        listener::{Listener, WideAddress},
        nat::{self, Entry},
        way::Words,
    },
    walk::{
        answer,
        notice::{self, Notice},
        rewrite::{self, Places},
        tunnel::{self, Inner},
    },
};

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
    fn inner<P: Packet>(packet: &P, at: u32, ports: u32) -> Option<Inner> {
        tunnel::inner6(packet, at, ports)
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
    fn hop<P: Packet>(packet: &mut P, at: u32) -> bool {
        rewrite::age6(packet, at)
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

//! Ethernet, with up to two VLAN tags (IEEE 802.1Q, 802.1ad).

use crate::packet::{Packet, View as _};
use network_types::eth::EthHdr;

/// Ethertype of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// Ethertype of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const VLAN_TAG: u32 = 4;

/// A link-layer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Destination MAC address: low 48 bits, memory order.
    pub destination: u64,
    /// Ethertype behind the tags.
    pub ethertype: u16,
    /// Offset of what follows.
    pub next: u32,
}

/// Source MAC address (low 48 bits, memory order); `None` if the frame is shorter.
#[inline(always)]
pub fn source<P: Packet>(packet: &P) -> Option<u64> {
    Some(packet.view::<{ EthHdr::LEN }>(0)?.u64(6) & 0xffff_ffff_ffff)
}

/// Reads the link-layer header; `None` if the frame is shorter.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P) -> Option<Link> {
    let ethernet = packet.view::<{ EthHdr::LEN }>(0)?;
    let destination = ethernet.u64(0) & 0xffff_ffff_ffff;
    let mut ethertype = ethernet.be16(12);
    let mut next = EthHdr::LEN as u32;
    for _ in 0..2 {
        if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_QINQ {
            break;
        }
        ethertype = packet.view::<{ VLAN_TAG as usize }>(next)?.be16(2);
        next += VLAN_TAG;
    }
    Some(Link { destination, ethertype, next })
}

//! What the answer to a packet that does not fit its way must be.

use crate::answered::is_told;
use etherparse::{Icmpv4Type, Icmpv6Type, icmpv4};

/// Whether `answer` is the ICMP message that the packet in `frame` is too big for `mtu` bytes (RFC 1191, 4; RFC 4443, 3.2),
/// with its IP header and eight bytes more.
///
/// # Errors
/// What is not right about it.
pub(crate) fn is_too_big_to(answer: &[u8], frame: &[u8], mtu: u16) -> Result<(), String> {
    let needed = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
    let v4 = Icmpv4Type::DestinationUnreachable(needed);
    is_told(answer, frame, v4, Icmpv6Type::PacketTooBig { mtu: mtu.into() })
}

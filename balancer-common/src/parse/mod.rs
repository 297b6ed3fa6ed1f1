//! Headers, from the outside in. Nothing here decides; a refusal says why the packet cannot be read.

pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod link;
pub mod transport;

use crate::reason::Reason;

/// Why a packet is not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not for the balancer, whatever its destination: passed untouched.
    Pass,
    /// Dropped, if its destination is a service address.
    Drop(Reason),
}

/// Where the payload of an IP header begins, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPayload {
    /// IP protocol number of what follows.
    pub proto: u8,
    /// Its offset in the frame.
    pub at: u32,
    /// Its bytes, as the IP header says; the frame holds them.
    pub length: u32,
}

/// ICMP (RFC 792).
pub const PROTO_ICMP: u8 = 1;
/// TCP.
pub const PROTO_TCP: u8 = 6;
/// UDP.
pub const PROTO_UDP: u8 = 17;
/// ICMPv6 (RFC 4443).
pub const PROTO_ICMPV6: u8 = 58;

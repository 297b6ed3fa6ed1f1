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

impl IpPayload {
    /// Packs a payload, or why there is none, into 64 bits: at 32 · proto 8 · refusal 8 · length 16, from
    /// the lowest bit up: the verifier follows a bound of the lowest half.
    #[inline(always)]
    #[must_use]
    pub const fn pack(result: Result<Self, Refusal>) -> u64 {
        match result {
            Ok(Self { proto, at, length }) => at as u64 | (proto as u64) << 32 | (length as u64) << 48,
            Err(Refusal::Pass) => 0xff << 40,
            Err(Refusal::Drop(reason)) => (reason as u64 + 1) << 40,
        }
    }

    /// The reverse of [`IpPayload::pack`], for the refusals of the extension chain.
    #[inline(always)]
    pub const fn unpack(bits: u64) -> Result<Self, Refusal> {
        const FRAGMENT: u8 = Reason::Fragment as u8 + 1;
        match (bits >> 40) as u8 {
            0 => Ok(Self { at: bits as u32, proto: (bits >> 32) as u8, length: (bits >> 48) as u32 }),
            0xff => Err(Refusal::Pass),
            FRAGMENT => Err(Refusal::Drop(Reason::Fragment)),
            _ => Err(Refusal::Drop(Reason::BadExtension)),
        }
    }
}

/// An IP header: whose packet it is, and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader<A> {
    /// Source address, network order loaded natively.
    pub source: A,
    /// Destination address, network order loaded natively.
    pub destination: A,
    /// What follows, or why it cannot be read.
    pub payload: Result<IpPayload, Refusal>,
}

/// ICMP (RFC 792).
pub const PROTO_ICMP: u8 = 1;
/// TCP.
pub const PROTO_TCP: u8 = 6;
/// UDP.
pub const PROTO_UDP: u8 = 17;
/// ICMPv6 (RFC 4443).
pub const PROTO_ICMPV6: u8 = 58;

//! How a frame is read: by the balancer's parser, by another one, and by the whole walk. The rules are plain functions
//! over bytes: the proofs try them on packets at random, the fuzzer on whatever reaches more of the code.

pub(crate) mod agreement;
pub(crate) mod answered;
pub(crate) mod fate;
mod guarded;

use balancer_common::{
    packet::Packet,
    parse::{
        IpHeader, Refusal, ipv4, ipv6,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
        transport::{self, Segment},
    },
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A segment or datagram as either parser reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    proto: u8,
    /// FIN, SYN, RST and ACK as they stand in the header.
    flags: u8,
    seq: u32,
    ack: u32,
    span: u32,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Too short to tell, or of another kind.
    NotIp,
    Refused(Refusal),
}

/// What the balancer's parser reads, from the outside in as the walk does.
pub(crate) fn ours<P: Packet>(packet: &P) -> Result<Read, Unread> {
    let link = link::parse(packet).ok_or(Unread::NotIp)?;
    match link.ethertype {
        ETHERTYPE_IPV4 => {
            let ip = ipv4::parse(packet, link.next).ok_or(Unread::NotIp)?;
            segment(packet, ip, |address| Ipv4Addr::from(address.to_ne_bytes()).into())
        }
        ETHERTYPE_IPV6 => {
            let ip = ipv6::parse(packet, link.next).ok_or(Unread::NotIp)?;
            segment(packet, ip, |[high, low]| {
                let (high, low) = (u64::from_be(high), u64::from_be(low));
                Ipv6Addr::from(u128::from(high) << 64 | u128::from(low)).into()
            })
        }
        _ => Err(Unread::NotIp),
    }
}

fn segment<A: Copy, P: Packet>(
    packet: &P,
    ip: IpHeader<A>,
    address: impl Fn(A) -> IpAddr,
) -> Result<Read, Unread> {
    let payload = ip.payload.map_err(Unread::Refused)?;
    let segment: Segment<A> =
        transport::parse(packet, 0, payload, ip.source, ip.destination).map_err(Unread::Refused)?;
    Ok(Read {
        from: (address(segment.source), segment.sport),
        to: (address(segment.destination), segment.dport),
        proto: segment.proto,
        flags: segment.flags.0 & 0b1_0111,
        seq: segment.seq,
        ack: segment.ack,
        span: segment.span,
    })
}

//! The other end of a tunnel, on a backend: which packets are taken out of it, and how.
//!
//! What is wrapped is v4 or v6 in v4 or v6 (RFC 2003, 2473, 4213). The program `decap` and the tests run the same code.

pub mod ecn;
pub mod rules;
pub mod syn;

use crate::{
    checksum::ChecksumUpdate,
    packet::{Packet, View as _},
    parse::{
        IpPayload, Refusal, ipv4, ipv6,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    },
    reason::Reason,
    table::{
        line::Line,
        listener::{WideAddress, wide4},
    },
    walk::tunnel::outer::{PROTO_IPIP, PROTO_IPV6},
};
use rules::Rules;

const FRAGMENT_HEADER: u8 = 44;

macro_rules! events {
    ($($variant:ident = $name:literal, $passes:literal, $text:literal;)*) => {
        /// What became of a packet of a tunnel that ends here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Event { $(#[doc = $text] $variant,)* }

        impl Event {
            /// Every event, in the order of the counter's index.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether the packet went up the stack.
            #[must_use]
            pub const fn passes(self) -> bool {
                match self { $(Self::$variant => $passes,)* }
            }
        }
    };
}

events! {
    Unwrapped = "unwrapped", true, "taken out of its tunnel, and passed on";
    ForeignSource = "foreign-source", true, "from a source that is not allowed, passed on as it came";
    Fragment = "fragment", true, "a fragment of a tunnel's packet, passed on as it came";
    BadInner = "bad-inner", false, "what is in the tunnel is no whole IP packet of the version that the tunnel says";
    Congested = "congested", false, "congestion was marked on the way, and the packet's sender would not understand it";
    Failed = "failed", false, "the driver did not let the packet be changed";
}

/// Counters that there is room for: more than events, so that a later version finds room in the same map.
pub const COUNTERS: u32 = 16;
const _: () = assert!(Event::ALL.len() < COUNTERS as usize);

/// How a packet is taken out of its tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwrap {
    /// Where the outer header begins; the link-layer header ends there.
    pub next: u32,
    /// Bytes of the outer header, its options and extensions included.
    pub outer: u32,
    /// Ethertype of what is inside.
    pub ethertype: u16,
    /// ECN of what is inside, as it is and as it shall be.
    ecn: [u8; 2],
}

/// An outer header.
struct Outer {
    source: WideAddress,
    destination: WideAddress,
    ecn: u8,
    payload: Result<IpPayload, Event>,
}

/// Judges a packet; `None`: it is of no tunnel that ends here.
#[inline(always)]
pub fn judge<'a, P: Packet, L: Line + 'a>(
    packet: &P,
    rules: &Rules<'a, L, impl Fn(u32) -> Option<&'a L>>,
) -> Option<Result<Unwrap, Event>> {
    let link = link::parse(packet)?;
    let outer = match link.ethertype {
        ETHERTYPE_IPV4 => outer4(packet, link.next)?,
        ETHERTYPE_IPV6 => outer6(packet, link.next)?,
        _ => return None,
    };
    if !rules.is_own(outer.destination) {
        return None;
    }
    if !rules.allows(outer.source) {
        return Some(Err(Event::ForeignSource));
    }
    Some(outer.payload.and_then(|payload| {
        let (ethertype, inner) = inner(packet, payload).ok_or(Event::BadInner)?;
        let outer_ecn = outer.ecn;
        let ecn = [inner, ecn::decapsulated(inner, outer_ecn).ok_or(Event::Congested)?];
        Ok(Unwrap { next: link.next, outer: payload.at - link.next, ethertype, ecn })
    }))
}

const fn is_tunnel(proto: u8) -> bool {
    matches!(proto, PROTO_IPIP | PROTO_IPV6)
}

/// What cannot be read is the stack's to drop: it is no tunnel's for all that is known.
#[inline(always)]
fn outer4<P: Packet>(packet: &P, at: u32) -> Option<Outer> {
    let header = packet.view::<20>(at)?;
    if !is_tunnel(header.u8(9)) {
        return None;
    }
    let parsed = ipv4::parse(packet, at)?;
    let payload = match parsed.payload {
        Ok(payload) => Ok(payload),
        Err(Refusal::Drop(Reason::Fragment)) => Err(Event::Fragment),
        Err(_) => return None,
    };
    let (source, destination) = (wide4(parsed.source), wide4(parsed.destination));
    Some(Outer { source, destination, ecn: header.u8(1) & ecn::MASK, payload })
}

/// As [`outer4`]. A tunnel of Linux has a header of destination options by default (RFC 2473, 4.1.1).
#[inline(always)]
fn outer6<P: Packet>(packet: &P, at: u32) -> Option<Outer> {
    let header = packet.view::<40>(at)?;
    let (next, ecn) = (header.u8(6), header.u8(1) >> 4 & ecn::MASK);
    let parsed = ipv6::parse(packet, at)?;
    let payload = match parsed.payload {
        Ok(payload) if is_tunnel(payload.proto) => Ok(payload),
        Err(Refusal::Drop(Reason::Fragment)) if next == FRAGMENT_HEADER => {
            is_tunnel(packet.view::<8>(at + 40)?.u8(0)).then_some(Err(Event::Fragment))?
        }
        _ => return None,
    };
    Some(Outer { source: parsed.source, destination: parsed.destination, ecn, payload })
}

/// Ethertype and ECN of a packet that is whole, and of the version that the tunnel says.
#[inline(always)]
fn inner<P: Packet>(packet: &P, payload: IpPayload) -> Option<(u16, u8)> {
    let (ethertype, length, ecn) = match payload.proto {
        PROTO_IPIP => {
            let header = packet.view::<20>(payload.at)?;
            let (first, total) = (header.u8(0), u32::from(header.be16(2)));
            let own = u32::from(first & 0xf) * 4;
            if first >> 4 != 4 || own < 20 || total < own {
                return None;
            }
            (ETHERTYPE_IPV4, total, header.u8(1))
        }
        _ => {
            let header = packet.view::<40>(payload.at)?;
            if header.u8(0) >> 4 != 6 {
                return None;
            }
            (ETHERTYPE_IPV6, 40 + u32::from(header.be16(4)), header.u8(1) >> 4)
        }
    };
    (length <= payload.length).then_some((ethertype, ecn & ecn::MASK))
}

impl Unwrap {
    /// Marks congestion in the inner header, if that was done to the outer one; whether the header is there.
    #[inline(always)]
    pub fn mark<P: Packet>(&self, packet: &mut P) -> bool {
        let [is, shall] = self.ecn;
        if is == shall {
            return true;
        }
        let at = self.next + self.outer;
        let change = u16::from(is ^ shall);
        let Some(header) = packet.view::<20>(at) else { return false };
        let old = header.be16(0);
        if self.ethertype == ETHERTYPE_IPV6 {
            return packet.store_u16(at, (old ^ change << 4).to_be());
        }
        let (new, checksum) = (old ^ change, header.be16(10).to_be());
        let checksum = ChecksumUpdate::new(checksum).remove_u16(old.to_be()).add_u16(new.to_be()).finish();
        packet.store_u16(at, new.to_be()) && packet.store_u16(at + 10, checksum)
    }
}

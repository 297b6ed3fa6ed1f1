//! ICMP messages to a packet's sender: that nobody can serve its datagram (port unreachable: RFC 792; RFC 4443, 3.1), or
//! that its packet does not fit (RFC 1191, 4; RFC 4443, 3.2).
//!
//! The message quotes the IP header and the first eight bytes behind it, which is all that a host needs to find the
//! socket. Never about what has no one sender, and at most one a CPU and clock tick (RFC 1812, 4.3.2.8).

use super::{
    answer::{EMPTY, TTL},
    family::Family,
};
use crate::{
    checksum::ChecksumUpdate,
    env::Env,
    packet::{Packet, View as _},
    parse::{PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, link},
    table::interface,
};

/// Words of an IPv4 message: its IP header, the ICMP header, and the quote.
pub const WORDS4: usize = 5 + 2 + 7;
/// Words of an IPv6 message.
pub const WORDS6: usize = 10 + 2 + 12;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Bytes that an IP packet may have where this one does not fit; 0: its port is unreachable.
    pub mtu: u32,
}

impl Notice {
    /// Whether it may be about a packet of this protocol: a port that is unreachable is a datagram's.
    #[inline(always)]
    const fn is_about(self, protocol: u8) -> bool {
        protocol == PROTO_UDP || protocol == PROTO_TCP && self.mtu != 0
    }
}

/// A word in memory order.
#[inline(always)]
const fn word(a: u8, b: u8, c: u8, d: u8) -> u32 {
    u32::from_ne_bytes([a, b, c, d])
}

/// Puts a checksum into the upper half, in memory, of a word whose lower half is there already.
#[inline(always)]
const fn with_checksum(lower: u32, checksum: u16) -> u32 {
    let ([a, b, _, _], [c, d]) = (lower.to_ne_bytes(), checksum.to_ne_bytes());
    word(a, b, c, d)
}

#[inline(always)]
const fn sum<const N: usize>(words: &[u32; N], from: usize) -> ChecksumUpdate {
    let mut sum = ChecksumUpdate::new(EMPTY);
    let mut at = from;
    while at < N {
        sum = sum.add_u32(words[at]);
        at += 1;
    }
    sum
}

/// The message about a packet of which these are the IPv4 header, without options, and eight bytes more; `None` if it
/// is about no such packet, or one from no one host.
#[inline(always)]
#[must_use]
pub fn message4(quote: [u32; 7], notice: Notice) -> Option<[u32; WORDS4]> {
    const LENGTH: u8 = 4 * WORDS4 as u8;
    let [first, _, protocol, source, destination, ..] = quote;
    let (version, protocol, sender) =
        (first.to_ne_bytes()[0], protocol.to_ne_bytes()[1], source.to_ne_bytes()[0]);
    if version != 0x45 || !notice.is_about(protocol) || sender == 0 || sender == 127 || sender >= 224 {
        return None;
    }
    let mut words = [0; WORDS4];
    words[0] = word(0x45, 0, 0, LENGTH);
    words[2] = word(TTL, PROTO_ICMP, 0, 0);
    (words[3], words[4]) = (destination, source);
    let mut at = 0;
    while at < quote.len() {
        words[7 + at] = quote[at];
        at += 1;
    }
    let header: [u32; 5] = [words[0], words[1], words[2], words[3], words[4]];
    words[2] = with_checksum(words[2], sum(&header, 0).finish());
    words[5] = word(3, if notice.mtu == 0 { 3 } else { 4 }, 0, 0);
    words[6] = (notice.mtu & 0xffff).to_be();
    words[5] = with_checksum(words[5], sum(&words, 5).finish());
    Some(words)
}

/// The message about a packet of which these are the IPv6 header, without extensions, and eight bytes more; `None` if
/// it is about no such packet, or one from no one host.
#[inline(always)]
#[must_use]
pub fn message6(quote: [u32; 12], notice: Notice) -> Option<[u32; WORDS6]> {
    const LENGTH: u8 = 4 * (WORDS6 as u8 - 10);
    let protocol = quote[1].to_ne_bytes()[2];
    let unspecified_or_own = quote[2] == 0 && quote[3] == 0 && quote[4] == 0;
    if !notice.is_about(protocol) || unspecified_or_own || quote[2].to_ne_bytes()[0] == 0xff {
        return None;
    }
    let mut words = [0; WORDS6];
    words[0] = word(0x60, 0, 0, 0);
    words[1] = word(0, LENGTH, PROTO_ICMPV6, TTL);
    let mut at = 0;
    while at < 4 {
        words[2 + at] = quote[6 + at];
        words[6 + at] = quote[2 + at];
        at += 1;
    }
    at = 0;
    while at < quote.len() {
        words[12 + at] = quote[at];
        at += 1;
    }
    words[10] = if notice.mtu == 0 { word(1, 4, 0, 0) } else { word(2, 0, 0, 0) };
    words[11] = notice.mtu.to_be();
    // The pseudo-header: both addresses, length, next header (RFC 8200, 8.1).
    let pseudo = word(0, LENGTH, 0, PROTO_ICMPV6);
    words[10] = with_checksum(words[10], sum(&words, 2).add_u32(pseudo).finish());
    Some(words)
}

/// Makes of a frame the message about its packet, on its way back to where it came from; whether that could be done, and
/// may be done now. `mtu` as in [`Notice`].
#[inline(always)]
pub fn answer<F: Family, E: Env, P: Packet>(env: &E, packet: &mut P, mtu: u32) -> bool {
    let Some(ingress) = interface::find(env, packet.ingress()) else { return false };
    let (Some(link), Some(sender)) = (link::parse(packet), link::source(packet)) else { return false };
    // Behind the MAC addresses: VLAN tags and ethertype, and what of the IP header the message overwrites again.
    let Some(tags) = quote::<12, 3, P>(packet, 12) else { return false };
    let Some(message) = F::notice(packet, link.next, Notice { mtu }) else { return false };
    env.may_speak()
        && packet.resize(link.next + F::NOTICE)
        && packet.store_words(12, &tags)
        && F::write_notice(packet, link.next, &message)
        && packet.store_macs(sender, ingress.mac)
}

/// The words of a header and eight bytes more at `at`.
#[inline(always)]
pub(super) fn quote<const BYTES: usize, const WORDS: usize, P: Packet>(
    packet: &P,
    at: u32,
) -> Option<[u32; WORDS]> {
    let view = packet.view::<BYTES>(at)?;
    let mut words = [0; WORDS];
    let mut place = 0;
    while place < WORDS {
        words[place] = view.u32(4 * place);
        place += 1;
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Notice = Notice { mtu: 0 };

    fn quote4(source: [u8; 4], protocol: u8, version: u8) -> [u32; 7] {
        let mut quote = [0; 7];
        quote[0] = word(version, 0, 0, 40);
        quote[2] = word(64, protocol, 0, 0);
        quote[3] = u32::from_ne_bytes(source);
        quote
    }

    #[test]
    fn only_a_datagram_of_one_host_is_answered() {
        assert!(message4(quote4([198, 51, 100, 7], PROTO_UDP, 0x45), PORT).is_some());
        for source in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255]] {
            assert_eq!(message4(quote4(source, PROTO_UDP, 0x45), PORT), None, "{source:?}");
        }
        assert_eq!(message4(quote4([198, 51, 100, 7], PROTO_ICMP, 0x45), PORT), None, "ICMP about ICMP");
        assert_eq!(message4(quote4([198, 51, 100, 7], PROTO_UDP, 0x46), PORT), None, "options");
        assert_eq!(message4(quote4([198, 51, 100, 7], PROTO_TCP, 0x45), PORT), None, "TCP hears a RST");
        let too_big = message4(quote4([198, 51, 100, 7], PROTO_TCP, 0x45), Notice { mtu: 1480 }).unwrap();
        assert_eq!(
            (too_big[5].to_ne_bytes()[..2].to_vec(), too_big[6]),
            (std::vec![3, 4], word(0, 0, 5, 200))
        );
    }

    #[test]
    fn only_a_datagram_of_one_v6_host_is_answered() {
        let quote6 = |first, protocol| {
            let mut quote = [0; 12];
            quote[1] = word(0, 8, protocol, 64);
            quote[2] = first;
            quote
        };
        assert!(message6(quote6(word(0x20, 1, 0xd, 0xb8), PROTO_UDP), PORT).is_some());
        assert_eq!(message6(quote6(word(0xff, 2, 0, 0), PROTO_UDP), PORT), None, "multicast");
        assert_eq!(message6(quote6(0, PROTO_UDP), PORT), None, "unspecified");
        assert_eq!(message6(quote6(word(0x20, 1, 0xd, 0xb8), PROTO_ICMPV6), PORT), None, "ICMP about ICMP");
    }
}

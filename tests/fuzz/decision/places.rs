//! Where the parts of a frame stand, by another reader's word, and whether its checksums are right.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use etherparse::{NetSlice, SlicedPacket, ip_number};

use super::owners::End;

/// Offsets in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Of the IP header.
    pub(super) net: usize,
    /// Of what is behind all IP headers.
    pub(super) transport: usize,
    /// Where the IP packet ends.
    pub(super) end: usize,
    /// The IP header is an IPv4 one.
    pub(super) v4: bool,
    /// IP protocol number of what is behind all IP headers.
    pub(super) proto: u8,
}

impl Places {
    /// `None` for what is no whole IP packet.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let within = |part: &[u8]| part.as_ptr().addr() - frame.as_ptr().addr();
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let (net, payload, v4) = match packet.net.as_ref()? {
            NetSlice::Ipv4(ip) => (within(ip.header().slice()), ip.payload(), true),
            NetSlice::Ipv6(ip) => (within(ip.header().slice()), ip.payload(), false),
            _ => return None,
        };
        let transport = within(payload.payload);
        let end = transport + payload.payload.len();
        Some(Self { net, transport, end, v4, proto: payload.ip_number.0 })
    }

    /// Of an IP packet at `net` that is quoted, and may be cut off; `None` if anything stands between its IP header and
    /// its ports, or these are cut off.
    pub(super) fn quoted(frame: &[u8], net: usize, v4: bool) -> Option<Self> {
        let header = frame.get(net..)?;
        let (length, proto) = match v4 {
            true => (usize::from(header.first()? & 15) * 4, *header.get(9)?),
            false => (40, *header.get(6)?),
        };
        let ported = proto == ip_number::TCP.0 || proto == ip_number::UDP.0;
        let transport = net + length;
        (ported && frame.len() >= transport + 4).then_some(Self {
            net,
            transport,
            end: frame.len(),
            v4,
            proto,
        })
    }

    pub(super) const fn is_tcp(&self) -> bool {
        self.proto == ip_number::TCP.0
    }

    pub(super) const fn is_udp(&self) -> bool {
        self.proto == ip_number::UDP.0
    }

    /// Bytes of the IP packet.
    pub(super) const fn size(&self) -> usize {
        self.end - self.net
    }

    /// Source and destination address.
    pub(super) fn addresses(&self) -> [Range<usize>; 2] {
        match self.v4 {
            true => [self.net + 12..self.net + 16, self.net + 16..self.net + 20],
            false => [self.net + 8..self.net + 24, self.net + 24..self.net + 40],
        }
    }

    /// TTL or hop limit.
    pub(super) const fn hops(&self) -> usize {
        self.net + if self.v4 { 8 } else { 7 }
    }

    /// Checksum of the IP header, if it has one.
    pub(super) fn header_sum(&self) -> Option<Range<usize>> {
        self.v4.then_some(self.net + 10..self.net + 12)
    }

    /// Checksum behind the IP headers.
    pub(super) const fn sum(&self) -> Option<Range<usize>> {
        let at = match self.proto {
            6 => 16,
            17 => 6,
            1 | 58 => 2,
            _ => return None,
        };
        Some(self.transport + at..self.transport + at + 2)
    }

    /// Source and destination.
    pub(super) fn ends(&self, frame: &[u8]) -> [End; 2] {
        let [from, to] = self.addresses().map(|range| address(&frame[range]));
        let port = |at: usize| match self.is_tcp() || self.is_udp() {
            true => u16::from_be_bytes([frame[self.transport + at], frame[self.transport + at + 1]]),
            false => 0,
        };
        [(from, port(0)), (to, port(2))]
    }

    /// Whether the IPv4 header is right; an IPv6 one always is.
    pub(super) fn header_right(&self, frame: &[u8]) -> bool {
        let length = usize::from(frame[self.net] & 15) * 4;
        !self.v4 || adds_up(&frame[self.net..self.net + length], &[])
    }

    /// Whether the checksum behind the IP headers is right; `None` if there is none.
    pub(super) fn right(&self, frame: &[u8]) -> Option<bool> {
        let sum = &frame[self.sum()?];
        if self.is_udp() && self.v4 && *sum == [0, 0] {
            return None;
        }
        let payload = &frame[self.transport..self.end];
        let mut pseudo = Vec::new();
        if self.proto != ip_number::ICMP.0 {
            self.addresses().into_iter().for_each(|range| pseudo.extend(&frame[range]));
            pseudo.extend((payload.len() as u32).to_be_bytes());
            pseudo.extend([0, 0, 0, self.proto]);
        }
        Some(adds_up(&pseudo, payload))
    }

    /// Place and value of the segment size that a SYN announces.
    pub(super) fn segment_size(&self, frame: &[u8]) -> Option<(Range<usize>, u16)> {
        let flags = frame[self.transport..].get(13)?;
        if !self.is_tcp() || flags & 2 == 0 {
            return None;
        }
        let end = self.transport + usize::from(frame[self.transport + 12] >> 4) * 4;
        let mut at = self.transport + 20;
        while at + 4 <= end.min(self.end) {
            match (frame[at], frame[at + 1]) {
                (0, _) => return None,
                (1, _) => at += 1,
                (2, 4) => return Some((at + 2..at + 4, u16::from_be_bytes([frame[at + 2], frame[at + 3]]))),
                (_, length) => at += usize::from(length).max(2),
            }
        }
        None
    }
}

fn address(octets: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(octets) {
        Ok(v4) => Ipv4Addr::from(v4).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(octets).expect("an address has 4 bytes or 16")).into(),
    }
}

/// Whether these bytes, their checksum among them, add up as RFC 1071 wants; the first part has an even number.
fn adds_up(first: &[u8], second: &[u8]) -> bool {
    let word = |two: &[u8]| u64::from(two[0]) << 8 | u64::from(two.get(1).copied().unwrap_or(0));
    let sum: u64 = first.chunks(2).chain(second.chunks(2)).map(word).sum();
    sum != 0 && sum.is_multiple_of(0xffff)
}

//! The MSS option in a SYN (RFC 9293, 3.7.1), and what a lower value does to the checksum.

use crate::parse::{
    PROTO_TCP,
    link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
};

const SYN: u8 = 2;
/// Bytes of TCP's header without options.
const HEADER: u32 = 20;
/// Bytes of options at most.
const OPTIONS: u32 = 40;
const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;
/// Bytes of the MSS option.
const MSS_SIZE: u8 = 4;
const NO_FRAGMENT: u16 = 0x1fff;

/// A packet that is read in small pieces; `None` beyond its end. Numbers are in network order.
pub trait Headers {
    /// Two bytes at `at`.
    fn be16(&self, at: u32) -> Option<u16>;
    /// Eight bytes at `at`.
    fn be64(&self, at: u32) -> Option<u64>;
}

/// A clamp: where the value stands, and what it is and becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clamp {
    /// Offset of the value.
    pub at: u32,
    /// Offset of TCP's checksum.
    pub checksum: u32,
    old: u16,
    new: u16,
}

impl Clamp {
    /// Old and new value as they stand in the sum, in memory order: an option may begin at an odd byte.
    #[inline(always)]
    #[must_use]
    pub const fn in_sum(&self) -> (u16, u16) {
        match (self.at - self.checksum).is_multiple_of(2) {
            true => (self.old.to_be(), self.new.to_be()),
            false => (self.old.to_le(), self.new.to_le()),
        }
    }
}

/// Finds the MSS option of the SYN whose IP header is at `at`, if it says more than `limit`.
#[inline(always)]
pub fn find<H: Headers>(packet: &H, ethertype: u16, at: u32, limit: u16) -> Option<Clamp> {
    let tcp = match ethertype {
        ETHERTYPE_IPV4 => tcp4(packet, at)?,
        ETHERTYPE_IPV6 => tcp6(packet, at)?,
        _ => return None,
    };
    let [offset, flags] = packet.be16(tcp + 12)?.to_be_bytes();
    if flags & SYN == 0 {
        return None;
    }
    let (mut at, end) = (tcp + HEADER, tcp + u32::from(offset >> 4) * 4);
    for _ in 0..OPTIONS {
        if at + u32::from(MSS_SIZE) > end {
            return None;
        }
        let [kind, size] = packet.be16(at)?.to_be_bytes();
        at += match (kind, size) {
            (END, _) => return None,
            (NOTHING, _) => 1,
            (MSS, MSS_SIZE) => {
                let old = packet.be16(at + 2)?;
                let clamp = Clamp { at: at + 2, checksum: tcp + 16, old, new: limit };
                return (old > limit).then_some(clamp);
            }
            (_, 0 | 1) => return None,
            (_, size) => u32::from(size),
        };
    }
    None
}

#[inline(always)]
fn tcp4<H: Headers>(packet: &H, at: u32) -> Option<u32> {
    let (first, second) = (packet.be64(at)?, packet.be16(at + 8)?);
    let (proto, fragment) = (second as u8, first as u16 & NO_FRAGMENT);
    let length = (first >> 56 & 0xf) as u32 * 4;
    (proto == PROTO_TCP && fragment == 0 && length >= 20).then_some(at + length)
}

/// No extension headers: nobody sends a SYN behind some.
#[inline(always)]
fn tcp6<H: Headers>(packet: &H, at: u32) -> Option<u32> {
    let [next, _hops] = packet.be16(at + 6)?.to_be_bytes();
    (next == PROTO_TCP).then_some(at + 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::ChecksumUpdate;
    use std::vec::Vec;

    struct Bytes(Vec<u8>);

    impl Bytes {
        fn array<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
            self.0.get(at as usize..at as usize + N)?.try_into().ok()
        }
    }

    impl Headers for Bytes {
        fn be16(&self, at: u32) -> Option<u16> {
            self.array(at).map(u16::from_be_bytes)
        }

        fn be64(&self, at: u32) -> Option<u64> {
            self.array(at).map(u64::from_be_bytes)
        }
    }

    /// A SYN with these options, padded, and its checksum without that of the pseudo-header.
    fn syn(options: &[u8]) -> Bytes {
        let mut packet = std::vec![0; 40];
        packet[0] = 0x45;
        packet[9] = PROTO_TCP;
        packet.extend(options);
        packet.resize(packet.len().next_multiple_of(4), 0);
        packet[32] = ((packet.len() - 20) / 4 * 16) as u8;
        packet[33] = SYN;
        let sum = sum(&packet);
        packet[36..38].copy_from_slice(&sum.to_ne_bytes());
        Bytes(packet)
    }

    /// The checksum of the TCP header as it should be.
    fn sum(packet: &[u8]) -> u16 {
        let words = packet[20..].chunks_exact(2).enumerate().filter(|(n, _)| *n != 8);
        let update = ChecksumUpdate::new(0xffff);
        words.fold(update, |sum, (_, word)| sum.add_u16(u16::from_ne_bytes([word[0], word[1]]))).finish()
    }

    #[test]
    fn the_option_is_found_wherever_it_stands_and_the_checksum_holds() {
        for before in [&[][..], &[1], &[1, 1, 1], &[4, 2], &[3, 3, 7], &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1]] {
            let options = [before, &[2, 4, 0x05, 0xb4]].concat();
            let mut packet = syn(&options);
            let clamp = find(&packet, ETHERTYPE_IPV4, 0, 1400).unwrap();
            assert_eq!((clamp.at, clamp.checksum), (42 + before.len() as u32, 36), "{before:?}");
            let (old, new) = clamp.in_sum();
            let before = u16::from_ne_bytes([packet.0[36], packet.0[37]]);
            let after = ChecksumUpdate::new(before).remove_u16(old).add_u16(new).finish();
            packet.0[clamp.at as usize..][..2].copy_from_slice(&1400u16.to_be_bytes());
            assert_eq!(after, sum(&packet.0), "{options:?}");
        }
    }

    #[test]
    fn what_is_low_enough_or_no_whole_option_or_no_syn_stays() {
        let find = |packet: &Bytes| find(packet, ETHERTYPE_IPV4, 0, 1400);
        assert_eq!(find(&syn(&[2, 4, 0x05, 0x78])), None, "just that");
        for options in
            [&[][..], &[0, 2, 4, 0x05, 0xb4], &[3, 0, 2, 4, 0x05, 0xb4], &[2, 3, 0x05, 0xb4], &[2, 4]]
        {
            assert_eq!(find(&syn(options)), None, "{options:?}");
        }
        let mut data = syn(&[2, 4, 0x05, 0xb4]);
        data.0[33] = 0x10;
        assert_eq!(find(&data), None, "no SYN");
        let mut fragment = syn(&[2, 4, 0x05, 0xb4]);
        fragment.0[7] = 1;
        assert_eq!(find(&fragment), None, "a fragment");
    }
}

//! Whose tunnels end here: the table that the command writes and the program reads.
//!
//! Line 0 is the root: its first word is the number of the half that is current. Each half has a line of numbers, then
//! the own addresses, then the allowed sources, a prefix a line. Packets see one half or the other, whole.

use crate::table::{
    line::Line,
    listener::{WideAddress, wide4},
};
use core::net::{IpAddr, Ipv6Addr};

/// Own addresses, and allowed sources, that there is room for.
pub const PREFIXES: u32 = 64;
/// Lines of a half.
pub const HALF: u32 = 1 + 2 * PREFIXES;
/// Lines of the table.
pub const LINES: u32 = 1 + 2 * HALF;

/// Word of the root line: the current half.
pub const WORD_HALF: usize = 0;
/// Word of a half's first line: how many own addresses follow.
pub const WORD_OWN: usize = 0;
/// Word of a half's first line: how many sources are allowed; 0: any.
pub const WORD_SOURCES: usize = 1;
/// Word of a half's first line: what the MSS of SYNs that leave is clamped to; 0: nothing.
pub const WORD_MSS: usize = 2;

/// First line of a half.
#[inline(always)]
#[must_use]
pub const fn half_line(half: u64) -> u32 {
    1 + (half & 1) as u32 * HALF
}

/// A prefix as it stands in a line: two words of address, two of mask; v4 as v4-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address, host bits zero.
    pub address: WideAddress,
    /// Ones where an address must agree.
    pub mask: WideAddress,
}

impl Prefix {
    /// From an address and the number of leading bits that count; the others may be anything.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Self {
        let (address, bits) = match address {
            IpAddr::V4(v4) => (wide4(u32::from_ne_bytes(v4.octets())), 96 + u32::from(bits)),
            IpAddr::V6(v6) => (words(v6.octets()), u32::from(bits)),
        };
        let ones = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
        let mask = words(ones.to_be_bytes());
        Self { address: [address[0] & mask[0], address[1] & mask[1]], mask }
    }

    /// The address, and the number of leading bits that count; the inverse of [`Prefix::new`].
    #[must_use]
    pub fn network(&self) -> (IpAddr, u8) {
        let bytes = |words: WideAddress| u128::from_be_bytes(memory(words));
        let bits = bytes(self.mask).leading_ones() as u8;
        let address = Ipv6Addr::from_bits(bytes(self.address));
        match address.to_ipv4_mapped() {
            Some(v4) if bits >= 96 => (v4.into(), bits - 96),
            _ => (address.into(), bits),
        }
    }

    /// Reads it from its line.
    #[inline(always)]
    pub fn of(line: &impl Line) -> Self {
        Self { address: [line.load(0), line.load(1)], mask: [line.load(2), line.load(3)] }
    }

    /// Its line.
    #[must_use]
    pub const fn words(&self) -> [u64; 8] {
        [self.address[0], self.address[1], self.mask[0], self.mask[1], 0, 0, 0, 0]
    }

    /// Whether an address lies in it.
    #[inline(always)]
    #[must_use]
    pub const fn holds(&self, address: WideAddress) -> bool {
        ((address[0] ^ self.address[0]) & self.mask[0]) | ((address[1] ^ self.address[1]) & self.mask[1]) == 0
    }
}

/// The bytes of [`words`].
fn memory(words: WideAddress) -> [u8; 16] {
    core::array::from_fn(|n| words[n / 8].to_ne_bytes()[n % 8])
}

/// Sixteen bytes in memory order.
fn words(bytes: [u8; 16]) -> WideAddress {
    [0, 8].map(|at| u64::from_ne_bytes(core::array::from_fn(|n| bytes[at + n])))
}

/// The current half of a table, whose lines the function hands out.
#[derive(Debug)]
pub struct Rules<'a, L, F> {
    first: u32,
    numbers: &'a L,
    lines: F,
}

impl<'a, L: Line, F: Fn(u32) -> Option<&'a L>> Rules<'a, L, F> {
    /// Reads which half is current; `None` if the table has no such lines.
    #[inline(always)]
    pub fn current(lines: F) -> Option<Self> {
        let first = half_line(lines(0)?.load(WORD_HALF));
        let numbers = lines(first)?;
        Some(Self { first: first + 1, numbers, lines })
    }

    /// Whether the tunnels to this address end here.
    #[inline(always)]
    pub fn is_own(&self, address: WideAddress) -> bool {
        self.among(self.first, self.numbers.load(WORD_OWN), address)
    }

    /// Whether a tunnel may come from this address.
    #[inline(always)]
    pub fn allows(&self, address: WideAddress) -> bool {
        let count = self.numbers.load(WORD_SOURCES);
        count == 0 || self.among(self.first + PREFIXES, count, address)
    }

    /// What the MSS of SYNs that leave is clamped to; 0: nothing.
    #[inline(always)]
    pub fn mss(&self) -> u16 {
        self.numbers.load(WORD_MSS) as u16
    }

    #[inline(always)]
    fn among(&self, first: u32, count: u64, address: WideAddress) -> bool {
        for n in 0..PREFIXES {
            if u64::from(n) >= count {
                return false;
            }
            let Some(line) = (self.lines)(first + n) else { return false };
            if Prefix::of(line).holds(address) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(address: &str) -> WideAddress {
        Prefix::new(address.parse().unwrap(), if address.contains(':') { 128 } else { 32 }).address
    }

    #[test]
    fn a_prefix_holds_its_addresses_and_no_others() {
        let cases = [
            ("192.0.2.64", 28, "192.0.2.79", "192.0.2.80"),
            ("10.0.0.5", 32, "10.0.0.5", "10.0.0.4"),
            ("2001:db8::40", 124, "2001:db8::4f", "2001:db8::50"),
            ("2001:db8::", 33, "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("0.0.0.0", 0, "255.1.2.3", "2001:db8::1"),
            ("10.0.0.0", 8, "10.200.0.1", "::a00:1"),
        ];
        for (address, bits, inside, outside) in cases {
            let prefix = Prefix::new(address.parse().unwrap(), bits);
            assert!(prefix.holds(wide(inside)), "{inside} in {address}/{bits}");
            assert!(!prefix.holds(wide(outside)), "{outside} in {address}/{bits}");
        }
        for (address, bits, ..) in cases {
            let prefix = Prefix::new(address.parse().unwrap(), bits);
            let (network, bits) = prefix.network();
            assert_eq!(Prefix::new(network, bits), prefix, "{network}/{bits}");
            assert_eq!(network.is_ipv4(), !address.contains(':'), "{address}");
        }
        assert!(Prefix::new("::".parse().unwrap(), 0).holds(wide("10.0.0.1")));
    }

    #[test]
    fn host_bits_of_a_prefix_do_not_count() {
        assert_eq!(Prefix::new("10.1.2.3".parse().unwrap(), 8), Prefix::new("10.0.0.0".parse().unwrap(), 8));
    }
}

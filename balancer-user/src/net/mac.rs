//! An Ethernet address.

use std::fmt;

/// An Ethernet address, in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The link-layer address that netlink gives, if it is an Ethernet address of one station: other
    /// lengths (tunnels), all zeros (`lo`) and group addresses are none.
    #[must_use]
    pub fn of_station(bytes: &[u8]) -> Option<Self> {
        let octets: [u8; 6] = bytes.try_into().ok()?;
        let is_group = octets[0] & 1 == 1;
        (octets != [0; 6] && !is_group).then_some(Self(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ethernet_station_has_a_mac() {
        assert_eq!(Mac::of_station(&[2, 0, 0, 0, 0, 9]).unwrap().to_string(), "02:00:00:00:00:09");
        assert_eq!(Mac::of_station(&[0; 6]), None, "loopback");
        assert_eq!(Mac::of_station(&[10, 0, 0, 1]), None, "an IPIP tunnel");
        assert_eq!(Mac::of_station(&[0xff; 6]), None, "broadcast");
    }
}

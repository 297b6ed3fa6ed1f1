//! The table of the health checks by the datapath that run now.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use balancer_common::{
    probe::{self, Passage},
    table::line::{HostLine, Line as _},
};

use crate::sys::Region;

/// Key of a line that is being written, which is none of a check's.
const CLAIMED: u64 = 1 << 63;

/// The table, shared by all checks.
#[derive(Clone, Debug)]
pub struct Probes(Arc<Region>);

/// The same table, and not merely an equal one.
impl PartialEq for Probes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a check has on the wire where its socket knows another address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// This service address in the place of the backend's, in a tunnel from there if in one.
    Service {
        /// The service address.
        address: IpAddr,
        /// Where its tunnel begins.
        tunnel: Option<IpAddr>,
    },
    /// This source in the place of the host's own.
    Source {
        /// The source.
        address: IpAddr,
        /// Whether the answer may come from another MAC address than the one that was asked.
        routed: bool,
    },
}

impl Wire {
    /// The address that is on the wire alone.
    const fn address(self) -> IpAddr {
        match self {
            Self::Service { address, .. } | Self::Source { address, .. } => address,
        }
    }

    const fn flags(self) -> u64 {
        match self {
            Self::Service { tunnel: None, .. } => 0,
            Self::Service { tunnel: Some(_), .. } => probe::TUNNELLED | probe::ROUTED,
            Self::Source { routed: false, .. } => probe::TRANSLATED,
            Self::Source { routed: true, .. } => probe::TRANSLATED | probe::ROUTED,
        }
    }
}

/// A check that stands in the table, until it is dropped. Drop it after its socket: what the socket sends at its end
/// must still find it.
#[derive(Debug)]
pub struct Steered {
    probes: Probes,
    line: usize,
}

impl Probes {
    pub(super) fn new(region: Region) -> Self {
        Self(Arc::new(region))
    }

    /// A table that no program reads.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Region::heap(probe::TABLE))
    }

    /// Enters a check that asks `backend` from `own`, by a port that nobody else has, and what it has on the wire; all
    /// addresses of one family. `None` if another check stands in the line of that port.
    #[must_use]
    pub fn steer(&self, own: SocketAddr, backend: IpAddr, wire: Wire) -> Option<Steered> {
        let index = probe::line_of(own.port()) as usize;
        let line = &self.0.lines()[index];
        if !line.compare_exchange(probe::WORD_KEY, 0, CLAIMED) {
            return None;
        }
        let addresses =
            [(probe::WORD_WIRE, wire.address()), (probe::WORD_BACKEND, backend), (probe::WORD_OWN, own.ip())];
        for (word, address) in addresses {
            store(line, word, address);
        }
        if let Wire::Service { tunnel: Some(from), .. } = wire {
            let second = probe::second_line_of(own.port()) as usize;
            store(&self.0.lines()[second], probe::WORD_TUNNEL, from);
        }
        line.store(probe::WORD_PASSAGE, 0);
        line.store(probe::WORD_KEY, probe::key(own.port(), own.is_ipv6()) | wire.flags());
        Some(Steered { probes: self.clone(), line: index })
    }
}

#[cfg(test)]
impl Probes {
    /// What the programs would write of the check that asks from `own`.
    pub(crate) fn pass(&self, own: SocketAddr, passage: Passage) {
        self.0.lines()[probe::line_of(own.port()) as usize].store(probe::WORD_PASSAGE, passage.0);
    }
}

impl Steered {
    /// How far it has come on the wire.
    #[must_use]
    pub fn passage(&self) -> Passage {
        Passage(self.probes.0.lines()[self.line].load(probe::WORD_PASSAGE))
    }
}

impl Drop for Steered {
    fn drop(&mut self) {
        self.probes.0.lines()[self.line].store(probe::WORD_KEY, 0);
    }
}

fn store(line: &HostLine, word: usize, address: IpAddr) {
    let [low, high] = probe::address_words(in_memory_order(address));
    line.store(word, low);
    line.store(word + 1, high);
}

fn in_memory_order(address: IpAddr) -> [u32; 4] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => bytes = v6.octets(),
    }
    std::array::from_fn(|n| u32::from_ne_bytes(std::array::from_fn(|byte| bytes[4 * n + byte])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKEND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 10));
    const SERVICE: Wire =
        Wire::Service { address: IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10)), tunnel: None };

    fn own(port: u16) -> SocketAddr {
        SocketAddr::new("10.0.1.1".parse().unwrap(), port)
    }

    #[test]
    fn a_line_belongs_to_one_check_until_it_ends() {
        let probes = Probes::in_memory();
        let lines = probe::LINES as u16;
        let first = probes.steer(own(lines + 7), BACKEND, SERVICE).unwrap();
        assert!(probes.steer(own(2 * lines + 7), BACKEND, SERVICE).is_none(), "two checks in one line");
        assert!(probes.steer(own(lines + 8), BACKEND, SERVICE).is_some());
        drop(first);
        assert!(probes.steer(own(2 * lines + 7), BACKEND, SERVICE).is_some());
    }

    #[test]
    fn a_line_says_what_belongs_where_in_the_order_of_the_wire() {
        let probes = Probes::in_memory();
        let line = |port| probes.0.lines()[usize::from(port)].snapshot();
        let steered = probes.steer(own(9), BACKEND, SERVICE).unwrap();
        let v4 = |octets: [u8; 4]| u64::from(u32::from_ne_bytes(octets));
        let expected = [9, v4([203, 0, 113, 10]), 0, v4([10, 0, 1, 10]), 0, v4([10, 0, 1, 1]), 0, 0];
        assert_eq!(line(9u16), expected);
        probes.pass(own(9), Passage::left(1));
        assert!(steered.passage().has_left());
        drop(steered);
        let again = probes.steer("[fd00::1]:9".parse().unwrap(), "fd00::a".parse().unwrap(), SERVICE);
        assert!(!again.unwrap().passage().has_left(), "a check begins where another had ended");
        assert_eq!(line(9u16)[0], 0);
    }

    #[test]
    fn a_tunnels_begin_stands_in_the_second_line() {
        let probes = Probes::in_memory();
        let wire = Wire::Service { address: SERVICE.address(), tunnel: Some([192, 0, 2, 65].into()) };
        let steered = probes.steer(own(9), BACKEND, wire);
        assert!(steered.is_some());
        let line = |number: u32| probes.0.lines()[number as usize].snapshot();
        assert_eq!(line(9)[probe::WORD_KEY], 9 | probe::TUNNELLED | probe::ROUTED);
        let second = line(probe::second_line_of(9));
        assert_eq!(second[probe::WORD_TUNNEL], u64::from(u32::from_ne_bytes([192, 0, 2, 65])));
    }

    #[test]
    fn a_source_stands_where_a_service_address_would() {
        for (routed, flags) in [(true, probe::TRANSLATED | probe::ROUTED), (false, probe::TRANSLATED)] {
            let probes = Probes::in_memory();
            let wire = Wire::Source { address: [192, 0, 2, 65].into(), routed };
            let _steered = probes.steer(own(9), BACKEND, wire).unwrap();
            let line = probes.0.lines()[9].snapshot();
            let source = u64::from(u32::from_ne_bytes([192, 0, 2, 65]));
            assert_eq!((line[probe::WORD_KEY], line[probe::WORD_WIRE]), (9 | flags, source));
        }
    }
}

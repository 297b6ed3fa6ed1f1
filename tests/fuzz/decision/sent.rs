//! What must be true of a frame that leaves, by how its backend is reached.

use std::net::IpAddr;

use balancer_common::{
    reason::{Fate as Kind, Reason},
    table::line::HostLine,
    walk::decision::Verdict,
};
use etherparse::{
    Icmpv4Type, Icmpv6Type, Ipv4HeaderSlice, Ipv6HeaderSlice, icmpv4::DestUnreachableHeader, ip_number,
};

use super::{
    changes,
    modes::{FAMILIES, Reach, Setup, way_to},
    owners::{End, Owner},
    places::Places,
    rules::to_whom,
};
use crate::{
    reading::{
        answered::{is_rst_to, is_told, is_unreachable_to},
        fate::{self, Fate},
    },
    ways::{TUNNEL4, TUNNEL6, backend},
    world::{Cpu, OWN},
};

/// What is known when a frame has left.
pub(super) struct Scene<'a> {
    pub(super) cpu: &'a Cpu<HostLine>,
    pub(super) setup: &'a Setup,
    pub(super) backends: u16,
    /// Whose ports were whose, before and after.
    pub(super) owners: [Vec<Owner>; 2],
    pub(super) frame: &'a [u8],
}

impl Scene<'_> {
    /// The backend that it was sent to; `None`: to none.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn judge(&self, fate: &Fate) -> Result<Option<u16>, String> {
        let Some(reason) = fate.reason else { return Ok(None) };
        if let Reach::Macs = self.setup.reach {
            fate::by_macs(fate, self.frame)?;
        }
        match (reason.fate(), fate.verdict) {
            (Kind::Dropped, Verdict::DROP) => Ok(None),
            (Kind::Answered, Verdict::TX) => self.answered(reason, &fate.frame).map(|()| None),
            (Kind::Forwarded, Verdict::TX) => self.forwarded(reason, &fate.frame),
            _ => Err(format!("{:?} was counted as {reason:?}", fate.verdict)),
        }
    }

    fn answered(&self, reason: Reason, sent: &[u8]) -> Result<(), String> {
        let datagram = Places::of(self.frame).is_some_and(|places| places.is_udp());
        match reason {
            Reason::TooBig => self.is_too_big(sent),
            Reason::NoBackendUnreachable => is_unreachable_to(sent, self.frame),
            Reason::NatExhausted if datagram => is_unreachable_to(sent, self.frame),
            _ => is_rst_to(sent, self.frame),
        }
    }

    /// That it is too big for some way, with the size that fits there.
    fn is_too_big(&self, sent: &[u8]) -> Result<(), String> {
        let places = Places::of(self.frame).ok_or("what is too big cannot be read")?;
        let mut last = Err("no way is narrow".to_owned());
        for number in 1..=self.backends {
            let fits = usize::from(way_to(self.cpu, number, places.v4).mtu).saturating_sub(self.outer());
            let v4 = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: fits as u16 };
            let v6 = Icmpv6Type::PacketTooBig { mtu: fits as u32 };
            let told = is_told(sent, self.frame, Icmpv4Type::DestinationUnreachable(v4), v6);
            if told.is_ok() && places.size() > fits {
                return Ok(());
            }
            last = told.and(last);
        }
        last
    }

    const fn outer(&self) -> usize {
        match self.setup.reach {
            Reach::Tunnel(false) => 20,
            Reach::Tunnel(true) => 40,
            Reach::Macs | Reach::Translated(_) => 0,
        }
    }

    fn forwarded(&self, reason: Reason, sent: &[u8]) -> Result<Option<u16>, String> {
        if sent[6..12] != OWN {
            return Err(format!("sent by {:02x?}", &sent[6..12]));
        }
        match (reason, self.setup.reach) {
            (Reason::Back, _) => return self.back(sent).map(|()| None),
            (Reason::IcmpErrorBack, _) => return self.error_back(sent).map(|()| None),
            _ => {}
        }
        let number = to_whom(sent, self.backends)?;
        match self.setup.reach {
            Reach::Macs => {}
            Reach::Tunnel(v6) => self.in_a_tunnel(sent, number, v6)?,
            Reach::Translated(_) if reason == Reason::IcmpError => self.error_forth(sent, number)?,
            Reach::Translated(_) => self.forth(sent, number)?,
        }
        Ok(Some(number))
    }

    /// A client's packet went to its backend from the port that is its own.
    fn forth(&self, sent: &[u8], number: u16) -> Result<(), String> {
        let Some([was, is]) = changes::aged(self.frame, sent)? else { return Ok(()) };
        let places = Places::of(sent).ok_or("it cannot be read")?;
        let its = |it: &&Owner| {
            it.proto == places.proto && [it.client, it.service] == was && [it.source, it.place] == is
        };
        let owner = self.owners[1].iter().find(its);
        if owner.is_none_or(|it| it.backend != number) {
            return Err(format!(
                "{was:?} became {is:?} to {number}, which is nobody's: {:?}",
                self.owners[1]
            ));
        }
        self.fits(number, places.v4, places.size())
    }

    /// A backend's packet went to the client that has the port, and to no other.
    fn back(&self, sent: &[u8]) -> Result<(), String> {
        let Some([was, is]) = changes::aged(self.frame, sent)? else { return Ok(()) };
        let places = Places::of(sent).ok_or("it cannot be read")?;
        let its = |it: &&Owner| it.proto == places.proto && it.is_between(was[0], was[1]);
        let right = |it: &Owner| !it.reset && [it.service, it.client] == is;
        match self.owners[0].iter().filter(its).any(right) {
            true => Ok(()),
            false => Err(format!("{was:?} went back as {is:?}: {:?}", self.owners[0])),
        }
    }

    fn error_back(&self, sent: &[u8]) -> Result<(), String> {
        let Some([was, is]) = changes::error(self.frame, sent)? else { return Ok(()) };
        let right = |it: &Owner| {
            it.proto == was.proto
                && it.is_between(was.quoted[1], was.quoted[0])
                && [it.client, it.service] == is.quoted
                && hosts(is.ends) == hosts([it.service, it.client])
        };
        match self.owners[0].iter().any(right) {
            true => Ok(()),
            false => Err(format!("an error {was:?} went back as {is:?}: {:?}", self.owners[0])),
        }
    }

    fn error_forth(&self, sent: &[u8], number: u16) -> Result<(), String> {
        let Some([was, is]) = changes::error(self.frame, sent)? else { return Ok(()) };
        let right = |it: &Owner| {
            let from = if it.keep { was.ends[0] } else { it.source };
            it.proto == was.proto
                && it.backend == number
                && [it.service, it.client] == was.quoted
                && [it.place, it.source] == is.quoted
                && hosts(is.ends) == hosts([from, it.place])
        };
        match self.owners[0].iter().any(right) {
            true => Ok(()),
            false => Err(format!("an error {was:?} went forth as {is:?}: {:?}", self.owners[0])),
        }
    }

    /// A packet went to its backend within another one, which is right in all that a receiver looks at.
    fn in_a_tunnel(&self, sent: &[u8], number: u16, v6: bool) -> Result<(), String> {
        let Some(places) = Places::of(self.frame) else { return Ok(()) };
        let (net, length) = (places.net, self.outer());
        let ethertype: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
        if sent[12..net - 2] != self.frame[12..net - 2] || sent[net - 2..net] != ethertype {
            return Err(format!("link-layer header {:02x?}", &sent[..net]));
        }
        let tos = match places.v4 {
            true => self.frame[net + 1],
            false => self.frame[net] << 4 | self.frame[net + 1] >> 4,
        };
        let wanted = Outer {
            proto: if places.v4 { ip_number::IPV4.0 } else { ip_number::IPV6.0 },
            tos,
            size: places.size() + length,
            to: backend(number, FAMILIES[usize::from(v6)]),
        };
        let found = if v6 { outer6(&sent[net..])? } else { outer4(&sent[net..])? };
        if found.0 != wanted || !is_tunnels_own(found.1, self.setup.spread) {
            return Err(format!("outer header {found:?}, not {wanted:?}"));
        }
        let inner = [&self.frame[..net], &sent[net + length..]].concat();
        match changes::aged(self.frame, &inner)? {
            Some([was, is]) if was != is => Err(format!("{was:?} became {is:?} in a tunnel")),
            _ => self.fits(number, places.v4, wanted.size),
        }
    }

    fn fits(&self, number: u16, v4: bool, size: usize) -> Result<(), String> {
        match usize::from(way_to(self.cpu, number, v4).mtu) {
            mtu if mtu != 0 && size > mtu => Err(format!("{size} bytes on a way of {mtu}")),
            _ => Ok(()),
        }
    }
}

const fn hosts([from, to]: [End; 2]) -> [IpAddr; 2] {
    [from.0, to.0]
}

/// What a receiver looks at.
#[derive(Debug, PartialEq, Eq)]
struct Outer {
    proto: u8,
    tos: u8,
    size: usize,
    to: IpAddr,
}

fn outer4(packet: &[u8]) -> Result<(Outer, IpAddr), String> {
    let header = Ipv4HeaderSlice::from_slice(packet).map_err(|error| error.to_string())?;
    let right = header.to_header().calc_header_checksum() == header.header_checksum();
    if !right || (header.ihl(), header.ttl()) != (5, 64) {
        return Err(format!("outer header {header:?}"));
    }
    let (size, to) = (usize::from(header.total_len()), header.destination_addr().into());
    let outer = Outer { proto: header.protocol().0, tos: packet[1], size, to };
    Ok((outer, header.source_addr().into()))
}

fn outer6(packet: &[u8]) -> Result<(Outer, IpAddr), String> {
    let header = Ipv6HeaderSlice::from_slice(packet).map_err(|error| error.to_string())?;
    if header.hop_limit() != 64 {
        return Err(format!("outer header {header:?}"));
    }
    let (size, to) = (usize::from(header.payload_length()) + 40, header.destination_addr().into());
    let outer = Outer { proto: header.next_header().0, tos: header.traffic_class(), size, to };
    Ok((outer, header.source_addr().into()))
}

/// Whether a tunnel may come from this address.
fn is_tunnels_own(source: IpAddr, spread: u8) -> bool {
    match source {
        IpAddr::V4(v4) => u32::from(v4) >> spread == u32::from(TUNNEL4) >> spread,
        IpAddr::V6(v6) => u128::from(v6) >> spread == u128::from(TUNNEL6) >> spread,
    }
}

//! Whose the ports of translated flows are, read from the tables one by one.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use balancer_common::{
    table::{
        TableId,
        bucket::Table,
        key::Slots as _,
        line::{HostLine, Line as _},
        listener, ports,
        way::Words,
        words::{FlowState, FlowWord, Phase, SlotWord as _},
    },
    walk::family::{Family, V4, V6},
};

use super::modes::{Setup, way_to};
use crate::world::Cpu;

/// An address and port.
pub(super) type End = (IpAddr, u16);

/// A translated flow, or an embryonic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) proto: u8,
    pub(super) client: End,
    pub(super) service: End,
    /// Where its packets come from at the backend.
    pub(super) source: End,
    /// Where they go.
    pub(super) place: End,
    pub(super) backend: u16,
    pub(super) keep: bool,
    /// It has been reset.
    pub(super) reset: bool,
}

impl Owner {
    /// Whether it is what `backend` and `other` have between them. A client whose address is kept has the same at every
    /// backend: an old one's answer may come late.
    pub(super) fn is_between(&self, backend: End, other: End) -> bool {
        let place = if self.keep { (backend.0, self.place.1) } else { self.place };
        (place, self.source) == (backend, other)
    }
}

/// All of both families.
///
/// # Errors
/// If two have one port, or one has a port that is another's.
pub(super) fn all(cpu: &Cpu<HostLine>) -> Result<Vec<Owner>, String> {
    let mut owners = Vec::new();
    of_family::<V4>(cpu, &mut owners)?;
    of_family::<V6>(cpu, &mut owners)?;
    let pool = || owners.iter().filter(|owner| !owner.keep);
    let ends: BTreeSet<_> = pool().map(|it| (it.proto, it.source, it.place, it.backend)).collect();
    match ends.len() == pool().count() {
        true => Ok(owners),
        false => Err(format!("two have one port: {owners:?}")),
    }
}

fn of_family<F: Family>(cpu: &Cpu<HostLine>, owners: &mut Vec<Owner>) -> Result<(), String> {
    let mut numbers = BTreeSet::new();
    for line in cpu.world().lines(F::Flows::ID).iter().chain(cpu.world().lines(F::Embryonic::ID)) {
        for slot in 0..F::FlowSlots::COUNT {
            let word = FlowWord::from_bits(line.load(F::FlowSlots::word(slot)));
            if word.phase() != Phase::Published {
                continue;
            }
            let key = F::FlowSlots::key(line, slot, word);
            let number = F::FlowSlots::hint(line, slot);
            let known = (F::client_of(&key), F::sport_of(&key), F::listener_of(&key));
            let Some(owner) = owner::<F>(cpu, known, word, number)? else { continue };
            if !numbers.insert(number) {
                return Err(format!("entry {number} is twice one's: {owner:?} and another"));
            }
            owners.push(owner);
        }
    }
    Ok(())
}

/// Whose the entry with this number is, by the flow that has it; `None` if it is not translated.
fn owner<F: Family>(
    cpu: &Cpu<HostLine>,
    (address, port, number): (F::Address, u16, u16),
    word: FlowWord,
    hint: u32,
) -> Result<Option<Owner>, String> {
    let Some(listener) = listener::by_number(cpu, number).filter(|it| it.nat()) else { return Ok(None) };
    let Some(entry) = F::entry(cpu, hint) else { return Err(format!("a flow has no entry: {hint}")) };
    let client = (ip::<F>(F::words(address)), port);
    let (owns, its_port, its_listener) = F::owner(entry);
    if (ip::<F>(F::words(owns)), its_port, its_listener) != (client.0, port, number) {
        return Err(format!("{client:?} of listener {number} has entry {hint}, which is another's"));
    }
    let asked = if listener.wildcard() { word.dport() } else { listener.port() };
    let way = way_to(cpu, word.backend(), F::IS_V4);
    let (own_port, own) = entry.port_and_source();
    let mut first = way.sources.first;
    let last = if F::IS_V4 { 0 } else { 3 };
    first[last] |= u32::from(own).to_be();
    Ok(Some(Owner {
        proto: listener.proto().map_or(0, |proto| proto as u8),
        client,
        service: (ip::<F>(F::words(F::narrow(listener.key().address))), asked),
        source: if way.keep { client } else { (ip::<F>(first), own_port) },
        place: (ip::<F>(way.destination), if way.port == 0 { asked } else { way.port }),
        backend: word.backend(),
        keep: way.keep,
        reset: word.state() == FlowState::RESET,
    }))
}

fn ip<F: Family>(words: Words) -> IpAddr {
    match F::IS_V4 {
        true => Ipv4Addr::from(words[0].to_ne_bytes()).into(),
        false => {
            let mut octets = [0; 16];
            octets.chunks_exact_mut(4).zip(words).for_each(|(place, word)| {
                place.copy_from_slice(&word.to_ne_bytes());
            });
            Ipv6Addr::from(octets).into()
        }
    }
}

/// Every port that is taken is a flow's.
///
/// # Errors
/// If one is nobody's, or one's that counts as free.
pub(super) fn ports_add_up(cpu: &Cpu<HostLine>, setup: &Setup) -> Result<(), String> {
    let owners = all(cpu)?;
    for (table, v4) in [(TableId::Ports4, true), (TableId::Ports6, false)] {
        let words = setup.entries() / ports::PORTS_A_WORD;
        let taken: u32 = (0..words).map(|word| ports::uses(cpu, table, word).taken.count_ones()).sum();
        let owned = owners.iter().filter(|owner| owner.client.0.is_ipv4() == v4).count() as u32;
        if taken != owned + setup.withheld() {
            return Err(format!("{taken} ports of {table:?} are taken, and {owned} flows have one"));
        }
    }
    Ok(())
}

//! Who has which block of the entries of translated flows.
//!
//! A flow holds the number of its entry, so that a block stays a backend's as long as its number is one's: also when
//! its address changes, and through a restart ([`Blocks::adopt`]). Answers are told apart by the address and port that
//! they come from: backends of several services at one such place share a block, and where one of them leaves the port
//! open, all at that address do.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use balancer_common::table::{ports::Block, way::Sources};

use super::entries::words_of;
use crate::config::{Endpoint, PoolShape, Source};

/// A backend that wants a block for v4 or v6 clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its number.
    pub number: u16,
    /// Where its answers come from; its family is the clients' too.
    pub endpoint: Endpoint,
    /// From which address its packets come.
    pub source: Source,
}

/// A block, and what it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its entries.
    pub block: Block,
    /// The addresses that its packets come from; `None`: this host's own, as the route says.
    pub sources: Option<Sources>,
    /// Its flows keep their client's address.
    pub keep: bool,
}

/// Why a backend has no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// There is no room for one more.
    NoRoom,
    /// Others at its place have another one, which their flows hold.
    Apart,
}

/// The blocks of both families.
#[derive(Clone, Debug)]
pub struct Blocks {
    v4: Space,
    v6: Space,
}

#[derive(Clone, Debug)]
struct Space {
    shape: PoolShape,
    entries: u32,
    held: BTreeMap<u16, Held>,
    refused: BTreeMap<u16, Refusal>,
}

impl Blocks {
    /// Of these shapes in tables with so many entries, v4 and v6.
    #[must_use]
    pub fn new([v4, v6]: [PoolShape; 2], [entries4, entries6]: [u32; 2]) -> Self {
        Self { v4: Space::new(v4, entries4), v6: Space::new(v6, entries6) }
    }

    const fn space(&self, v4: bool) -> &Space {
        if v4 { &self.v4 } else { &self.v6 }
    }

    const fn space_mut(&mut self, v4: bool) -> &mut Space {
        if v4 { &mut self.v4 } else { &mut self.v6 }
    }

    /// Takes over what a backend had under the agent before; whether it is what would be given to it now.
    pub fn adopt(&mut self, number: u16, v4: bool, block: Block, sources: Sources, keep: bool) -> bool {
        let space = self.space_mut(v4);
        let wished = sources_of(&space.shape);
        // This host's own address follows the route.
        let own = wished.is_none() && sources.host_bits == 0;
        let held = Held { block, sources: (!own && !keep).then_some(sources), keep };
        space.held.insert(number, held);
        let shape = &space.shape;
        match keep {
            true => shape.keep_block(block.base) == block,
            false => shape.block(block.base) == block && held.sources == wished,
        }
    }

    /// Gives a block to each that claims one and has none, where there is one to give; who got none, and why.
    pub fn assign(&mut self, claims: &[Claim]) -> BTreeMap<(u16, bool), Refusal> {
        let mut refused = BTreeMap::new();
        for v4 in [true, false] {
            let claims: Vec<_> =
                claims.iter().filter(|it| it.endpoint.address.is_ipv4() == v4).copied().collect();
            let space = self.space_mut(v4);
            space.assign(&claims);
            refused.extend(space.refused.iter().map(|(number, why)| ((*number, v4), *why)));
        }
        refused
    }

    /// What a backend has for clients of a family.
    #[must_use]
    pub fn of(&self, number: u16, v4: bool) -> Option<Held> {
        let space = self.space(v4);
        space.held.get(&number).filter(|_| !space.refused.contains_key(&number)).copied()
    }

    /// Nothing names the number any more: what it had is free, unless others have it too.
    pub fn release(&mut self, number: u16) {
        for space in [&mut self.v4, &mut self.v6] {
            space.held.remove(&number);
            space.refused.remove(&number);
        }
    }
}

impl Space {
    const fn new(shape: PoolShape, entries: u32) -> Self {
        Self { shape, entries, held: BTreeMap::new(), refused: BTreeMap::new() }
    }

    fn assign(&mut self, claims: &[Claim]) {
        self.refused.clear();
        let of = |source| claims.iter().filter(move |claim| claim.source == source);
        let keep: Vec<u16> = of(Source::Keep).map(|claim| claim.number).collect();
        self.share_keep(&keep);
        let open: BTreeSet<IpAddr> = of(Source::Pool)
            .filter(|claim| claim.endpoint.port.is_none())
            .map(|claim| claim.endpoint.address)
            .collect();
        let mut groups: BTreeMap<Endpoint, Vec<Claim>> = BTreeMap::new();
        for claim in of(Source::Pool) {
            let Endpoint { address, port } = claim.endpoint;
            let place = Endpoint { address, port: port.filter(|_| !open.contains(&address)) };
            groups.entry(place).or_default().push(*claim);
        }
        groups.values().for_each(|group| self.share(group));
    }

    /// All whose flows keep their client's address have one block together.
    fn share_keep(&mut self, numbers: &[u16]) {
        let lacking: Vec<u16> =
            numbers.iter().filter(|number| !self.held.contains_key(number)).copied().collect();
        if lacking.is_empty() {
            return;
        }
        let there = self.held.values().find(|held| held.keep).copied();
        let made = || {
            let base = self.free(self.shape.keep_entries())?;
            Some(Held { block: self.shape.keep_block(base), sources: None, keep: true })
        };
        self.give(&lacking, there.or_else(made));
    }

    /// Those at one place have one block together.
    fn share(&mut self, group: &[Claim]) {
        let lacks = |claim: &&Claim| !self.held.contains_key(&claim.number);
        let lacking: Vec<u16> = group.iter().filter(lacks).map(|claim| claim.number).collect();
        match self.common(group) {
            Ok(held) => {
                let other =
                    |claim: &&Claim| self.held.get(&claim.number).is_some_and(|it| it.block != held.block);
                let apart: Vec<u16> = group.iter().filter(other).map(|claim| claim.number).collect();
                self.refused.extend(apart.into_iter().map(|number| (number, Refusal::Apart)));
                self.give(&lacking, Some(held));
            }
            Err(why) => self.refused.extend(lacking.into_iter().map(|number| (number, why))),
        }
    }

    /// The block that a group has together.
    fn common(&self, group: &[Claim]) -> Result<Held, Refusal> {
        let having = || group.iter().filter_map(|claim| Some((claim, *self.held.get(&claim.number)?)));
        let exact = group.iter().all(|claim| claim.endpoint == group[0].endpoint);
        // Who leaves the port open gets answers from all the others' ports.
        let decides = |(claim, _): &(&Claim, Held)| exact || claim.endpoint.port.is_none();
        let one = having().find(decides).map(|(_, held)| held);
        let bases: BTreeSet<u32> = having().map(|(_, held)| held.block.base).collect();
        match (one, bases.len()) {
            (Some(held), _) => Ok(held),
            (None, 0) => self.free(self.shape.entries()).map(|base| self.made(base)).ok_or(Refusal::NoRoom),
            (None, 1) => having().next().map(|(_, held)| held).ok_or(Refusal::NoRoom),
            (None, _) => Err(Refusal::Apart),
        }
    }

    fn made(&self, base: u32) -> Held {
        Held { block: self.shape.block(base), sources: sources_of(&self.shape), keep: false }
    }

    fn give(&mut self, numbers: &[u16], held: Option<Held>) {
        for number in numbers {
            match held {
                Some(held) => {
                    self.held.insert(*number, held);
                }
                None => {
                    self.refused.insert(*number, Refusal::NoRoom);
                }
            }
        }
    }

    /// Where so many entries are free, the first such place.
    fn free(&self, entries: u64) -> Option<u32> {
        let mut taken: Vec<(u64, u64)> = self.held.values().map(extent).collect();
        taken.sort_unstable();
        let mut base = 0;
        for (from, to) in taken {
            if base + entries <= from {
                break;
            }
            base = base.max(to);
        }
        (base + entries <= u64::from(self.entries)).then(|| u32::try_from(base).ok()).flatten()
    }
}

/// The configured sources of a family.
#[must_use]
pub fn sources_of(shape: &PoolShape) -> Option<Sources> {
    let net = shape.sources?;
    Some(Sources { first: words_of(net.addr()), host_bits: shape.host_bits() })
}

/// From its first entry to the one behind its last.
fn extent(held: &Held) -> (u64, u64) {
    let bits = held.sources.map_or(0, |sources| sources.host_bits);
    let from = u64::from(held.block.base);
    (from, from + (u64::from(held.block.ports()) << bits))
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;

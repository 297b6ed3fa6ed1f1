//! How the backends of a world are reached: by MAC address, in tunnels, or by translation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use balancer_common::{
    env::Env as _,
    state::{Mode, Proto},
    table::{
        TableId,
        backend::NextHop,
        line::HostLine,
        origin::OriginEntry,
        ports::{self, PORTS_A_WORD},
        way::{self, Sources, Way},
    },
};

use crate::{
    ways::{self, Shape},
    world::{Cpu, World},
};

/// Bytes of the largest packet on a way that is narrow: a payload of 100 bytes does not fit.
const NARROW: u16 = 150;
/// Segment size that is bound, less than what SYNs announce.
pub(super) const CLAMP: u16 = 500;
/// Ports of a word that are left where they are scarce.
const LEFT: u32 = 2;
/// The v4 listeners of TCP in [`World`], which share one origin where clients' addresses are kept.
const KEPT_TCP: [u16; 4] = [1, 5, 6, 0];
/// Both families of clients.
pub(super) const FAMILIES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// How backends are reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach {
    /// By their MAC addresses.
    Macs,
    /// In tunnels, of IPv6 if so.
    Tunnel(bool),
    /// By translation.
    Translated(Shape),
}

/// How the backends of one world are reached, all alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) reach: Reach,
    backends: u16,
    mtu: u16,
    mss: u16,
    /// Bits of a tunnel's source that may be anything.
    pub(super) spread: u8,
    scarce: bool,
}

impl Setup {
    /// From an input's first byte: reach 3 bits at bit 3, limits at bit 6, many sources at bit 7.
    pub(super) fn of(kind: u8, backends: u16) -> Self {
        let (narrow, many) = (kind >> 6 & 1 != 0, kind >> 7 != 0);
        let (mtu, mss) = if narrow { (NARROW, CLAMP) } else { (0, 0) };
        let shape = Shape { words: 1, host_bits: u8::from(many), mtu, mss, ..Shape::default() };
        let which = kind >> 3 & 7;
        let reach = match which {
            0 => Reach::Macs,
            1 | 2 => Reach::Tunnel(which == 2),
            3 | 6 => Reach::Translated(shape),
            5 => Reach::Translated(Shape { port: 0, ..shape }),
            4 => Reach::Translated(Shape { keep: true, ..shape }),
            _ => Reach::Translated(Shape { keep: true, port: 0, ..shape }),
        };
        let spread = if many { ways::SPREAD } else { 0 };
        Self { reach, backends, mtu, mss, spread, scarce: which == 6 }
    }

    const fn mode(&self) -> Mode {
        match self.reach {
            Reach::Macs => Mode::L2dsr,
            Reach::Tunnel(_) => Mode::Ipip,
            Reach::Translated(_) => Mode::Nat,
        }
    }

    /// Entries of translated flows of a family.
    pub(super) fn entries(&self) -> u32 {
        match self.reach {
            Reach::Translated(shape) if shape.keep => shape.entries(),
            Reach::Translated(shape) => u32::from(self.backends) * shape.entries(),
            _ => 0,
        }
    }

    /// Ports of a family that nobody has and nobody gets.
    pub(super) fn withheld(&self) -> u32 {
        if self.scarce { self.entries() / PORTS_A_WORD * (PORTS_A_WORD - LEFT) } else { 0 }
    }

    /// Readies a world in which all is reached by MAC addresses.
    pub(super) fn ready(&self, world: &World<HostLine>, cpu: &Cpu<HostLine>) {
        let Reach::Macs = self.reach else {
            for number in 1..=self.backends {
                world.reach(number, world.hop(number).by(self.mode()));
                FAMILIES.iter().for_each(|family| {
                    let way = self.way(number, *family, world.hop(number));
                    lead(world, number, family.is_ipv4(), &way);
                });
            }
            let origins = self.origins();
            world.listen(!origins.is_empty(), &origins);
            return self.withhold(cpu);
        };
    }

    fn withhold(&self, cpu: &Cpu<HostLine>) {
        let words = self.entries() / PORTS_A_WORD;
        let each = self.withheld().checked_div(words).unwrap_or(0);
        for table in [TableId::Ports4, TableId::Ports6] {
            for word in 0..words {
                for _ in 0..each {
                    ports::take_in(cpu, table, word, 0).expect("nobody has any yet");
                }
            }
        }
    }

    fn way(&self, number: u16, family: IpAddr, hop: NextHop) -> Way {
        match self.reach {
            Reach::Macs => Way::default(),
            Reach::Translated(shape) => shape.way(number, family, hop),
            Reach::Tunnel(v6) => {
                let way = ways::tunnel(number, v6, self.mtu, hop);
                let sources = Sources { host_bits: self.spread, ..way.sources };
                Way { sources, mss: self.mss, ..way }
            }
        }
    }

    fn origins(&self) -> Vec<OriginEntry> {
        let Reach::Translated(shape) = self.reach else { return Vec::new() };
        let [v4, v6] = FAMILIES;
        let kinds = [
            (v4, Proto::Tcp, KEPT_TCP),
            (v4, Proto::Udp, [2, 0, 0, 0]),
            (v6, Proto::Tcp, [3, 0, 0, 0]),
            (v6, Proto::Udp, [4, 0, 0, 0]),
        ];
        let of = |number| kinds.map(|(family, proto, kept)| shape.origin(number, family, proto, kept));
        (1..=self.backends).flat_map(of).collect()
    }

    /// An agent finds a backend's next hop gone, or its way narrower, or all as it was.
    pub(super) fn disturb(&self, world: &World<HostLine>, number: u16, how: u8) {
        let hop = if how & 1 == 0 { world.hop(number) } else { NextHop(0) };
        if let Reach::Macs = self.reach {
            return world.reach(number, hop);
        }
        for family in FAMILIES {
            let way = self.way(number, family, hop);
            let mtu = if how & 2 == 0 { way.mtu } else { NARROW - 20 };
            lead(world, number, family.is_ipv4(), &Way { mtu, ..way });
        }
    }
}

fn lead(world: &World<HostLine>, number: u16, v4: bool, way: &Way) {
    world.lines(TableId::Ways)[way::line_of(number, v4) as usize].restore(&way.words());
}

/// The way to a backend as it stands.
pub(super) fn way_to(cpu: &Cpu<HostLine>, number: u16, v4: bool) -> Way {
    let line = cpu.line(TableId::Ways, way::line_of(number, v4));
    line.map_or_else(Way::default, |line| Way::from_words(&line.snapshot()))
}

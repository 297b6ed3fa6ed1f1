//! The program as the agent loads it, with its service and backends, and the programs that measure it.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader, TestRunOptions,
    maps::{Array, HashMap, MapData, ProgramArray},
    programs::{TestRun as _, Xdp},
};
use balancer_common::{
    layout::{Dimensions, LAYOUT_VERSION, maglev_pool},
    maglev::{self, Entrant, Walk},
    reason::Reason,
    serve::Serving,
    state::{Admin, AffinityBy, Health, Mode, OnExpire, OnNone, Proto},
    table::{
        TableId,
        backend::{BackendState, MAX_BACKENDS, NextHop},
        listener::{Echo, ListenerEntry, ListenerKey, TimeoutTicks, wide4},
        origin::{self, OriginEntry},
        ports::{Block, PORTS_A_WORD},
        way::{Sources, Way},
        words::{FlowState, FlowWord},
    },
};
use balancer_user::dataplane::{Dataplane, OpenOptions};
use std::{net::IpAddr, path::PathBuf, time::Duration};

use crate::frames::{INGRESS, OWN, PORT, VIP_NAT, VIP_TUNNEL, VIP4, VIP6, VIP6_NAT, wide};

/// Flows and pins that the tables are made for.
pub(crate) const FLOWS: u32 = 1 << 20;
const BACKENDS: u16 = 8;
/// Bits of a source address that may be anything.
const HOST_BITS: u8 = 2;
/// Words of ports of a source address.
const WORDS: u32 = 496;
const SEED: [u8; 16] = [7; 16];
/// Entries of translated flows, each family.
const NAT: u32 = 1 << 20;
const MAGLEV: u32 = 65_537;

/// The tables, the program under test, and the programs that measure it.
pub(crate) struct World {
    plane: Option<Dataplane>,
    tools: Ebpf,
    directory: PathBuf,
}

/// What the prologue does before each run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// Flows to go round, a power of two; their source is set at this offset (0: it is left alone).
    pub(crate) flows: u32,
    /// Offset of the source's last four bytes.
    pub(crate) offset: u32,
    /// Number of the first run's flow.
    pub(crate) first: u32,
    /// Bytes that the program under test puts in front of the frame.
    pub(crate) grown: u32,
    /// The program under test changes the headers.
    pub(crate) changed: bool,
}

impl World {
    /// Loads both objects over maps of their own.
    pub(crate) fn new(tools: &[u8]) -> Result<Self> {
        let directory = PathBuf::from(format!("/sys/fs/bpf/balancer-bench-{}", std::process::id()));
        let dimensions = Dimensions {
            flows: FLOWS,
            pins: FLOWS,
            maglev_lines: maglev_pool([MAGLEV; 3].into_iter()),
            nat4: NAT,
            nat6: NAT,
        };
        let options = OpenOptions { bpffs: directory.clone(), dimensions, hash_seed: SEED };
        let mut plane = Dataplane::open(&options).context("loading the program")?;
        fill(&mut plane)?;
        let tools = load_tools(tools, &plane, &directory)?;
        Ok(Self { plane: Some(plane), tools, directory })
    }

    pub(crate) fn plane(&mut self) -> &mut Dataplane {
        self.plane.as_mut().expect("taken only by drop")
    }

    /// Says which program the prologue calls: one of the tools, or the program itself.
    pub(crate) fn aim(&mut self, program: &str) -> Result<()> {
        let fd = match program {
            "balancer" => {
                let program = self.plane().program()?.context("no kernel")?;
                program.fd()?.try_clone()?
            }
            tool => {
                let program: &mut Xdp = self.tools.program_mut(tool).context("no such tool")?.try_into()?;
                program.fd()?.try_clone()?
            }
        };
        let mut table = ProgramArray::try_from(self.tools.map_mut("UNDER_TEST").context("no UNDER_TEST")?)?;
        table.set(0, &fd, 0)?;
        Ok(())
    }

    /// Runs the program that the prologue calls `repeat` times: nanoseconds a run, and the last verdict.
    pub(crate) fn measure(&mut self, frame: &[u8], plan: Plan, repeat: u32) -> Result<(f64, u32)> {
        let mut words = [0_u64; 8];
        let mut macs = [0_u8; 16];
        macs[..6].copy_from_slice(&frame[..6]);
        words[0] = u64::from_le_bytes(macs[..8].try_into()?) & 0xffff_ffff_ffff;
        macs = [0; 16];
        macs[..6].copy_from_slice(&frame[6..12]);
        words[1] = u64::from_le_bytes(macs[..8].try_into()?);
        words[2] = u64::from(plan.flows.max(1) - 1);
        words[3] = u64::from(plan.offset);
        words[4] = u64::from(plan.first);
        words[5] = u64::from(plan.grown);
        if plan.changed {
            words[6] = u64::from(u16::from_ne_bytes([frame[12], frame[13]]));
        }
        let headers: [u8; 64] = std::array::from_fn(|at| frame.get(14 + at).copied().unwrap_or_default());
        let mut map: Array<&mut MapData, [u64; 8]> =
            self.tools.map_mut("HEADERS").context("no HEADERS")?.try_into()?;
        map.set(0, bytemuck::cast::<_, [u64; 8]>(headers), 0)?;
        let mut map: Array<&mut MapData, [u64; 8]> =
            self.tools.map_mut("PLAN").context("no PLAN")?.try_into()?;
        map.set(0, words, 0)?;
        let prologue: &mut Xdp = self.tools.program_mut("prologue").context("no prologue")?.try_into()?;
        // What is put in front is taken away again before each run, the first one too.
        let frame = [&vec![0; plan.grown as usize], frame].concat();
        let options = TestRunOptions { data_in: Some(&frame), repeat, ..TestRunOptions::default() };
        let result = prologue.test_run(options)?;
        Ok((result.duration.as_nanos() as f64, result.return_value))
    }

    /// Enters the twin's flows: the same keys, in the kernel's hash map.
    pub(crate) fn fill_twin(&mut self, flows: u32) -> Result<()> {
        let now = self.plane().settings().now(0).flow;
        let mut map: HashMap<&mut MapData, [u64; 2], [u64; 3]> =
            self.tools.map_mut("TWIN").context("no TWIN")?.try_into()?;
        for i in 0..flows {
            let source = u64::from((0x0a00_0000 + i).to_be());
            let backend = (i % u32::from(BACKENDS)) as u16 + 1;
            let word = FlowWord(0).with_backend(backend).with_state(FlowState::ESTABLISHED).with_seen(now);
            map.insert([source | 40_000 << 32 | 1 << 48, 0], [word.0, 0, 0], 0)?;
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.plane.take());
        if let Err(error) = balancer_user::dataplane::detach(&self.directory) {
            eprintln!("{}: {error}", self.directory.display());
        }
    }
}

fn load_tools(object: &[u8], plane: &Dataplane, directory: &std::path::Path) -> Result<Ebpf> {
    let maps = directory.join(format!("v{LAYOUT_VERSION}"));
    let dimensions = plane.dimensions();
    let mut loader = EbpfLoader::new();
    for table in TableId::ALL {
        loader.map_max_entries(table.name(), dimensions.lines(*table));
        loader.map_pin_path(table.name(), maps.join(table.name()));
    }
    for (name, entries) in
        [("TRAFFIC", MAX_BACKENDS), ("SIGNALS", MAX_BACKENDS), ("REASONS", Reason::COUNT as u32)]
    {
        loader.map_max_entries(name, entries);
        loader.map_pin_path(name, maps.join(name));
    }
    loader.map_max_entries("TWIN", FLOWS);
    loader.override_global("SETTINGS", bytemuck::bytes_of(plane.settings()), true);
    let mut tools = loader.load(object).context("loading the measuring object")?;
    for name in ["prologue", "floor", "floor_outer", "twin"] {
        let program: &mut Xdp = tools.program_mut(name).context(name)?.try_into()?;
        program.load().context(name)?;
    }
    Ok(tools)
}

fn fill(plane: &mut Dataplane) -> Result<()> {
    plane.set_interfaces(&[(INGRESS, OWN)])?;
    let listeners = [
        entry(plane, 1, PLAIN, VIP4.into(), Proto::Tcp),
        entry(plane, 2, PLAIN, VIP4.into(), Proto::Udp),
        entry(plane, 3, PLAIN, VIP6.into(), Proto::Tcp),
        entry(plane, 4, TUNNELLED, VIP_TUNNEL.into(), Proto::Tcp),
        entry(plane, 5, TRANSLATED, VIP_NAT.into(), Proto::Tcp),
        entry(plane, 6, TRANSLATED, VIP6_NAT.into(), Proto::Tcp),
    ];
    let mut origins = Vec::new();
    for service in [PLAIN, TUNNELLED, TRANSLATED] {
        plane.set_service(service.number, u64::from(service.number), listeners[0].affinity_timeout);
        service.fill(plane)?;
        origins.extend((service.mode == Mode::Nat).then(|| service.origins()).into_iter().flatten());
    }
    Ok(plane.set_listeners(&listeners, &origins)?)
}

fn entry(plane: &Dataplane, listener: u16, service: Service, address: IpAddr, proto: Proto) -> ListenerEntry {
    let clock = plane.clock();
    let seconds = |s| clock.flow_ticks(Duration::from_secs(s));
    ListenerEntry {
        key: ListenerKey { address: wide(address), port: PORT, proto: proto as u8 },
        listener,
        service: service.number,
        by: AffinityBy::Client,
        salt: 1,
        maglev_size: MAGLEV,
        affinity_timeout: clock.pin_ticks(Duration::from_secs(3600)),
        v4_prefix: 32,
        v6_prefix: 128,
        timeouts: TimeoutTicks {
            syn: seconds(3600),
            established: seconds(7200),
            closing: seconds(30),
            udp: seconds(7200),
        },
        on_none: OnNone::Drop,
        on_expire: OnExpire::Forget,
        nat: service.mode == Mode::Nat,
        echo: Echo::Pass,
    }
}

/// A service with [`BACKENDS`] backends, whose numbers begin at 1, 9, 17.
#[derive(Clone, Copy)]
struct Service {
    number: u16,
    mode: Mode,
}

const PLAIN: Service = Service { number: 1, mode: Mode::L2dsr };
const TUNNELLED: Service = Service { number: 2, mode: Mode::Ipip };
const TRANSLATED: Service = Service { number: 3, mode: Mode::Nat };

impl Service {
    fn backends(self) -> impl Iterator<Item = u16> {
        (1..=BACKENDS).map(move |n| (self.number - 1) * BACKENDS + n)
    }

    /// An address of a backend, or the first of the sources.
    fn address(number: u16, v4: bool) -> [u32; 4] {
        match v4 {
            true => [u32::from_ne_bytes([10, 0, 1, number as u8]), 0, 0, 0],
            false => bytemuck::cast([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, number as u8]),
        }
    }

    fn sources(v4: bool) -> Sources {
        Sources { first: Self::address(0, v4), host_bits: HOST_BITS }
    }

    fn block(self, number: u16) -> Block {
        let place = u32::from((number - 1) % BACKENDS);
        Block { base: place * (WORDS << HOST_BITS) * PORTS_A_WORD, first: 1024, words: WORDS as u16 }
    }

    fn origins(self) -> impl Iterator<Item = OriginEntry> {
        self.backends().flat_map(move |number| {
            [true, false].map(|v4| OriginEntry {
                key: origin::key(origin_address(Self::address(number, v4), v4), PORT, Proto::Tcp as u8),
                sources: Self::sources(v4),
                block: self.block(number),
                kept: [0; 4],
                mss: 0,
            })
        })
    }

    fn fill(self, plane: &mut Dataplane) -> Result<()> {
        let line = plane.interface_line(INGRESS).context("the interface has no line")?;
        let state = BackendState {
            serving: Serving(Serving::FLOWS | Serving::PINNED | Serving::NEW),
            admin: Admin::Ready,
            health: Health::Up,
            mode: self.mode,
            service: self.number,
        };
        for number in self.backends() {
            let hop = NextHop::new([2, 0, 0, 0, 1, number as u8], line).by(self.mode);
            for v4 in [true, false] {
                let way = Way {
                    sources: Self::sources(v4),
                    destination: Self::address(number, v4),
                    v6: !v4,
                    port: PORT,
                    mtu: 1500,
                    block: self.block(number),
                    hop,
                    ..Way::default()
                };
                plane.set_way(number, v4, &way)?;
            }
            plane.set_next_hop(number, hop);
            plane.set_backend(number, u64::from(number), state);
        }
        let names: Vec<String> = self.backends().map(|number| format!("backend-{number}")).collect();
        let entrants: Vec<Entrant<'_>> = names
            .iter()
            .zip(self.backends())
            .map(|(name, number)| Entrant { name, number, weight: 1 })
            .collect();
        let mut slots = vec![0; MAGLEV as usize];
        maglev::fill(&mut slots, &mut vec![Walk::default(); names.len()], &entrants, &SEED);
        Ok(plane.set_maglev(self.number, &slots)?)
    }
}

const fn origin_address(words: [u32; 4], v4: bool) -> [u64; 2] {
    let [a, b, c, d] = words;
    if v4 { wide4(a) } else { [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32] }
}

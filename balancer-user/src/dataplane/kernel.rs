//! The kernel's side: loads the program over maps that are kept in bpffs.

use super::{
    Dataplane, DataplaneError,
    bpffs::{self, Directory},
    clock::{Clock, nearest_hz},
    counts::{BackendCounts, PacketCounters},
    links::Links,
    probes::Probes,
    steer::Steering,
    tables::Tables,
};
use crate::sys::Region;
use aya::{
    Ebpf, EbpfLoader, TestRunOptions,
    maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues},
    programs::{TestRun as _, Xdp},
    util::nr_cpus,
};
use balancer_common::{
    layout::Dimensions,
    probe,
    reason::Reason,
    settings::Settings,
    table::{TableId, backend::MAX_BACKENDS},
};
use std::{
    os::fd::AsFd as _,
    path::PathBuf,
    time::{Duration, Instant},
};

pub use super::links::Attached;

/// Name of the program in the object.
const PROGRAM: &str = "balancer";
/// Name of the program that reads the kernel's clocks.
const CLOCK: &str = "clock";
/// Name of the constants in the object.
const SETTINGS: &str = "SETTINGS";
/// Names of the per-CPU counters.
const TRAFFIC: &str = "TRAFFIC";
const REASONS: &str = "REASONS";
const SIGNALS: &str = "SIGNALS";
/// Name of the table of health checks by the datapath.
const PROBES: &str = "PROBES";
/// How far the two readings of the clock lie apart: 1 % of it is one jiffy at 1,000 Hz.
const CLOCK_SPAN: Duration = Duration::from_millis(100);

/// The compiled XDP object.
#[must_use]
pub fn xdp_object() -> &'static [u8] {
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/balancer-ebpf"))
}

/// Where the maps are kept and how large they are to be if they must be made.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Directory of the bpffs objects.
    pub bpffs: PathBuf,
    /// Sizes of the tables, if they must be made; tables that exist keep theirs.
    pub dimensions: Dimensions,
    /// Seed of Maglev.
    pub hash_seed: [u8; 16],
}

/// The loaded program, and its links.
pub(super) struct Kernel {
    pub(super) ebpf: Ebpf,
    links: Links,
    pub(super) steering: Steering,
    directory: Directory,
}

impl Kernel {
    pub(super) fn attached(&self) -> &[Attached] {
        self.links.attached()
    }
}

impl Dataplane {
    /// Opens the maps, or makes them, and loads the program over them. Nothing is attached yet.
    ///
    /// # Errors
    /// If bpffs cannot be had, a map there is of another shape, or the kernel refuses the program.
    pub fn open(options: &OpenOptions) -> Result<Self, DataplaneError> {
        let directory = Directory::open(&options.bpffs)?;
        // The first load makes or opens the maps and reads the clocks; only then the constants are known.
        let mut first = load(&directory, &options.dimensions, None)?;
        let clock = read_clock(&mut first)?;
        let regions = map_regions(&first, &directory)?;
        let counters = Counters::take(&mut first)?;
        drop(first);
        let mut dataplane =
            Self::over(regions, options.dimensions, options.hash_seed, clock, Box::new(counters));
        bpffs::check_shapes(&directory, &dataplane.tables.dimensions)?;
        let mut ebpf = load(&directory, &options.dimensions, Some(&dataplane.tables.settings))?;
        load_program(&mut ebpf, PROGRAM)?;
        dataplane.probes = Probes::new(map_region(&ebpf, PROBES)?);
        let (links, steering) = (Links::default(), Steering::default());
        dataplane.kernel = Some(Kernel { ebpf, links, steering, directory });
        Ok(dataplane)
    }

    /// Puts the program on an interface: into the link that an agent before left there, without a gap, or a new one.
    /// `seen` is the number of the program that was seen there, to name it if it is somebody else's.
    ///
    /// # Errors
    /// If there is no such interface, or somebody else's program is on it.
    pub fn attach(
        &mut self,
        interface: &str,
        mode: crate::config::model::XdpMode,
        seen: Option<u32>,
    ) -> Result<Attached, DataplaneError> {
        let Some(kernel) = &mut self.kernel else {
            return Err(DataplaneError::NoInterface { interface: interface.to_owned() });
        };
        let program = program(&mut kernel.ebpf, PROGRAM)?;
        kernel.links.attach(program, &kernel.directory, interface, mode, seen)
    }

    /// Takes the program off every interface that [`Self::attach`] was not called for: those that an agent before
    /// served and this one does not.
    ///
    /// # Errors
    /// If a link cannot be removed.
    pub fn detach_others(&mut self) -> Result<(), DataplaneError> {
        self.kernel.as_ref().map_or(Ok(()), |kernel| kernel.links.remove_others(&kernel.directory))
    }

    /// Takes the program off its interfaces and every bpffs object away.
    ///
    /// # Errors
    /// If an object cannot be removed.
    pub fn detach(mut self) -> Result<(), DataplaneError> {
        let Some(Kernel { ebpf, links: _, steering, directory }) = self.kernel.take() else {
            return Ok(());
        };
        drop((steering, ebpf));
        directory.remove()
    }

    /// Runs the program once on a frame that came in by the interface with index `ingress`: the verdict, and the
    /// frame as it left. For tests and benchmarks; `None` without a kernel.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn test_run(&mut self, frame: &[u8], ingress: u32) -> Result<Option<(u32, Vec<u8>)>, DataplaneError> {
        let Some(kernel) = &mut self.kernel else { return Ok(None) };
        let program = program(&mut kernel.ebpf, PROGRAM)?;
        let mut out = vec![0; frame.len() + 64];
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context: Vec<u8> =
            [0, frame.len() as u32, 0, ingress, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let what = "BPF_PROG_TEST_RUN";
        let result = program.test_run(options).map_err(|source| error(what, source))?;
        out.truncate(result.data_size_out as usize);
        Ok(Some((result.return_value, out)))
    }

    /// The loaded program, for benchmarks that call it from another one.
    ///
    /// # Errors
    /// If the object has none.
    pub fn program(&mut self) -> Result<Option<&mut Xdp>, DataplaneError> {
        self.kernel.as_mut().map(|kernel| program(&mut kernel.ebpf, PROGRAM)).transpose()
    }

    /// Instructions that the verifier looked at when it loaded the program (Linux 5.16).
    #[must_use]
    pub fn verified_instructions(&mut self) -> Option<u32> {
        let kernel = self.kernel.as_mut()?;
        program(&mut kernel.ebpf, PROGRAM).ok()?.info().ok()?.verified_instruction_count()
    }
}

fn error(what: &str, source: aya::programs::ProgramError) -> DataplaneError {
    DataplaneError::Program { what: what.to_owned(), source }
}

/// Parses the object, over the maps in the directory.
fn load(
    directory: &Directory,
    dimensions: &Dimensions,
    settings: Option<&Settings>,
) -> Result<Ebpf, DataplaneError> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    for table in TableId::ALL {
        loader.map_max_entries(table.name(), dimensions.lines(*table));
        loader.map_pin_path(table.name(), directory.map(table.name()));
    }
    for (name, entries) in per_cpu_maps() {
        loader.map_max_entries(name, entries);
        loader.map_pin_path(name, directory.map(name));
    }
    loader.map_max_entries(PROBES, probe::TABLE);
    if let Some(settings) = settings {
        loader.override_global(SETTINGS, bytemuck::bytes_of(settings), true);
    }
    Ok(loader.load(xdp_object())?)
}

/// Names and entries of the per-CPU counters.
pub(super) fn per_cpu_maps() -> [(&'static str, u32); 3] {
    [(TRAFFIC, MAX_BACKENDS), (SIGNALS, MAX_BACKENDS), (REASONS, Reason::COUNT as u32)]
}

pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, DataplaneError> {
    let missing = || aya::programs::ProgramError::UnexpectedProgramType;
    ebpf.program_mut(name)
        .ok_or_else(missing)
        .and_then(TryInto::try_into)
        .map_err(|source| error(&format!("the object has no XDP program {name:?}"), source))
}

pub(super) fn load_program(ebpf: &mut Ebpf, name: &str) -> Result<(), DataplaneError> {
    program(ebpf, name)?.load().map_err(|source| error("the kernel refuses the XDP program", source))
}

/// Reads jiffies against the monotonic clock, twice, to learn how long a jiffy is.
fn read_clock(ebpf: &mut Ebpf) -> Result<Clock, DataplaneError> {
    load_program(ebpf, CLOCK)?;
    let clock = program(ebpf, CLOCK)?;
    let (jiffies_before, ns_before) = clock_reading(clock)?;
    std::thread::sleep(CLOCK_SPAN);
    let (jiffies, ns) = clock_reading(clock)?;
    let at = Instant::now();
    let measured = (jiffies - jiffies_before) as f64 * 1e9 / (ns - ns_before) as f64;
    Ok(Clock::new(nearest_hz(measured), jiffies, at))
}

fn clock_reading(clock: &Xdp) -> Result<(u64, u64), DataplaneError> {
    let frame = [0; 64];
    let mut out = [0; 64];
    let options =
        TestRunOptions { data_in: Some(&frame), data_out: Some(&mut out), ..TestRunOptions::default() };
    clock.test_run(options).map_err(|source| error("reading the kernel's clocks", source))?;
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| out[at + i]));
    Ok((word(0), word(8)))
}

fn map_regions(ebpf: &Ebpf, directory: &Directory) -> Result<Vec<Region>, DataplaneError> {
    TableId::ALL
        .iter()
        .map(|table| match ebpf.map(table.name()) {
            Some(Map::Array(_)) => map_region(ebpf, table.name()),
            _ => Err(bpffs::foreign(directory, table.name())),
        })
        .collect()
}

fn map_region(ebpf: &Ebpf, name: &'static str) -> Result<Region, DataplaneError> {
    let Some(Map::Array(map)) = ebpf.map(name) else {
        let source = MapError::InvalidName { name: name.to_owned() };
        return Err(DataplaneError::Map { name, source });
    };
    let entries = map.info().map_err(|source| DataplaneError::Map { name, source })?.max_entries();
    Region::map(map.fd().as_fd(), entries).map_err(|source| DataplaneError::Mmap { name, source })
}

/// The per-CPU counters of the packet path.
struct Counters {
    traffic: PerCpuArray<MapData, [u64; 8]>,
    signals: PerCpuArray<MapData, [u64; 8]>,
    reasons: PerCpuArray<MapData, u64>,
}

impl Counters {
    fn take(ebpf: &mut Ebpf) -> Result<Self, DataplaneError> {
        let mut take = |name: &'static str| {
            ebpf.take_map(name).ok_or(DataplaneError::Map {
                name,
                source: aya::maps::MapError::InvalidName { name: name.to_owned() },
            })
        };
        let traffic = take(TRAFFIC)?;
        let signals = take(SIGNALS)?;
        let reasons = take(REASONS)?;
        Ok(Self {
            traffic: traffic.try_into().map_err(|source| DataplaneError::Map { name: TRAFFIC, source })?,
            signals: signals.try_into().map_err(|source| DataplaneError::Map { name: SIGNALS, source })?,
            reasons: reasons.try_into().map_err(|source| DataplaneError::Map { name: REASONS, source })?,
        })
    }

    /// Clears a backend's counters. What it counted of the reason `flow` is kept: that counter never goes back.
    fn retire(&mut self, number: u16) -> Result<(), MapError> {
        let mut counts = BackendCounts::default();
        self.traffic.get(&u32::from(number), 0)?.iter().for_each(|words| counts.add(words));
        let kept = self.reasons.get(&Reason::Flow.index(), 0)?.iter().sum::<u64>() + counts.settled;
        let cpus = nr_cpus().map_err(|(_, error)| error)?;
        let mut flow = vec![0; cpus];
        flow[0] = kept;
        self.reasons.set(Reason::Flow.index(), PerCpuValues::try_from(flow)?, 0)?;
        self.signals.set(u32::from(number), PerCpuValues::try_from(vec![[0; 8]; cpus])?, 0)?;
        self.traffic.set(u32::from(number), PerCpuValues::try_from(vec![[0; 8]; cpus])?, 0)
    }
}

impl PacketCounters for Counters {
    fn backend(&self, number: u16) -> Vec<[u64; 8]> {
        let values = self.traffic.get(&u32::from(number), 0);
        values.map(|values| values.to_vec()).unwrap_or_default()
    }

    fn signals(&self, number: u16) -> Vec<[u64; 8]> {
        let values = self.signals.get(&u32::from(number), 0);
        values.map(|values| values.to_vec()).unwrap_or_default()
    }

    fn reason(&self, reason: Reason) -> u64 {
        self.reasons.get(&reason.index(), 0).map_or(0, |values| values.iter().sum())
    }

    fn clear(&mut self, number: u16) {
        if let Err(error) = self.retire(number) {
            tracing::warn!(number, %error, "the counters of a freed backend number could not be cleared");
        }
    }
}

/// Without an agent: takes every link and map away. False if there was nothing.
///
/// # Errors
/// If an object cannot be removed, or an agent runs with them.
pub fn detach(bpffs: &std::path::Path) -> Result<bool, DataplaneError> {
    bpffs::remove(bpffs)
}

impl std::fmt::Debug for Dataplane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tables: Tables { dimensions, .. }, kernel, adopted, counters: _, probes: _ } = self;
        f.debug_struct("Dataplane")
            .field("dimensions", dimensions)
            .field("kernel", &kernel.is_some())
            .field("adopted", adopted)
            .finish_non_exhaustive()
    }
}

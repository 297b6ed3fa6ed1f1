//! The programs on a backend that take packets out of tunnels: loaded, attached, fed with addresses, and counted.
//!
//! They and their maps are kept in a bpffs directory of their own, one an interface, so that they can outlive the command.

use super::{
    Attached, DataplaneError,
    bpffs::{self, Directory},
    kernel::xdp_object,
    links::Links,
};
use crate::{
    config::model::XdpMode,
    sys::{self, Region},
};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, PerCpuArray},
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        links::{FdLink, LinkError},
        tc::TcAttachOptions,
    },
};
use balancer_common::{
    decap::{
        COUNTERS, Event,
        rules::{self, Prefix},
    },
    layout::LAYOUT_VERSION,
    table::line::{HostLine, Line as _},
};
use std::{
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

/// Names in the object.
const UNWRAP: &str = "decap";
const CLAMP: &str = "mss";
const RULES: &str = "DECAP";
const COUNTS: &str = "DECAP_COUNTS";

/// Whose tunnels end here, and what else is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunnelRules {
    /// The addresses that tunnels end at.
    pub own: Vec<Prefix>,
    /// Where they may come from; anywhere, if empty.
    pub sources: Vec<Prefix>,
    /// What the MSS of SYNs that leave is clamped to.
    pub mss: Option<u16>,
}

/// The programs, loaded.
pub struct Decap {
    ebpf: Ebpf,
    links: Links,
    directory: Directory,
    tables: DecapTables,
}

/// What they share with whoever looks: the rules and the counters.
pub struct DecapTables {
    rules: Region,
    counts: PerCpuArray<MapData, u64>,
}

impl Decap {
    /// Loads the programs over the maps in `bpffs`, or over new ones. Nothing is attached that was not.
    ///
    /// # Errors
    /// If bpffs cannot be had, another process has the directory, or the kernel refuses the programs.
    pub fn open(bpffs: &Path) -> Result<Self, DataplaneError> {
        let directory = Directory::open(bpffs)?;
        let mut loader = EbpfLoader::new();
        loader.btf(None).map_max_entries(RULES, rules::LINES).map_max_entries(COUNTS, COUNTERS);
        for name in [RULES, COUNTS] {
            loader.map_pin_path(name, directory.map(name));
        }
        let mut ebpf = loader.load(xdp_object())?;
        super::kernel::load_program(&mut ebpf, UNWRAP)?;
        let tables = DecapTables::open(bpffs)?;
        Ok(Self { ebpf, links: Links::default(), directory, tables })
    }

    /// Puts the programs on an interface, where an earlier process left them without a gap. `seen` is the number of the
    /// program that was seen there, to name it if it is somebody else's.
    ///
    /// # Errors
    /// If there is no such interface, or somebody else's program is on it, or the kernel has no TCX (before Linux 6.6) and
    /// an MSS is to be clamped.
    pub fn attach(
        &mut self,
        interface: &str,
        mode: XdpMode,
        seen: Option<u32>,
    ) -> Result<Attached, DataplaneError> {
        let program = super::kernel::program(&mut self.ebpf, UNWRAP)?;
        let attached = self.links.attach(program, &self.directory, interface, mode, seen)?;
        // That of the clamp before, too, and those of an interface that had this name.
        self.links.remove_others(&self.directory)?;
        if self.tables.rules().mss.is_some() {
            self.clamp(interface, self.directory.links().join(CLAMP))?;
        }
        Ok(attached)
    }

    fn clamp(&mut self, interface: &str, path: PathBuf) -> Result<(), DataplaneError> {
        let failed = |source| DataplaneError::Program {
            what: format!("interface {interface}: clamping the MSS, which wants Linux 6.6"),
            source,
        };
        let program = self.ebpf.program_mut(CLAMP).ok_or(ProgramError::UnexpectedProgramType);
        let program: &mut SchedClassifier = program.and_then(TryInto::try_into).map_err(failed)?;
        program.load().map_err(failed)?;
        // The last: what it sees is what leaves.
        let last = TcAttachOptions::TcxOrder(LinkOrder::last());
        let id = program.attach_with_options(interface, TcAttachType::Egress, last).map_err(failed)?;
        let keep = |why: LinkError| DataplaneError::Pin { path: path.clone(), why: why.to_string() };
        let link = program.take_link(id).map_err(failed)?;
        let kept = FdLink::try_from(link).map_err(keep)?.pin(&path);
        kept.map(drop).map_err(|why| DataplaneError::Pin { path: path.clone(), why: why.to_string() })
    }

    /// The rules and counters.
    #[must_use]
    pub fn tables(&self) -> &DecapTables {
        &self.tables
    }

    /// Writes the rules. Packets see the old ones or the new ones, whole.
    ///
    /// # Errors
    /// If the kernel cannot say when the last packet has read the half that is to be written.
    pub fn set_rules(&mut self, rules: &TunnelRules) -> Result<(), DataplaneError> {
        if self.tables.rules() == *rules {
            return Ok(());
        }
        sys::wait_for_readers().map_err(DataplaneError::Membarrier)?;
        let lines = self.tables.rules.lines();
        let half = lines[0].load(rules::WORD_HALF) ^ 1;
        let (numbers, own, sources) = halves(lines, half);
        numbers.store(rules::WORD_OWN, fill(own, &rules.own));
        numbers.store(rules::WORD_SOURCES, fill(sources, &rules.sources));
        numbers.store(rules::WORD_MSS, rules.mss.unwrap_or(0).into());
        lines[0].store(rules::WORD_HALF, half);
        Ok(())
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// If an object cannot be removed.
    pub fn detach(self) -> Result<(), DataplaneError> {
        let Self { ebpf, links: _, directory, tables } = self;
        drop((ebpf, tables));
        directory.remove()
    }
}

/// As many as there is room for; how many those are.
fn fill(lines: &[HostLine], prefixes: &[Prefix]) -> u64 {
    lines.iter().zip(prefixes).map(|(line, prefix)| line.restore(&prefix.words())).count() as u64
}

/// A half's numbers, own addresses and sources.
fn halves(lines: &[HostLine], half: u64) -> (&HostLine, &[HostLine], &[HostLine]) {
    let first = rules::half_line(half) as usize;
    let (own, sources) = lines[first + 1..].split_at(rules::PREFIXES as usize);
    (&lines[first], own, &sources[..rules::PREFIXES as usize])
}

impl DecapTables {
    /// Opens the maps that are kept in `bpffs`.
    ///
    /// # Errors
    /// If there are none.
    pub fn open(bpffs: &Path) -> Result<Self, DataplaneError> {
        let open = |name: &'static str| {
            let path = bpffs.join(format!("v{LAYOUT_VERSION}")).join(name);
            MapData::from_pin(path).map_err(|source| DataplaneError::Map { name, source })
        };
        let rules = Region::map(open(RULES)?.fd().as_fd(), rules::LINES)
            .map_err(|source| DataplaneError::Mmap { name: RULES, source })?;
        let counts = Map::PerCpuArray(open(COUNTS)?).try_into();
        let counts = counts.map_err(|source| DataplaneError::Map { name: COUNTS, source })?;
        Ok(Self { rules, counts })
    }

    /// The rules as they stand.
    #[must_use]
    pub fn rules(&self) -> TunnelRules {
        let lines = self.rules.lines();
        let (numbers, own, sources) = halves(lines, lines[0].load(rules::WORD_HALF));
        let read = |lines: &[HostLine], word: usize| {
            lines.iter().take(numbers.load(word) as usize).map(Prefix::of).collect()
        };
        TunnelRules {
            own: read(own, rules::WORD_OWN),
            sources: read(sources, rules::WORD_SOURCES),
            mss: Some(numbers.load(rules::WORD_MSS) as u16).filter(|mss| *mss != 0),
        }
    }

    /// Packets by event, since the maps were made.
    #[must_use]
    pub fn counts(&self) -> Vec<(Event, u64)> {
        let count =
            |event: Event| self.counts.get(&(event as u32), 0).map_or(0, |values| values.iter().sum());
        Event::ALL.iter().map(|event| (*event, count(*event))).collect()
    }
}

/// Mode of the program that is kept in `bpffs`; `None` if there is none.
#[must_use]
pub fn decap_mode(bpffs: &Path) -> Option<String> {
    let links = std::fs::read_dir(bpffs.join(bpffs::LINKS)).ok()?.flatten();
    links.filter_map(|link| Some(link.file_name().to_str()?.split_once('-')?.1.to_owned())).next()
}

//! What can go wrong with the tables and the program.

use crate::lock::LockError;
use std::{io, path::PathBuf};

/// Why the tables or the program cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// The directory of the bpffs objects is not on a bpffs.
    #[error(
        "{path}: not on a bpffs, and none could be mounted there ({why}); mount one with `mount -t bpf bpf /sys/fs/bpf`"
    )]
    NoBpffs {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        why: io::Error,
    },
    /// Another agent has the bpffs objects.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// A directory or file could not be made or removed.
    #[error("{path}: {source}")]
    File {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A bpffs object is not what this version makes.
    #[error(
        "{path}: a map of {found} entries and {bytes} bytes each, expected {expected} and {expected_bytes}; it was made by another version: `balancer detach` takes it away (its flows and pins are lost)"
    )]
    ForeignMap {
        /// Its bpffs object.
        path: PathBuf,
        /// Entries that it has.
        found: u32,
        /// Bytes of an entry.
        bytes: u32,
        /// Entries that this version makes.
        expected: u32,
        /// Bytes of an entry that this version makes.
        expected_bytes: u32,
    },
    /// The object does not load; the verifier's log is in the source.
    #[error("the XDP program does not load")]
    Load(#[from] aya::EbpfError),
    /// The kernel refused the program.
    #[error("{what}")]
    Program {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: aya::programs::ProgramError,
    },
    /// A map cannot be used.
    #[error("map {name}")]
    Map {
        /// Its name.
        name: &'static str,
        /// What the kernel said.
        source: aya::maps::MapError,
    },
    /// A map cannot be mapped.
    #[error("map {name} cannot be mapped into the agent: {source}")]
    Mmap {
        /// Its name.
        name: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The interface does not exist.
    #[error("interface {interface}: no such interface on this host; `ip link` lists them")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// Somebody else's XDP program is on the interface.
    #[error(
        "interface {interface}: another XDP program is attached{program}; it is left alone: take it away first (`ip link show {interface}` and `bpftool prog` show it)"
    )]
    ForeignProgram {
        /// The interface.
        interface: String,
        /// The program, if it could be told.
        program: String,
    },
    /// The kernel gave no link that can be kept in bpffs.
    #[error(
        "interface {interface}: the kernel attaches XDP without a link (before Linux 5.9?), which would not outlive the agent"
    )]
    NoLink {
        /// The interface.
        interface: String,
    },
    /// The programs of health checks by the datapath cannot be had.
    #[error(
        "interface {interface}: health checks by the datapath cannot be had here (they want Linux 6.6); set health.via = \"direct\""
    )]
    NoSteering {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: aya::programs::ProgramError,
    },
    /// A link cannot be kept.
    #[error("{path}: the XDP link cannot be kept there: {why}")]
    Pin {
        /// Its bpffs object.
        path: PathBuf,
        /// What the kernel said.
        why: String,
    },
    /// The kernel cannot say when readers have left.
    #[error("membarrier: {0}")]
    Membarrier(io::Error),
    /// Too many listeners.
    #[error("{listeners} listeners do not fit")]
    TooManyListeners {
        /// How many there are.
        listeners: usize,
    },
    /// No perfect hash was found.
    #[error("no seed keeps the {keys} listeners and addresses apart")]
    NoSeed {
        /// How many keys there are.
        keys: usize,
    },
    /// No room for a Maglev table.
    #[error(
        "service number {service}: no room for a Maglev table of {size} slots in the maps as they are; `balancer reload --yes` makes larger ones (flows and pins are lost)"
    )]
    MaglevPoolFull {
        /// The service's number.
        service: u16,
        /// Slots that it wants.
        size: u32,
    },
    /// Too many interfaces on neighbouring lines of the table.
    #[error("interface index {index}: no room beside the other interfaces")]
    TooManyInterfaces {
        /// The index.
        index: u32,
    },
}

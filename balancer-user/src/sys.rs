//! The few system calls that no library wraps, and the only pointers into the tables.

use aya_obj::generated::{bpf_attr, bpf_cmd};
use balancer_common::table::line::HostLine;
use memmap2::{MmapOptions, MmapRaw};
use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// A table of lines, mapped from a kernel map or in heap memory.
#[derive(Debug)]
pub(crate) struct Region {
    memory: Memory,
    lines: usize,
}

#[derive(Debug)]
enum Memory {
    Heap(Vec<HostLine>),
    Mapped(MmapRaw),
}

impl Region {
    /// Zeroed lines in heap memory.
    #[must_use]
    pub(crate) fn heap(lines: u32) -> Self {
        let lines = lines as usize;
        Self { memory: Memory::Heap((0..lines).map(|_| HostLine::default()).collect()), lines }
    }

    /// Maps the `lines` lines of a mmap-able array map (`BPF_F_MMAPABLE`, Linux 5.5), shared and writable.
    ///
    /// # Errors
    /// What `mmap` says.
    pub(crate) fn map(map: BorrowedFd<'_>, lines: u32) -> io::Result<Self> {
        let lines = lines as usize;
        let memory = MmapOptions::new().len(lines * size_of::<HostLine>()).map_raw(map.as_raw_fd())?;
        Ok(Self { memory: Memory::Mapped(memory), lines })
    }

    /// Its lines.
    #[must_use]
    pub(crate) fn lines(&self) -> &[HostLine] {
        match &self.memory {
            Memory::Heap(lines) => lines,
            // SAFETY: the mapping is page-aligned, holds this many lines, and lives as long as `self`. A line is
            // made of atomics, which the kernel may change at any time.
            Memory::Mapped(memory) => unsafe {
                std::slice::from_raw_parts(memory.as_ptr().cast::<HostLine>(), self.lines)
            },
        }
    }
}

const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

/// Returns when every reader that began before has ended: all packets that may still see what was there before
/// the last store to a root word (Linux 4.3).
///
/// # Errors
/// What `membarrier` says.
pub(crate) fn wait_for_readers() -> io::Result<()> {
    // SAFETY: the call touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes the link that a bpffs object holds off its interface (`BPF_LINK_DETACH`, Linux 5.9). The program is off when
/// this returns; a link whose object was only removed goes some time later.
///
/// # Errors
/// What `bpf` says.
pub(crate) fn detach_link(object: &Path) -> io::Result<()> {
    let path = CString::new(object.as_os_str().as_bytes())?;
    let mut attribute = empty_attribute();
    attribute.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    let link = bpf(bpf_cmd::BPF_OBJ_GET, &attribute)?;
    // SAFETY: the kernel has just opened it for this process, and nobody else knows of it.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    let mut attribute = empty_attribute();
    attribute.link_detach.link_fd = link.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_LINK_DETACH, &attribute).map(|_zero| ())
}

fn empty_attribute() -> bpf_attr {
    // SAFETY: a union of plain integers; the kernel wants what is not used to be zero.
    unsafe { std::mem::zeroed() }
}

fn bpf(command: bpf_cmd, attribute: &bpf_attr) -> io::Result<i32> {
    let size = size_of::<bpf_attr>();
    // SAFETY: the attribute is of this size, and what it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attribute), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

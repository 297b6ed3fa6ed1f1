//! The few system calls that no library wraps, and the only pointers into the tables.

use balancer_common::table::line::HostLine;
use memmap2::{MmapOptions, MmapRaw};
use std::{io, os::fd::AsRawFd as _, os::fd::BorrowedFd};

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

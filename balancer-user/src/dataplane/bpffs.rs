//! The bpffs objects: maps in a directory named after the layout's version, links beside it.

use super::{DataplaneError, kernel::per_cpu_maps};
use crate::{lock::Lock, sys};
use aya::maps::MapInfo;
use balancer_common::{
    layout::{Dimensions, LAYOUT_VERSION, LINE},
    table::TableId,
};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{FsType, statfs},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// `BPF_FS_MAGIC` (include/uapi/linux/magic.h).
const BPF_FS_MAGIC: FsType = FsType(0xcafe_4a11);
/// Where systemd mounts bpffs, and where it is mounted if it is missing.
const USUAL_MOUNT: &str = "/sys/fs/bpf";
pub(super) const LINKS: &str = "links";

/// The directory of the bpffs objects. One process has it at a time: two agents would steer the same tables.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: Lock,
}

impl Directory {
    /// Makes the directory, on a bpffs that is mounted if need be.
    pub(super) fn open(path: &Path) -> Result<Self, DataplaneError> {
        ensure_bpffs(path)?;
        make(path)?;
        let directory = Self { path: path.to_owned(), _lock: Lock::take_directory(path)? };
        make(&directory.maps())?;
        make(&directory.links())?;
        Ok(directory)
    }

    /// Removes all that is in it, and the directory.
    pub(super) fn remove(self) -> Result<(), DataplaneError> {
        remove_all(&self.path)
    }

    fn maps(&self) -> PathBuf {
        self.path.join(format!("v{LAYOUT_VERSION}"))
    }

    /// Directory of the links.
    pub(super) fn links(&self) -> PathBuf {
        self.path.join(LINKS)
    }

    /// Object of a map.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// Removes the maps of other layouts: the program that used them has been replaced.
    pub(super) fn forget_other_layouts(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path != self.maps() && path != self.links() && path.is_dir() {
                match remove_tree(&path) {
                    Ok(()) => tracing::info!(path = %path.display(), "maps of another layout taken away"),
                    Err(error) => tracing::warn!(%error, "maps of another layout are left"),
                }
            }
        }
    }
}

fn make(path: &Path) -> Result<(), DataplaneError> {
    fs::create_dir_all(path).map_err(|source| DataplaneError::File { path: path.to_owned(), source })
}

/// Mounts a bpffs at its usual place if the directory would lie there and none is mounted.
fn ensure_bpffs(path: &Path) -> Result<(), DataplaneError> {
    if is_bpffs(path) {
        return Ok(());
    }
    let no = |why| DataplaneError::NoBpffs { path: path.to_owned(), why };
    if !path.starts_with(USUAL_MOUNT) {
        return Err(no(io::Error::from(io::ErrorKind::NotFound)));
    }
    mount(Some("bpf"), USUAL_MOUNT, Some("bpf"), MsFlags::empty(), None::<&str>)
        .map_err(|errno| no(io::Error::from(errno)))
}

/// Whether the nearest existing ancestor of a path lies on a bpffs.
fn is_bpffs(path: &Path) -> bool {
    let nearest = path.ancestors().find(|one| one.exists());
    nearest.and_then(|one| statfs(one).ok()).is_some_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
}

/// Checks that every map has the entries and the entry size that these dimensions make.
pub(super) fn check_shapes(directory: &Directory, dimensions: &Dimensions) -> Result<(), DataplaneError> {
    let tables = TableId::ALL.iter().map(|table| (table.name(), dimensions.lines(*table), LINE as u32));
    let counters = per_cpu_maps().into_iter().zip([LINE as u32, LINE as u32, 8]);
    for (name, expected, expected_bytes) in tables.chain(counters.map(|((name, n), bytes)| (name, n, bytes)))
    {
        let path = directory.map(name);
        let info = MapInfo::from_pin(&path).map_err(|source| DataplaneError::Map { name, source })?;
        let (found, bytes) = (info.max_entries(), info.value_size());
        if (found, bytes) != (expected, expected_bytes) {
            return Err(DataplaneError::ForeignMap { path, found, bytes, expected, expected_bytes });
        }
    }
    Ok(())
}

/// The error for an object that is no table at all.
pub(super) fn foreign(directory: &Directory, name: &'static str) -> DataplaneError {
    let path = directory.map(name);
    let (found, bytes) =
        MapInfo::from_pin(&path).map_or((0, 0), |info| (info.max_entries(), info.value_size()));
    DataplaneError::ForeignMap { path, found, bytes, expected: 0, expected_bytes: LINE as u32 }
}

/// Removes the directory of an agent that does not run. False if there was nothing.
pub(super) fn remove(path: &Path) -> Result<bool, DataplaneError> {
    if !path.exists() {
        return Ok(false);
    }
    let _lock = Lock::take_directory(path)?;
    remove_all(path)?;
    Ok(true)
}

/// Links first, so that no packet meets half of the maps, then the maps.
fn remove_all(path: &Path) -> Result<(), DataplaneError> {
    let links = path.join(LINKS);
    let failed = |source| DataplaneError::File { path: links.clone(), source };
    if links.exists() {
        for link in fs::read_dir(&links).map_err(failed)? {
            remove_link(&link.map_err(failed)?.path())?;
        }
    }
    remove_tree(path)
}

/// Takes the program off the interface, and its link away.
pub(super) fn remove_link(path: &Path) -> Result<(), DataplaneError> {
    // Without this the kernel does it some time after the object is gone.
    if let Err(error) = sys::detach_link(path) {
        tracing::debug!(path = %path.display(), %error, "the link goes with its bpffs object");
    }
    fs::remove_file(path).map_err(|source| DataplaneError::File { path: path.to_owned(), source })
}

fn remove_tree(path: &Path) -> Result<(), DataplaneError> {
    fs::remove_dir_all(path).map_err(|source| DataplaneError::File { path: path.to_owned(), source })
}

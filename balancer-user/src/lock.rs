//! The locks that keep a second agent from the same state and the same tables.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Name of the lock's file in the state directory.
const NAME: &str = "lock";

/// Why the lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent has it.
    #[error(
        "another agent{} runs with {}; stop it first, or give this one another state_dir and bpffs",
        of_pid(pid), path.display()
    )]
    Taken {
        /// Process of the other agent, if it can be told.
        pid: Option<u32>,
        /// The lock's file, or the directory that is locked.
        path: PathBuf,
    },
    /// The system said no.
    #[error("lock {}: {source}; is its directory writable?", path.display())]
    Io {
        /// The lock's file, or the directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

fn of_pid(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// The lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a state directory and leaves this process's id in it.
    ///
    /// # Errors
    /// [`LockError::Taken`] names the process that has it.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join(NAME);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Without a readable pid the refusal stands all the same.
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(LockError::Taken { pid, path });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// Takes the lock of a directory itself, where no file can be made: that of the bpffs objects.
    ///
    /// # Errors
    /// [`LockError::Taken`] names the process that has it.
    pub fn take_directory(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let directory = File::open(path).map_err(failed)?;
        match directory.try_lock() {
            Ok(()) => Ok(Self { _file: directory }),
            Err(TryLockError::WouldBlock) => {
                Err(LockError::Taken { pid: holder(&directory), path: path.to_owned() })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// The process that holds the lock of a file.
fn holder(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    holder_in(
        &fs::read_to_string("/proc/locks").ok()?,
        &format!("{major:02x}:{minor:02x}:{}", metadata.ino()),
    )
}

/// The process in the line of `file` (device and inode, `00:2a:17`) of `/proc/locks`:
/// `1: FLOCK  ADVISORY  WRITE 4242 00:2a:17 0 EOF` (`Documentation/filesystems/proc.rst`).
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    let holder = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, of, ..] = words[..] else { return None };
        (of == file).then(|| pid.parse().ok())?
    };
    locks.lines().find_map(holder)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_with_the_pid_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Lock::take(directory.path()).unwrap();
        let refusal = Lock::take(directory.path()).unwrap_err().to_string();
        assert!(refusal.contains(&format!("(pid {})", std::process::id())), "{refusal}");
    }

    #[test]
    fn the_lock_is_free_when_its_holder_has_gone() {
        let directory = tempfile::tempdir().unwrap();
        drop(Lock::take(directory.path()).unwrap());
        Lock::take(directory.path()).unwrap();
    }

    #[test]
    fn a_locked_directory_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take_directory(directory.path()).unwrap();
        let refusal = Lock::take_directory(directory.path()).unwrap_err().to_string();
        assert!(refusal.contains(&format!("(pid {})", std::process::id())), "{refusal}");
        assert!(refusal.contains(&directory.path().display().to_string()), "{refusal}");
        drop(first);
        Lock::take_directory(directory.path()).unwrap();
    }

    #[test]
    fn the_holder_is_he_who_has_it_and_not_one_who_waits() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 00:2a:17 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 00:2a:18 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 00:2a:17 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 10 00:2a:17 0 EOF\n";
        assert_eq!(holder_in(locks, "00:2a:17"), Some(9));
        assert_eq!(holder_in(locks, "00:2a:19"), None);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let refusal = Lock::take(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(refusal.contains("/nonexistent/lock"), "{refusal}");
    }
}

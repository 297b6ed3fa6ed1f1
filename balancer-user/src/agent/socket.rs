//! The socket of the API: private, and never taken from a living agent.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{net::UnixListener, sync::oneshot, task::JoinHandle, time};

use crate::{api::server, control::Handle};

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bound socket.
pub(super) struct Bound {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket of ours, removed in the end.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!("API socket {}: {error}", self.0.display());
        }
    }
}

/// Binds the socket. One that a dead agent has left is replaced.
pub(super) fn bind(path: &Path) -> Result<Bound> {
    let named = || format!("API socket {}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(named)?;
    }
    refuse_taken(path)?;
    // Made beside its place, so that nobody can connect before it is private.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    remove(Path::new(&beside)).with_context(named)?;
    let listener = UnixListener::bind(&beside).with_context(named)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).with_context(named)?;
    fs::rename(&beside, path).with_context(named)?;
    Ok(Bound { listener, file: SocketFile(path.to_owned()) })
}

fn refuse_taken(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("API socket {}: {error}", path.display()),
        Ok(found) if !found.file_type().is_socket() => {
            bail!("API socket {}: something else is there; move it aside, or set agent.api", path.display())
        }
        Ok(_) => {}
    }
    if UnixStream::connect(path).is_ok() {
        bail!("API socket {}: another agent answers there; stop it first, or set agent.api", path.display());
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The server of the API.
pub(super) struct Server {
    _file: SocketFile,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

/// Serves the API.
pub(super) fn serve(Bound { listener, file }: Bound, handle: Handle) -> Server {
    let (stop, stopped) = oneshot::channel::<()>();
    let service = server::router(handle).into_make_service_with_connect_info::<server::Peer>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async { drop(stopped.await) });
    Server { _file: file, stop, task: tokio::spawn(serving.into_future()) }
}

impl Server {
    /// Lets the last answers out.
    pub(super) async fn end(self) {
        let Self { _file, stop, mut task } = self;
        drop(stop);
        if time::timeout(PATIENCE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/api.sock");
        let _listener = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[tokio::test]
    async fn a_living_agents_socket_is_refused_and_a_dead_ones_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let Bound { listener, file } = bind(&path).unwrap();
        let refusal = bind(&path).err().unwrap().to_string();
        assert!(refusal.contains("another agent answers"), "{refusal}");
        // A dead agent leaves its socket.
        drop(listener);
        std::mem::forget(file);
        let second = bind(&path).unwrap();
        drop(second);
        assert!(!path.exists(), "one that ends in order does not");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        fs::write(&path, "precious").unwrap();
        let refusal = bind(&path).err().unwrap().to_string();
        assert!(refusal.contains("something else is there"), "{refusal}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}

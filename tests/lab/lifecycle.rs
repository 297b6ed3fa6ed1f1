//! A lab from nothing to running and back to nothing.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::task::yield_now;

use crate::{
    agent::Balancer, config, netns::run, network, paths::Place, process, servers, shape::Shape,
    topology::Host,
};

/// How much of a lab to bring up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Namespaces, links, addresses and routes.
    Network,
    /// And the backends' servers.
    Servers,
    /// And the agent, with all backends up.
    Agent,
}

/// Brings a lab up; what an earlier one with the same prefix left behind must have been taken down.
///
/// On an error, or when it is dropped half-way, the lab is half made: [`down`] takes it away. It can be dropped between
/// two steps only, so nothing is made behind `down`'s back.
///
/// # Errors
/// When a part of the lab is there already, or with the step that failed.
pub async fn up(place: &Place, extent: Extent) -> Result<()> {
    up_in(place, Shape::default(), extent).await
}

/// As [`up`], in a network of this shape.
///
/// # Errors
/// As [`up`].
pub async fn up_in(place: &Place, shape: Shape, extent: Extent) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the lab makes network namespaces: run it as root");
    }
    if exists(place) {
        bail!("the lab {:?} is there already: take it down first", place.prefix().to_string());
    }
    make_dirs(place)?;
    fs::write(place.config(), config::text(place))?;
    network::build(place, shape).await?;
    if extent >= Extent::Servers {
        for backend in Host::backends() {
            servers::start(place, backend)?;
            yield_now().await;
        }
    }
    if extent >= Extent::Agent {
        let balancer = Balancer::of(place)?;
        balancer.start()?;
        balancer.await_ready().await?;
        balancer.await_all_up().await?;
    }
    Ok(())
}

/// Whether anything of the lab is there.
#[must_use]
pub fn exists(place: &Place) -> bool {
    place.dir().exists() || place.all_netns().any(|netns| netns.path().exists())
}

/// Takes a lab down, whole or half made; nothing to do is fine too.
///
/// # Errors
/// With everything that could not be taken away.
pub fn down(place: &Place) -> Result<()> {
    let namespaces: Vec<_> = place.all_netns().collect();
    let mut failures: Vec<anyhow::Error> = Vec::new();
    failures.extend(process::end_all(&namespaces).err());
    failures.extend(unmount_bpffs(place).err());
    failures.extend(namespaces.iter().filter_map(|netns| netns.delete().err()));
    if failures.is_empty() {
        failures.extend(remove_dir(&place.dir()).err());
    }
    if failures.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = failures.iter().map(|failure| format!("{failure:#}")).collect();
    bail!("the lab is not all gone: {}", all.join("; "))
}

fn make_dirs(place: &Place) -> Result<()> {
    for dir in ["log", "run", "state", "bpf"] {
        let path = place.dir().join(dir);
        fs::create_dir_all(&path).with_context(|| format!("directory {} can't be made", path.display()))?;
    }
    // A bpffs of its own: labs never see each other's objects.
    run(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(place.bpffs()))
}

fn unmount_bpffs(place: &Place) -> Result<()> {
    let give_up = Instant::now() + Duration::from_secs(2);
    while is_mount(&place.bpffs())? {
        let unmounted = run(Command::new("umount").arg(place.bpffs()));
        if unmounted.is_err() && Instant::now() > give_up {
            return unmounted;
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether something is mounted right there: an unmounted `bpf` directory must not be mistaken for it.
fn is_mount(path: &Path) -> Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let path = path.to_string_lossy();
    Ok(mounts.lines().any(|line| line.split_whitespace().nth(1) == Some(&path)))
}

fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("directory {} can't be removed", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Held while a program works on a lab, so that two do not build or take down the same one at once.
///
/// An abstract socket name: it ends with the process, however that ends, and leaves no file.
#[derive(Debug)]
pub struct Claim {
    _listener: UnixListener,
}

impl Claim {
    /// Claims the lab.
    ///
    /// # Errors
    /// When another program holds it.
    pub fn on(place: &Place) -> Result<Self> {
        let name = format!("{}lab", place.prefix());
        let address = SocketAddr::from_abstract_name(&name)?;
        let listener = UnixListener::bind_addr(&address).with_context(|| {
            format!("another program works on the lab {:?} right now", place.prefix().to_string())
        })?;
        Ok(Self { _listener: listener })
    }
}

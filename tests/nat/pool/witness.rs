//! The server: which port each connection comes from, and whether what it hears is all its own.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::netns::Netns;
use socket2::{Domain, Socket, Type};

use super::talk::{Ending, Frame, await_end, patient, reset};

/// Longer than any client is silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);

/// The ports of a backend's translated connections.
#[derive(Clone, Copy)]
pub(super) struct Pool {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Pool {
    pub(super) const fn ports(self) -> usize {
        (self.last - self.first) as usize + 1
    }

    const fn has(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// What has been seen of a port.
#[derive(Default)]
struct Port {
    uses: u32,
    live: bool,
    ended: Option<Instant>,
}

/// What has been seen of all ports.
pub(super) struct Books {
    pool: Pool,
    ports: BTreeMap<u16, Port>,
    /// The shortest time between the end of a connection and the next one from its port.
    pub(super) shortest_rest: Option<Duration>,
    /// Everything that was not meant for the connection that it came to.
    pub(super) wrong: Vec<String>,
}

impl Books {
    /// Uses of the port that was used least, but for those of `held` connections that had one each all the time.
    pub(super) fn fewest_uses(&self, held: u16) -> u32 {
        let mut uses: Vec<_> = (self.pool.first..=self.pool.last).map(|port| self.uses(port)).collect();
        // A lasting connection's port is used once.
        let lasting =
            (0..held).filter_map(|_| uses.iter().position(|uses| *uses == 1).map(|at| uses.swap_remove(at)));
        let lasting = lasting.count();
        if lasting < held.into() { 0 } else { uses.into_iter().min().unwrap_or_default() }
    }

    /// Uses of the port that was used most.
    pub(super) fn most_uses(&self) -> u32 {
        self.ports.values().map(|port| port.uses).max().unwrap_or_default()
    }

    fn uses(&self, port: u16) -> u32 {
        self.ports.get(&port).map_or(0, |port| port.uses)
    }

    fn begins(&mut self, number: u16) {
        let port = self.ports.entry(number).or_default();
        if port.live {
            self.wrong.push(format!("port {number} has a second connection beside a live one"));
        }
        port.uses += 1;
        port.live = true;
        let rest = port.ended.map(|ended| ended.elapsed());
        self.shortest_rest = self.shortest_rest.into_iter().chain(rest).min();
    }

    fn ends(&mut self, number: u16) {
        let port = self.ports.entry(number).or_default();
        port.live = false;
        port.ended = Some(Instant::now());
    }
}

/// A server, until this is dropped.
pub(super) struct Witness {
    books: Arc<Mutex<Books>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    pub(super) fn start(netns: &Netns, address: SocketAddr, pool: Pool) -> Result<Self> {
        let listener = netns.inside(|| listen(address))?;
        let books = Books { pool, ports: BTreeMap::new(), shortest_rest: None, wrong: Vec::new() };
        let (books, stop) = (Arc::new(Mutex::new(books)), Arc::<AtomicBool>::default());
        let (theirs, until) = (Arc::clone(&books), Arc::clone(&stop));
        let thread = thread::spawn(move || accept(&listener, pool, &theirs, &until));
        Ok(Self { books, stop, thread: Some(thread) })
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has shown it already.
            let _ = thread.join();
        }
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A listener whose `accept` comes back now and then (`SO_RCVTIMEO`).
fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_read_timeout(Some(LOOK))?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

fn accept(listener: &TcpListener, pool: Pool, books: &Arc<Mutex<Books>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, from)) = listener.accept() else { continue };
        let (port, ours) = (from.port(), pool.has(from.port()));
        if ours {
            lock(books).begins(port);
        }
        let books = Arc::clone(books);
        thread::spawn(move || {
            let outcome = if ours { serve(stream) } else { is_a_check(&stream) };
            let mut books = lock(&books);
            if ours {
                books.ends(port);
            }
            if let Err(error) = outcome {
                books.wrong.push(format!("the server's connection from port {port}: {error:#}"));
            }
        });
    }
}

/// What comes from elsewhere than the pool are health checks, which say nothing.
fn is_a_check(stream: &TcpStream) -> Result<()> {
    patient(stream, PATIENCE)?;
    match Frame::receive(stream) {
        Ok(Some(frame)) => anyhow::bail!("it is none of the pool, and says {frame:?}"),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// One conversation, to the end that it names.
fn serve(stream: TcpStream) -> Result<()> {
    patient(&stream, PATIENCE)?;
    let first = Frame::receive(&stream)?.context("it ends without a word")?;
    let mut frame = first;
    while !frame.last {
        frame.send(&stream)?;
        frame = Frame::receive(&stream)
            .with_context(|| format!("{:x}", first.id))?
            .with_context(|| format!("{:x} ends too early", first.id))?;
        ensure!((frame.id, frame.ending) == (first.id, first.ending), "{first:?} says {frame:?}");
    }
    match first.ending {
        Ending::ClientCloses => await_end(&stream, false),
        Ending::ClientResets => await_end(&stream, true),
        // It is dropped.
        Ending::ServerCloses => Ok(()),
        Ending::ServerResets => reset(stream),
    }
    .with_context(|| format!("{first:?}"))
}

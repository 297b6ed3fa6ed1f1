//! The clients: one connection after another, from many addresses and ports, with every kind of end.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use anyhow::{Context as _, Error, Result, ensure};
use lab::{
    paths::Place,
    topology::{CLIENT_HOSTS, Host, client_v4, client_v6},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use socket2::{Domain, Socket, Type};

use super::talk::{Ending, Frame, await_end, patient, reset};

/// How long a connection or an answer may take: not even a lost packet's second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses that each client host calls from.
const ADDRESSES: u8 = 100;
/// Ports that are taken again and again, beside those that the kernel chooses.
const FAVOURITES: u16 = 20_000;

/// What became of the connections.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) served: u64,
    /// Refused for want of a port; each caller comes again.
    pub(super) refused: u64,
    pub(super) wrong: Vec<String>,
}

/// Callers, each on a thread of its own.
pub(super) struct Callers {
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Callers {
    pub(super) fn start(place: &Place, target: SocketAddr, callers: u64) -> Self {
        let mut all = Self { tally: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        for number in 1..=callers {
            let caller = Caller {
                host: 1 + (number % u64::from(CLIENT_HOSTS)) as u8,
                target,
                random: StdRng::seed_from_u64(number << 1 | u64::from(target.is_ipv6())),
            };
            let netns = place.netns(Host::Client(caller.host));
            let (tally, stop) = (Arc::clone(&all.tally), Arc::clone(&all.stop));
            all.threads.push(thread::spawn(move || {
                let outcome = netns.inside(|| {
                    caller.call(&tally, &stop);
                    Ok(())
                });
                if let Err(error) = outcome {
                    tally.lock().unwrap_or_else(PoisonError::into_inner).wrong.push(format!("{error:#}"));
                }
            }));
        }
        all
    }

    /// Lets each caller finish its connection.
    pub(super) fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // One that panicked has shown it already.
            let _ = thread.join();
        }
        std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Caller {
    host: u8,
    target: SocketAddr,
    random: StdRng,
}

/// What became of one connection, unless it is an error.
enum Outcome {
    Served,
    Refused,
    /// Its own host does not let it have that port yet.
    Busy,
}

impl Caller {
    fn call(mut self, tally: &Mutex<Tally>, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let outcome = self.one();
            let refused = matches!(outcome, Ok(Outcome::Refused));
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(Outcome::Served) => tally.served += 1,
                Ok(Outcome::Refused) => tally.refused += 1,
                Ok(Outcome::Busy) => {}
                Err(error) => tally.wrong.push(format!("a client's connection: {error:#}")),
            }
            drop(tally);
            if refused {
                self.pause(50..300);
            }
        }
    }

    fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.random.random_range(milliseconds)));
    }

    fn one(&mut self) -> Result<Outcome> {
        let stream = match self.connect() {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(Outcome::Refused),
            Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) => {
                return Ok(Outcome::Busy);
            }
            Err(error) => return Err(Error::new(error).context("it does not get through")),
        };
        let own = stream.local_addr()?;
        let frame = Frame {
            id: self.random.random(),
            ending: Ending::ALL[self.random.random_range(0..Ending::ALL.len())],
            last: false,
        };
        self.converse(stream, frame).with_context(|| format!("{own}, {frame:?}"))?;
        Ok(Outcome::Served)
    }

    fn connect(&mut self) -> io::Result<TcpStream> {
        let n = self.random.random_range(1..=ADDRESSES);
        let source = if self.target.is_ipv4() { client_v4(self.host, n) } else { client_v6(self.host, n) };
        let favourite = self.random.random_ratio(1, 4);
        let port = if favourite { FAVOURITES + self.random.random_range(0..4) } else { 0 };
        let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(source, port).into())?;
        socket.connect_timeout(&self.target.into(), PATIENCE)?;
        Ok(socket.into())
    }

    fn converse(&mut self, stream: TcpStream, frame: Frame) -> Result<()> {
        patient(&stream, PATIENCE)?;
        for _ in 0..self.random.random_range(1..=4) {
            exchange(&stream, frame)?;
            self.pause(0..80);
        }
        Frame { last: true, ..frame }.send(&stream)?;
        match frame.ending {
            Ending::ClientCloses => {
                stream.shutdown(std::net::Shutdown::Write)?;
                await_end(&stream, false)
            }
            Ending::ClientResets => reset(stream),
            Ending::ServerCloses => await_end(&stream, false),
            Ending::ServerResets => await_end(&stream, true),
        }
    }
}

/// Says a frame, and wants the very same back.
pub(super) fn exchange(stream: &TcpStream, frame: Frame) -> Result<()> {
    frame.send(stream)?;
    let back = Frame::receive(stream)?.context("it is closed too early")?;
    ensure!(back == frame, "{frame:?} is answered by {back:?}");
    Ok(())
}

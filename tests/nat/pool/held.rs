//! Connections that last, and are heard of every second: their ports are nobody else's.

use std::{
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{
    paths::Place,
    topology::{Host, client_v4, client_v6},
};
use socket2::{Domain, Socket, Type};

use super::{
    callers::exchange,
    talk::{Ending, Frame, await_end, patient},
};

const HOME: u8 = 1;
const PATIENCE: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(1);
/// The first of their addresses: no caller's.
const FIRST: u8 = 201;
const ADDRESSES: u16 = 50;

/// The connections of one family.
pub(super) struct Held {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Held {
    pub(super) fn open(place: &Place, target: SocketAddr, count: u16) -> Result<Self> {
        let streams = place.netns(Host::Client(HOME)).inside(|| {
            (0..count).map(|number| Ok((frame(number), connect(target, number)?))).collect::<Result<Vec<_>>>()
        })?;
        let stop = Arc::<AtomicBool>::default();
        let until = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut disturbed = Vec::new();
            let mut streams = streams;
            while !until.load(Ordering::Relaxed) {
                streams.retain(|(frame, stream)| kept(exchange(stream, *frame), *frame, &mut disturbed));
                sleep(EVERY);
            }
            streams.retain(|(frame, stream)| kept(end(stream, *frame), *frame, &mut disturbed));
            disturbed
        });
        Ok(Self { stop, thread })
    }

    /// Ends them; what has disturbed them.
    pub(super) fn close(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| vec!["the lasting connections' thread panicked".to_owned()])
    }
}

fn frame(number: u16) -> Frame {
    Frame { id: u64::from(number), ending: Ending::ClientCloses, last: false }
}

fn connect(target: SocketAddr, number: u16) -> Result<TcpStream> {
    let n = FIRST + (number % ADDRESSES) as u8;
    let source = if target.is_ipv4() { client_v4(HOME, n) } else { client_v6(HOME, n) };
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    let connected = socket.connect_timeout(&target.into(), PATIENCE);
    connected.with_context(|| format!("{source} does not get through to {target}"))?;
    let stream = socket.into();
    patient(&stream, PATIENCE)?;
    Ok(stream)
}

fn end(stream: &TcpStream, frame: Frame) -> Result<()> {
    Frame { last: true, ..frame }.send(stream)?;
    stream.shutdown(Shutdown::Write)?;
    await_end(stream, false)
}

fn kept(outcome: Result<()>, frame: Frame, disturbed: &mut Vec<String>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(error) => {
            disturbed.push(format!("lasting connection {}: {error:#}", frame.id));
            false
        }
    }
}

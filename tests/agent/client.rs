//! Clients of a test: requests and sessions over TCP, and a stream of datagrams.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use lab::{
    paths::Place,
    topology::{Host, UDP_PORT, WEB_PORT, client_host_of, client_v4, client_v6, vip_for},
    wire::{Answer, Numbered},
};
use socket2::{Domain, Socket, Type};

/// How long a connection or an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two datagrams of a [`Stream`].
const EVERY: Duration = Duration::from_millis(5);

/// As many clients as that, half of them v6.
pub(crate) fn clients(count: u8) -> Vec<IpAddr> {
    (1..=count).map(|n| if n % 2 == 0 { client_v6(1 + n % 4, n) } else { client_v4(1 + n % 4, n) }).collect()
}

/// A connection to nginx through the service address.
pub(crate) struct Session {
    /// The client.
    pub(crate) source: IpAddr,
    stream: BufReader<TcpStream>,
}

impl Session {
    /// Connects, and says nothing yet.
    pub(crate) fn open(place: &Place, source: IpAddr) -> Result<Self> {
        Self::open_to(place, source, WEB_PORT)
    }

    /// To another port of the service address.
    pub(crate) fn open_to(place: &Place, source: IpAddr, port: u16) -> Result<Self> {
        let target = SocketAddr::new(vip_for(source), port);
        let connect = || {
            let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect_timeout(&target.into(), PATIENCE)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        };
        let socket = home(place, source)?.inside(connect);
        let socket = socket.with_context(|| format!("{source} does not get through to {target}"))?;
        Ok(Self { source, stream: BufReader::new(socket.into()) })
    }

    /// Asks; the answer is the backend's name.
    pub(crate) fn ask(&mut self) -> Result<String> {
        self.exchange().with_context(|| format!("the session of {} is broken", self.source))
    }

    fn exchange(&mut self) -> Result<String> {
        self.stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the backend has closed it");
            }
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse()?,
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?.trim().to_owned())
    }
}

/// One request of a client, on a connection of its own: the name of the backend that answered.
pub(crate) fn ask(place: &Place, source: IpAddr) -> Result<String> {
    Session::open(place, source)?.ask()
}

/// A session of each of these clients, with the backend that it is on.
pub(crate) fn sessions(place: &Place, sources: Vec<IpAddr>) -> Result<Vec<(Session, String)>> {
    let open = |source| {
        let mut session = Session::open(place, source)?;
        let backend = session.ask()?;
        Ok((session, backend))
    };
    sources.into_iter().map(open).collect()
}

/// Every session still is with its backend.
pub(crate) fn undisturbed(sessions: &mut [(Session, String)]) -> Result<()> {
    for (session, backend) in sessions {
        let answered = session.ask()?;
        if answered != *backend {
            bail!("the session of {} moved from {backend} to {answered}", session.source);
        }
    }
    Ok(())
}

/// The namespace of a client.
fn home(place: &Place, source: IpAddr) -> Result<lab::netns::Netns> {
    let host = client_host_of(source).with_context(|| format!("{source} is no client"))?;
    Ok(place.netns(Host::Client(host)))
}

/// One flow of datagrams, one every 5 ms, each of which wants its answer.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Result<u64>>,
    receiver: JoinHandle<Result<(BTreeSet<u64>, BTreeSet<String>)>>,
}

/// How a [`Stream`] went.
#[derive(Debug)]
pub(crate) struct Streamed {
    /// Datagrams that were sent.
    pub(crate) sent: u64,
    /// The numbers of those that nobody answered.
    pub(crate) lost: Vec<u64>,
    /// Who answered.
    pub(crate) backends: BTreeSet<String>,
}

impl Stream {
    /// Begins.
    pub(crate) fn start(place: &Place, source: IpAddr) -> Result<Self> {
        let socket = home(place, source)?.inside(|| {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
            socket.connect(SocketAddr::new(vip_for(source), UDP_PORT))?;
            Ok(socket)
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sending, stopped) = (socket.try_clone()?, Arc::clone(&stop));
        Ok(Self {
            sender: thread::spawn(move || send(&sending, &stopped)),
            receiver: thread::spawn(move || receive(&socket)),
            stop,
        })
    }

    /// Ends, and waits for the last answers.
    pub(crate) fn stop(self) -> Result<Streamed> {
        self.stop.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread of the stream panicked");
        let sent = self.sender.join().map_err(panicked)??;
        let (answered, backends) = self.receiver.join().map_err(panicked)??;
        Ok(Streamed { sent, lost: (1..=sent).filter(|n| !answered.contains(n)).collect(), backends })
    }
}

fn send(socket: &UdpSocket, stop: &AtomicBool) -> Result<u64> {
    let (begun, mut n) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        // An ICMP error of an earlier one may show up here: its missing answer says enough.
        let _ = socket.send(&serde_json::to_vec(&Numbered { n })?);
        thread::sleep((begun + EVERY * u32::try_from(n)?).saturating_duration_since(Instant::now()));
    }
    Ok(n)
}

fn receive(socket: &UdpSocket) -> Result<(BTreeSet<u64>, BTreeSet<String>)> {
    let (mut answered, mut backends) = (BTreeSet::new(), BTreeSet::new());
    socket.set_read_timeout(Some(Duration::from_millis(700)))?;
    let mut buffer = [0; 512];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let answer: Answer = serde_json::from_slice(&buffer[..length])?;
                answered.insert(answer.echo);
                backends.insert(answer.backend);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((answered, backends)),
            Err(_) => {}
        }
    }
}

//! Real clients with real sockets, thousands of them, each with an address of its own.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use futures_util::{StreamExt as _, stream};
use lab::{
    node::{
        ledger::Ledger,
        lines::Lines,
        talk::{Failure, Talk as _},
    },
    paths::Place,
    topology::{Host, LINES_PORT, vip_for},
    wire::Numbered,
};
use socket2::{Domain, Socket, Type};
use tokio::{net::TcpSocket, time::timeout};

/// Client hosts that these clients are on; the flood comes from another one.
const HOSTS: u32 = 3;
/// Conversations under way at once.
const AT_ONCE: usize = 48;

/// Client `number` (below 390,000): every other one v6, with a `/64` of its own.
pub(crate) fn address(number: u32) -> IpAddr {
    let (host, n) = ((number / 2 % HOSTS + 1) as u8, number / 2 / HOSTS + 300);
    if number.is_multiple_of(2) {
        let [.., high, low] = n.to_be_bytes();
        Ipv4Addr::new(10, 80 + host, high, low).into()
    } else {
        Ipv6Addr::new(0xfd78, 0, host.into(), n as u16, 0, 0, 0, 1).into()
    }
}

/// The client host of an [`address`].
pub(crate) fn host_of(source: IpAddr) -> u8 {
    match source {
        IpAddr::V4(v4) => v4.octets()[1] - 80,
        IpAddr::V6(v6) => v6.segments()[2] as u8,
    }
}

/// Makes the v4 addresses of [`address`] local on their hosts, and known on the backends; the v6 ones are already.
pub(crate) fn make_room(place: &Place) -> Result<()> {
    for n in 1..=HOSTS as u8 {
        let (net, host) = (format!("10.{}.0.0/16", 80 + n), Host::Client(n));
        place.netns(host).ip(&format!("route add local {net} dev lo\n"))?;
        for backend in Host::backends() {
            place.netns(backend).ip(&format!("route add {net} via {}\n", host.v4()))?;
        }
    }
    Ok(())
}

/// A socket for each of these clients, made in the client's namespace and bound to its address.
pub(crate) fn sockets(place: &Place, sources: &[IpAddr]) -> Result<Vec<(IpAddr, TcpSocket)>> {
    let mut by_host: BTreeMap<u8, Vec<IpAddr>> = BTreeMap::new();
    for source in sources {
        by_host.entry(host_of(*source)).or_default().push(*source);
    }
    let mut made = Vec::with_capacity(sources.len());
    for (host, sources) in by_host {
        made.extend(place.netns(Host::Client(host)).inside(|| {
            let bound =
                |source| Ok((source, socket(source).with_context(|| format!("no socket for {source}"))?));
            sources.into_iter().map(bound).collect::<Result<Vec<_>>>()
        })?);
    }
    Ok(made)
}

fn socket(source: IpAddr) -> Result<TcpSocket> {
    let address = SocketAddr::new(source, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(TcpSocket::from_std_stream(TcpStream::from(socket)))
}

/// A client with a session, and its books.
pub(crate) struct Client {
    /// Its address.
    pub(crate) source: IpAddr,
    /// The backend that its state is on.
    pub(crate) backend: String,
    lines: Lines,
    ledger: Ledger,
}

impl Client {
    /// Connects, and exchanges a message.
    pub(crate) async fn open(source: IpAddr, socket: TcpSocket, patience: Duration) -> Result<Self> {
        let begin = async {
            let lines = Lines::over(socket, SocketAddr::new(vip_for(source), LINES_PORT)).await?;
            let mut client = Self { source, backend: String::new(), lines, ledger: Ledger::default() };
            client.talk().await?;
            client.backend = client.ledger.backend().unwrap_or_default().to_owned();
            Ok(client)
        };
        within(patience, begin).await.with_context(|| format!("client {source}"))
    }

    /// Exchanges a message: the same backend must answer, with the same state.
    pub(crate) async fn exchange(&mut self, patience: Duration) -> Result<()> {
        let source = self.source;
        within(patience, self.talk()).await.with_context(|| format!("the session of {source}"))
    }

    async fn talk(&mut self) -> Result<(), Failure> {
        let n = self.ledger.next();
        Ok(self.ledger.enter(self.lines.exchange(Numbered { n }).await?)?)
    }

    /// Its address and port.
    pub(crate) fn client(&self) -> String {
        SocketAddr::new(self.source, self.lines.port()).to_string()
    }

    /// Ends its own side right behind a message, and hears the answer to it.
    pub(crate) async fn half_close(mut self, patience: Duration) -> Result<()> {
        let n = self.ledger.next();
        let last = async { Ok(self.ledger.enter(self.lines.last_exchange(Numbered { n }).await?)?) };
        within(patience, last).await.with_context(|| format!("the half-closed session of {}", self.source))
    }

    /// Ends the session with a RST.
    pub(crate) fn reset(self) -> Result<()> {
        self.lines.reset().map_err(|failure| anyhow!("{}: {failure}", self.source))
    }

    /// Ends the session in order.
    pub(crate) async fn close(self) {
        self.lines.close().await;
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T> {
    match timeout(patience, work).await {
        Ok(outcome) => outcome.map_err(|failure| anyhow!("{failure}")),
        Err(_) => Err(anyhow!("no answer within {} ms", patience.as_millis())),
    }
}

/// Opens a session of each of these clients.
pub(crate) async fn open_all(place: &Place, sources: &[IpAddr], patience: Duration) -> Result<Vec<Client>> {
    let opening =
        sockets(place, sources)?.into_iter().map(|(source, socket)| Client::open(source, socket, patience));
    let opened: Vec<_> = stream::iter(opening).buffer_unordered(AT_ONCE).collect().await;
    opened.into_iter().collect()
}

/// Every client exchanges a message; what went wrong.
pub(crate) async fn exchange_all(clients: &mut [Client], patience: Duration) -> Vec<anyhow::Error> {
    let talking = clients.iter_mut().map(|client| client.exchange(patience));
    let talked: Vec<_> = stream::iter(talking).buffer_unordered(AT_ONCE).collect().await;
    talked.into_iter().filter_map(Result::err).collect()
}

/// Ends these sessions in order.
pub(crate) async fn close_all(clients: Vec<Client>) {
    stream::iter(clients).for_each_concurrent(AT_ONCE, Client::close).await;
}

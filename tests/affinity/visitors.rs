//! WebSocket clients with manners: they come back when they are told to, and when a server leaves.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use lab::{paths::Place, topology::vip_for};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};

use crate::{clients, fleet::PORT};

/// How long a connection or an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two messages of a session.
const EVERY: Duration = Duration::from_secs(1);
/// Clients that come at once.
const AT_ONCE: usize = 50;
/// Clients that are told at once do not all come back at once; milliseconds.
const SPREAD: u64 = 400;

/// One session of a client.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// Who.
    pub(crate) source: IpAddr,
    /// The server.
    pub(crate) server: String,
    /// When its connection was begun.
    pub(crate) begun: Instant,
    /// How it ended, if it did.
    pub(crate) end: Option<End>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server asked its client to reconnect.
    Asked,
    /// The server closed it with this code.
    Closed(u16),
    /// Without a close frame, which libraries call 1006, or with wrong answers; what was seen.
    Abnormal(String),
    /// This side had enough.
    Over,
}

/// What is known of all clients.
#[derive(Debug, Default)]
struct Books {
    visits: Vec<Visit>,
    refused: Vec<String>,
}

/// Clients that have sessions until they are told to stop.
pub(crate) struct Visitors {
    place: Place,
    books: Arc<Mutex<Books>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<()>>,
}

impl Visitors {
    /// Nobody yet.
    pub(crate) fn none(place: &Place) -> Self {
        let stop = watch::Sender::new(false);
        Self { place: place.clone(), books: Arc::default(), stop, tasks: JoinSet::new() }
    }

    /// These come, some at a time, and have a session each when this returns. A `stubborn` one stays although it is asked
    /// to reconnect.
    pub(crate) async fn come(
        &mut self,
        sources: &[IpAddr],
        stubborn: impl Fn(&IpAddr) -> bool,
    ) -> Result<()> {
        for some in sources.chunks(AT_ONCE) {
            self.come_at_once(some, &stubborn).await?;
        }
        Ok(())
    }

    async fn come_at_once(&mut self, sources: &[IpAddr], stubborn: impl Fn(&IpAddr) -> bool) -> Result<()> {
        let expected = lock(&self.books).visits.len() + sources.len();
        for source in sources {
            let client = Client {
                source: *source,
                stubborn: stubborn(source),
                place: self.place.clone(),
                books: Arc::clone(&self.books),
                stop: self.stop.subscribe(),
            };
            self.tasks.spawn(client.live());
        }
        crate::stand::until("every client has a session", async || {
            Ok(lock(&self.books).visits.len() >= expected)
        })
        .await
    }

    /// All sessions so far.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        lock(&self.books).visits.clone()
    }

    /// The open ones, by server.
    pub(crate) fn at(&self) -> BTreeMap<String, usize> {
        let mut at = BTreeMap::new();
        for visit in self.visits().into_iter().filter(|visit| visit.end.is_none()) {
            *at.entry(visit.server).or_default() += 1;
        }
        at
    }

    /// No connection failed, and no session ended but by a word of its server.
    pub(crate) fn all_in_order(&self) -> Result<()> {
        let books = lock(&self.books);
        ensure!(books.refused.is_empty(), "{} connections failed: {}", books.refused.len(), books.refused[0]);
        let abnormal: Vec<_> =
            books.visits.iter().filter(|visit| matches!(visit.end, Some(End::Abnormal(_)))).collect();
        ensure!(abnormal.is_empty(), "{} sessions broke, e.g. {:?}", abnormal.len(), abnormal[0]);
        Ok(())
    }

    /// All leave; every session so far.
    pub(crate) async fn go(mut self) -> Result<Vec<Visit>> {
        self.stop.send_replace(true);
        while let Some(task) = self.tasks.join_next().await {
            task??;
        }
        Ok(self.visits())
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client.
struct Client {
    source: IpAddr,
    stubborn: bool,
    place: Place,
    books: Arc<Mutex<Books>>,
    stop: watch::Receiver<bool>,
}

impl Client {
    async fn live(mut self) -> Result<()> {
        while !*self.stop.borrow() {
            let begun = Instant::now();
            match timeout(PATIENCE, self.connect()).await.context("no welcome in time").flatten() {
                Ok((stream, server)) => self.visit(stream, server, begun).await,
                Err(error) => lock(&self.books).refused.push(format!("{}: {error:#}", self.source)),
            }
            sleep(Duration::from_millis(rand::random_range(0..SPREAD))).await;
        }
        Ok(())
    }

    async fn connect(&self) -> Result<(WebSocketStream<TcpStream>, String)> {
        let (place, source) = (self.place.clone(), self.source);
        let mut made = spawn_blocking(move || clients::sockets(&place, &[source])).await??;
        let (_, socket) = made.pop().context("no socket")?;
        let target = SocketAddr::new(vip_for(source), PORT);
        let stream = socket.connect(target).await?;
        let (mut stream, _) = client_async(format!("ws://{target}/"), stream).await?;
        let welcome = hear(&mut stream).await.map_err(|end| anyhow::anyhow!("{end:?} for a welcome"))?;
        match welcome["server"].as_str() {
            Some(server) if welcome["type"] == "welcome" => Ok((stream, server.to_owned())),
            _ => bail!("{welcome} for a welcome"),
        }
    }

    async fn visit(&mut self, mut stream: WebSocketStream<TcpStream>, server: String, begun: Instant) {
        let visit = Visit { source: self.source, server: server.clone(), begun, end: None };
        let index = {
            let mut books = lock(&self.books);
            books.visits.push(visit);
            books.visits.len() - 1
        };
        let end = self.stay(&mut stream, &server).await;
        if matches!(end, End::Asked | End::Over) {
            let _ = timeout(PATIENCE, leave(&mut stream)).await;
        }
        lock(&self.books).visits[index].end = Some(end);
    }

    /// Exchanges messages until something ends it.
    async fn stay(&mut self, stream: &mut WebSocketStream<TcpStream>, server: &str) -> End {
        let mut pause = EVERY.mul_f64(rand::random_range(0.2..1.0));
        for count in 1_u64.. {
            let told = tokio::select! {
                () = sleep(pause) => None,
                _ = self.stop.changed() => return End::Over,
                heard = hear(stream) => Some(heard),
            };
            pause = EVERY;
            let outcome = match told {
                Some(Ok(word)) if word["type"] == "reconnect" => self.asked(),
                Some(Ok(word)) => Err(End::Abnormal(format!("unasked: {word}"))),
                Some(Err(end)) => Err(end),
                None => self.exchange(stream, server, count).await,
            };
            if let Err(end) = outcome {
                return end;
            }
        }
        End::Over
    }

    const fn asked(&self) -> Result<(), End> {
        if self.stubborn { Ok(()) } else { Err(End::Asked) }
    }

    /// One message and its answer, which must come from the server that has this session's count.
    async fn exchange(
        &self,
        stream: &mut WebSocketStream<TcpStream>,
        server: &str,
        count: u64,
    ) -> Result<(), End> {
        let broken = |error| End::Abnormal(format!("{error}"));
        stream.send(Message::text("here I am")).await.map_err(broken)?;
        loop {
            let answer = timeout(PATIENCE, hear(stream)).await;
            let answer = answer.map_err(|_| End::Abnormal("no answer".to_owned()))??;
            match answer["type"].as_str() {
                Some("reconnect") => self.asked()?,
                Some("echo") if answer["server"] == server => return Ok(()),
                _ => return Err(End::Abnormal(format!("to message {count} of {server}: {answer}"))),
            }
        }
    }
}

/// The next text message; how the session ended where there is none.
async fn hear(stream: &mut WebSocketStream<TcpStream>) -> Result<Value, End> {
    loop {
        return match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                serde_json::from_str(&text).map_err(|error| End::Abnormal(format!("{text}: {error}")))
            }
            Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => Err(End::Closed(code.into())),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(other)) => Err(End::Abnormal(format!("{other:?}"))),
            Some(Err(error)) => Err(End::Abnormal(error.to_string())),
            None => Err(End::Abnormal("the stream ended".to_owned())),
        };
    }
}

async fn leave(stream: &mut WebSocketStream<TcpStream>) {
    let _ = stream.close(None).await;
    while let Some(Ok(_)) = stream.next().await {}
}

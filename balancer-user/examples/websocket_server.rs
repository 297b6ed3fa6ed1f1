//! A WebSocket server that leaves without losing a client: a pattern for applications behind the balancer.
//!
//! It needs `health.kind = "http"` and `health.drain_on = [503]` in the balancer's file. At SIGTERM its health check
//! answers 503, so that the balancer sends it nobody new; when every balancer has had the time to notice, it tells its
//! clients to reconnect, and they land elsewhere; at the end of the grace it closes what is left with code 1001 ("going
//! away"), which any client library tells from a failure (1006), and exits.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use clap::Parser;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// How long a client may take to begin a session, and to answer a close.
const PATIENCE: Duration = Duration::from_secs(2);

/// A WebSocket server that drains itself at SIGTERM.
///
/// It says {"type":"welcome","server":NAME} to a new client, and answers each text message with
/// {"type":"echo","server":NAME,"count":N,"text":TEXT}, where N counts the messages of this session.
///
/// SIGTERM: GET /health answers 503 instead of 200. After --lead it sends {"type":"reconnect"} to its clients. After
/// --grace it closes the sessions that are left with code 1001 and exits. Until then new connections are served. A second
/// SIGTERM ends the grace.
#[derive(Debug, Parser)]
struct Options {
    /// What it calls itself.
    #[arg(long, default_value = "websocket_server")]
    name: Arc<str>,
    /// Where it speaks WebSocket.
    #[arg(long, default_value = "[::]:8080")]
    listen: SocketAddr,
    /// Where it answers GET /health.
    #[arg(long, default_value = "[::]:8081")]
    health: SocketAddr,
    /// From SIGTERM until clients are told to reconnect: longer than two intervals of the balancer's health check, or
    /// they come back here.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    lead: Duration,
    /// From SIGTERM until the end; longer than --lead.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    grace: Duration,
}

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Clients are told to reconnect at this time.
    Draining(Instant),
    Closing,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Options { name, listen, health, lead, grace } = Options::parse();
    anyhow::ensure!(grace > lead, "a grace of {grace:?} is not longer than the lead of {lead:?}");
    let mut terminate = signal(SignalKind::terminate())?;
    let phase = watch::Sender::new(Phase::Serving);
    let checks = Router::new().route("/health", get(answer_check)).with_state(phase.subscribe());
    let health = TcpListener::bind(health).await.with_context(|| format!("cannot listen on {health}"))?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    // Until the process ends: a check that is refused would say that all sessions are lost.
    tokio::spawn(axum::serve(health, checks).into_future());

    let mut sessions = JoinSet::new();
    tokio::select! {
        never = accept(&listener, &name, lead, &phase, &mut sessions) => match never? {},
        () = drain(&mut terminate, &phase, lead, grace) => {}
    }
    println!("{}: the grace is over, {} sessions are left", stamp(), sessions.len());
    phase.send_replace(Phase::Closing);
    while sessions.join_next().await.is_some() {}
    Ok(())
}

/// 200, and 503 from the moment on that the server wants to leave.
async fn answer_check(State(phase): State<watch::Receiver<Phase>>) -> (StatusCode, &'static str) {
    match *phase.borrow() {
        Phase::Serving => (StatusCode::OK, "ok\n"),
        Phase::Draining(_) | Phase::Closing => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

/// Waits for SIGTERM, and then until the grace is over.
async fn drain(terminate: &mut Signal, phase: &watch::Sender<Phase>, lead: Duration, grace: Duration) {
    terminate.recv().await;
    println!("{}: draining", stamp());
    phase.send_replace(Phase::Draining(Instant::now() + lead));
    tokio::select! {
        () = sleep(grace) => {}
        _ = terminate.recv() => {}
    }
}

/// Begins a session for each connection.
async fn accept(
    listener: &TcpListener,
    name: &Arc<str>,
    lead: Duration,
    phase: &watch::Sender<Phase>,
    sessions: &mut JoinSet<()>,
) -> Result<std::convert::Infallible> {
    loop {
        while sessions.try_join_next().is_some() {}
        // It fails when the client is gone already, or for want of descriptors: neither ends the server.
        let Ok((stream, _)) = listener.accept().await else { continue };
        sessions.spawn(session(stream, Arc::clone(name), lead, phase.subscribe()));
    }
}

async fn session(stream: TcpStream, name: Arc<str>, lead: Duration, phase: watch::Receiver<Phase>) {
    let _ = stream.set_nodelay(true);
    if let Ok(Ok(stream)) = timeout(PATIENCE, accept_async(stream)).await {
        // A client that vanishes is no business of the others.
        let _ = talk(stream, &name, Instant::now() + lead, phase).await;
    }
}

/// Answers messages until the client or the grace ends it. One that came during the drain is told no sooner than
/// `earliest`: its balancer may not have noticed yet.
async fn talk(
    mut stream: WebSocketStream<TcpStream>,
    name: &str,
    earliest: Instant,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), Error> {
    stream.send(Message::text(json!({"type": "welcome", "server": name}).to_string())).await?;
    let (mut count, mut told) = (0_u64, false);
    loop {
        let now = *phase.borrow_and_update();
        let tell = match now {
            Phase::Draining(at) if !told => Some(at.max(earliest)),
            Phase::Closing => return leave(stream).await,
            Phase::Serving | Phase::Draining(_) => None,
        };
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    count += 1;
                    let echo = json!({"type": "echo", "server": name, "count": count, "text": text.as_str()});
                    stream.send(Message::text(echo.to_string())).await?;
                }
                // tungstenite answers pings and closes itself.
                Some(message) => drop(message?),
                None => return Ok(()),
            },
            () = sleep_until(tell.unwrap_or_else(Instant::now)), if tell.is_some() => {
                told = true;
                stream.send(Message::text(json!({"type": "reconnect"}).to_string())).await?;
            }
            _ = phase.changed() => {}
        }
    }
}

/// Closes a session with code 1001, and waits for the client to agree: data that crosses the close would become a reset.
async fn leave(mut stream: WebSocketStream<TcpStream>) -> Result<(), Error> {
    let frame = CloseFrame { code: CloseCode::Away, reason: "the server is leaving, reconnect".into() };
    stream.close(Some(frame)).await?;
    let _ = timeout(PATIENCE, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    Ok(())
}

fn stamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

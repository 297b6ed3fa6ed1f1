//! What the TCP servers of a backend share: a task for each connection, and a number for each session.

use std::{
    net::Ipv6Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{Answer, Numbered};

/// A backend's name, and how many sessions it has had.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    name: Arc<str>,
    sessions: Arc<AtomicU64>,
}

impl Backend {
    /// Begins a session.
    pub(super) fn session(&self) -> Session {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        Session { name: Arc::clone(&self.name), number, messages: 0 }
    }
}

/// The state of one connection, which exists nowhere else.
#[derive(Debug)]
pub(super) struct Session {
    name: Arc<str>,
    number: u64,
    messages: u64,
}

impl Session {
    /// The answer to the next message.
    pub(super) fn answer(&mut self, message: &Numbered) -> Answer {
        self.messages += 1;
        Answer { backend: self.name.to_string(), session: self.number, n: self.messages, echo: message.n }
    }
}

/// Serves v4 and v6 on `port` until the process ends: `talk` for each connection.
///
/// # Errors
/// When the port is taken.
pub(super) async fn serve<F>(name: &str, port: u16, talk: impl Fn(TcpStream, Backend) -> F) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await;
    let listener = listener.with_context(|| format!("tcp port {port} can't be listened on"))?;
    let backend = Backend { name: name.into(), sessions: Arc::new(AtomicU64::new(0)) };
    loop {
        // An accept fails when the client is gone already, or for want of descriptors: neither ends the server.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        tokio::spawn(talk(stream, backend.clone()));
    }
}

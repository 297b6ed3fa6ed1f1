//! The server of [`lines`](super::lines): each connection has a count that exists nowhere else.

use std::{
    net::Ipv6Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::wire::{Answer, Numbered};

/// Serves v4 and v6 on `port` until the process ends.
///
/// # Errors
/// When the port is taken.
pub async fn serve(name: &str, port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await;
    let listener = listener.with_context(|| format!("tcp port {port} can't be listened on"))?;
    let name: Arc<str> = name.into();
    let sessions = Arc::new(AtomicU64::new(0));
    loop {
        // An accept fails when the client is gone already, or for want of descriptors: neither ends the server.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(session(stream, Arc::clone(&name), Arc::clone(&sessions)));
    }
}

/// Until the client has ended its side; health checks connect and say nothing.
async fn session(stream: TcpStream, name: Arc<str>, sessions: Arc<AtomicU64>) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::with_capacity(128, stream);
    let session = sessions.fetch_add(1, Ordering::Relaxed) + 1;
    let (mut n, mut line) = (0, Vec::new());
    loop {
        line.clear();
        if !stream.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
            return;
        }
        let Ok(Numbered { n: echo }) = serde_json::from_slice(&line) else { return };
        n += 1;
        let Ok(mut answer) = serde_json::to_vec(&Answer { backend: name.to_string(), session, n, echo })
        else {
            return;
        };
        answer.push(b'\n');
        if stream.get_mut().write_all(&answer).await.is_err() {
            return;
        }
    }
}

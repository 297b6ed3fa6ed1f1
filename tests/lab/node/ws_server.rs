//! The WebSocket server of a backend: each connection has state that exists nowhere else.

use std::{
    net::Ipv6Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{accept_async, tungstenite::Message};

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

async fn session(stream: TcpStream, name: Arc<str>, sessions: Arc<AtomicU64>) {
    let _ = stream.set_nodelay(true);
    // Health checks connect and say nothing.
    let Ok(mut stream) = accept_async(stream).await else { return };
    let session = sessions.fetch_add(1, Ordering::Relaxed) + 1;
    let mut n = 0;
    while let Some(Ok(message)) = stream.next().await {
        // tungstenite answers pings and closes itself.
        let Message::Text(text) = message else { continue };
        let Ok(Numbered { n: echo }) = serde_json::from_str(&text) else { return };
        n += 1;
        let answer = Answer { backend: name.to_string(), session, n, echo };
        let Ok(text) = serde_json::to_string(&answer) else { return };
        if stream.send(Message::text(text)).await.is_err() {
            return;
        }
    }
}

//! The UDP server of a backend: a count for each client address and port, lost when the process ends.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, UdpSocket};

use crate::wire::{Answer, Numbered};

/// Serves each address on `port` until the process ends, and accepts TCP connections on it for health checks.
///
/// # Errors
/// When an address can't be bound.
pub async fn serve(name: &str, addresses: &[IpAddr], port: u16) -> Result<()> {
    let sessions = Arc::new(AtomicU64::new(0));
    for address in addresses {
        let socket = UdpSocket::bind((*address, port)).await;
        let socket = socket.with_context(|| format!("udp address {address} port {port} can't be bound"))?;
        tokio::spawn(answer(socket, name.to_owned(), Arc::clone(&sessions)));
    }
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await;
    let listener = listener.with_context(|| format!("tcp port {port} can't be listened on"))?;
    loop {
        drop(listener.accept().await);
    }
}

async fn answer(socket: UdpSocket, backend: String, sessions: Arc<AtomicU64>) {
    let mut clients: HashMap<SocketAddr, (u64, u64)> = HashMap::new();
    let mut buffer = [0; 512];
    loop {
        // An ICMP error of an earlier answer shows up here: the client is gone, the others are not.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let Ok(Numbered { n: echo }) = serde_json::from_slice(&buffer[..length]) else { continue };
        let (session, n) =
            clients.entry(client).or_insert_with(|| (sessions.fetch_add(1, Ordering::Relaxed) + 1, 0));
        *n += 1;
        let answer = Answer { backend: backend.clone(), session: *session, n: *n, echo };
        let Ok(answer) = serde_json::to_vec(&answer) else { continue };
        let _ = socket.send_to(&answer, client).await;
    }
}

//! A UDP client's conversation.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    sync::Mutex,
};

use tokio::net::UdpSocket;

use super::talk::{Failure, Talk};
use crate::wire::{Answer, Numbered};

/// A connected socket: the kernel drops what comes from anybody else than the service address.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    port: u16,
}

/// Every source that a conversation had. Without TIME_WAIT the kernel may give a port again at once, and to the server
/// that would be the old conversation.
static USED: Mutex<Option<HashSet<SocketAddr>>> = Mutex::new(None);

/// A socket with a source address and port that no conversation had.
async fn bind_anew(source: IpAddr) -> Result<(UdpSocket, u16), Failure> {
    loop {
        let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await?;
        let own = socket.local_addr()?;
        let mut used = USED.lock().map_err(|_| "a client panicked")?;
        if used.get_or_insert_default().insert(own) {
            return Ok((socket, own.port()));
        }
    }
}

impl Talk for Udp {
    async fn open(source: IpAddr, target: SocketAddr) -> Result<Self, Failure> {
        let (socket, port) = bind_anew(source).await?;
        socket.connect(target).await?;
        Ok(Self { socket, port })
    }

    fn port(&self) -> u16 {
        self.port
    }

    async fn exchange(&mut self, message: Numbered) -> Result<Answer, Failure> {
        self.socket.send(&serde_json::to_vec(&message)?).await?;
        let mut buffer = [0; 512];
        let length = self.socket.recv(&mut buffer).await?;
        Ok(serde_json::from_slice(&buffer[..length])?)
    }

    async fn close(self) {}
}

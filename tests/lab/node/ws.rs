//! A WebSocket client's conversation.

use std::net::{IpAddr, SocketAddr};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::talk::{Failure, Talk};
use crate::wire::{Answer, Numbered};

/// An open WebSocket.
#[derive(Debug)]
pub struct Ws {
    stream: WebSocketStream<TcpStream>,
    port: u16,
}

impl Talk for Ws {
    async fn open(source: IpAddr, target: SocketAddr) -> Result<Self, Failure> {
        let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(source, 0))?;
        let stream = socket.connect(target).await?;
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        let (stream, _) = client_async(format!("ws://{target}/"), stream).await?;
        Ok(Self { stream, port })
    }

    fn port(&self) -> u16 {
        self.port
    }

    async fn exchange(&mut self, message: Numbered) -> Result<Answer, Failure> {
        self.stream.send(Message::text(serde_json::to_string(&message)?)).await?;
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text)?),
            Some(Ok(other)) => Err(format!("the backend sent {other:?} for an answer").into()),
            Some(Err(error)) => Err(error.into()),
            None => Err("the backend closed the connection".into()),
        }
    }

    async fn close(mut self) {
        let _ = self.stream.close(None).await;
        // The server's own close frame, then the end of the stream.
        while let Some(Ok(_)) = self.stream.next().await {}
    }
}

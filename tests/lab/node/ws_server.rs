//! The WebSocket server of a backend.

use anyhow::Result;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{accept_async, tungstenite::Message};

use super::tcp_server::{self, Backend};

/// Serves v4 and v6 on `port` until the process ends.
///
/// # Errors
/// When the port is taken.
pub async fn serve(name: &str, port: u16) -> Result<()> {
    tcp_server::serve(name, port, talk).await
}

async fn talk(stream: TcpStream, backend: Backend) {
    // Health checks connect and say nothing.
    let Ok(mut stream) = accept_async(stream).await else { return };
    let mut session = backend.session();
    while let Some(Ok(message)) = stream.next().await {
        // tungstenite answers pings and closes itself.
        let Message::Text(text) = message else { continue };
        let Ok(message) = serde_json::from_str(&text) else { return };
        let Ok(text) = serde_json::to_string(&session.answer(&message)) else { return };
        if stream.send(Message::text(text)).await.is_err() {
            return;
        }
    }
}

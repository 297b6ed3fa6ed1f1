//! The server of [`lines`](super::lines).

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::tcp_server::{self, Backend};

/// Serves v4 and v6 on `port` until the process ends.
///
/// # Errors
/// When the port is taken.
pub async fn serve(name: &str, port: u16) -> Result<()> {
    tcp_server::serve(name, port, talk).await
}

/// Until the client has ended its side; health checks connect and say nothing.
async fn talk(stream: TcpStream, backend: Backend) {
    let mut stream = BufReader::with_capacity(128, stream);
    let mut session = backend.session();
    let mut line = Vec::new();
    loop {
        line.clear();
        if !stream.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
            return;
        }
        let Ok(message) = serde_json::from_slice(&line) else { return };
        let Ok(mut answer) = serde_json::to_vec(&session.answer(&message)) else { return };
        answer.push(b'\n');
        if stream.get_mut().write_all(&answer).await.is_err() {
            return;
        }
    }
}

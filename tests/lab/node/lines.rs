//! A conversation in lines of JSON over TCP: no more than what ten thousand sessions at once have to cost.

use std::net::{IpAddr, SocketAddr};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
};

use super::talk::{Failure, Talk};
use crate::wire::{Answer, Numbered};

/// How often a client talks that waits for the end.
const TALK: std::time::Duration = std::time::Duration::from_millis(500);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// In order, by a FIN.
    Closed,
    /// By an error.
    Failed(std::io::ErrorKind),
}

/// An open connection.
#[derive(Debug)]
pub struct Lines {
    stream: BufReader<TcpStream>,
    port: u16,
}

impl Lines {
    /// Connects a socket that is bound to the client's address.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn over(socket: TcpSocket, target: SocketAddr) -> Result<Self, Failure> {
        let stream = socket.connect(target).await?;
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        // The answers are short: the usual 8 KiB a reader would be most of what ten thousand cost.
        Ok(Self { stream: BufReader::with_capacity(128, stream), port })
    }

    /// Ends one's own side right behind a message; the answer comes all the same.
    ///
    /// # Errors
    /// When it does not.
    pub async fn last_exchange(mut self, message: Numbered) -> Result<Answer, Failure> {
        self.say(message).await?;
        self.stream.get_mut().shutdown().await?;
        let answer = self.hear().await?;
        match self.stream.read_until(b'\n', &mut Vec::new()).await? {
            0 => Ok(answer),
            more => Err(format!("{more} bytes follow the last answer").into()),
        }
    }

    /// Waits until the connection is over, whoever ends it and how; with `talk` it says a line every half second
    /// meanwhile, and listens to nobody.
    pub async fn until_over(mut self, talk: bool) -> Over {
        let mut every = tokio::time::interval(TALK);
        let mut heard = Vec::new();
        loop {
            heard.clear();
            tokio::select! {
                // A reset is told once, to whoever asks first.
                _ = every.tick(), if talk => {
                    if let Err(error) = self.stream.get_mut().write_all(b"{\"n\":0}\n").await {
                        return Over::Failed(error.kind());
                    }
                }
                read = self.stream.read_until(b'\n', &mut heard) => match read {
                    Ok(0) => return Over::Closed,
                    Ok(_) => {}
                    Err(error) => return Over::Failed(error.kind()),
                },
            }
        }
    }

    /// Ends it with a RST.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn reset(self) -> Result<(), Failure> {
        Ok(self.stream.get_ref().set_zero_linger()?)
    }

    async fn say(&mut self, message: Numbered) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(&message)?;
        line.push(b'\n');
        Ok(self.stream.get_mut().write_all(&line).await?)
    }

    async fn hear(&mut self) -> Result<Answer, Failure> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line).await? == 0 {
            return Err("the backend closed the connection".into());
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

impl Talk for Lines {
    async fn open(source: IpAddr, target: SocketAddr) -> Result<Self, Failure> {
        let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(source, 0))?;
        Self::over(socket, target).await
    }

    fn port(&self) -> u16 {
        self.port
    }

    async fn exchange(&mut self, message: Numbered) -> Result<Answer, Failure> {
        self.say(message).await?;
        self.hear().await
    }

    async fn close(mut self) {
        let _ = self.stream.get_mut().shutdown().await;
        // Until the server has closed as well.
        let _ = self.stream.read_until(b'\n', &mut Vec::new()).await;
    }
}

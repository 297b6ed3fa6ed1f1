//! What a WebSocket connection and a UDP socket have in common: open, exchange a message, close.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::time::timeout;

use crate::wire::{Answer, Numbered};

/// An answer that takes longer counts as lost.
pub const ANSWER: Duration = Duration::from_secs(2);

/// Why a conversation went wrong.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A conversation with a server.
pub trait Talk: Send + Sized + 'static {
    /// Begins one from `source` and a new port.
    fn open(source: IpAddr, target: SocketAddr) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// Its source port.
    fn port(&self) -> u16;

    /// Sends a message and takes the answer; may wait for ever.
    fn exchange(&mut self, message: Numbered) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Ends it in order; may wait for ever.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// [`Talk::open`] and the first exchange, within `patience`.
///
/// # Errors
/// What went wrong, or that it took too long.
pub async fn open<T: Talk>(
    source: IpAddr,
    target: SocketAddr,
    patience: Duration,
) -> Result<(T, Answer), Failure> {
    let begin = async {
        let mut talk = T::open(source, target).await?;
        let answer = talk.exchange(Numbered { n: 1 }).await?;
        Ok((talk, answer))
    };
    timeout(patience, begin).await.unwrap_or_else(|_| Err(late(patience)))
}

/// [`Talk::exchange`], within [`ANSWER`].
///
/// # Errors
/// What went wrong, or that it took too long.
pub async fn exchange<T: Talk>(talk: &mut T, n: u64) -> Result<Answer, Failure> {
    timeout(ANSWER, talk.exchange(Numbered { n })).await.unwrap_or_else(|_| Err(late(ANSWER)))
}

/// [`Talk::close`], for a second at most.
pub async fn close<T: Talk>(talk: T) {
    let _ = timeout(Duration::from_secs(1), talk.close()).await;
}

fn late(patience: Duration) -> Failure {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", patience.as_millis())).into()
}

//! The `http` check: an HTTP/1.1 GET whose status must be one of the expected, or one that asks for a drain.
//!
//! The verdict is the status; of the body nothing is waited for and nothing is read beyond what came in
//! the buffer of the head (64 KiB at most). One connection a check, closed afterwards: a kept one would
//! say that an old process is well while new connections fail.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http_body_util::Empty;
use hyper::{Request, Response, body::Bytes, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};

use crate::health::{
    error::{CheckError, Doing},
    way::Way,
};

const MAX_HEAD: usize = 64 << 10;
const AGENT: &str = concat!("balancer/", env!("CARGO_PKG_VERSION"), " (health check)");

/// What the check asks for, and what it wants to hear.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Value of the `Host` header; `None`: the address.
    pub host: Option<&'a str>,
    /// Path of the request.
    pub path: &'a str,
    /// Status codes that mean good.
    pub expect: &'a [u16],
    /// Status codes by which the application asks to be drained.
    pub drain_on: &'a [u16],
}

/// What the server said, where that is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// That all is well.
    Good,
    /// With this status, that it wants to be drained.
    Drain(u16),
}

/// Asks the backend at `address` by this way, all within `timeout`.
///
/// # Errors
/// What was seen instead of a status that was asked for. The connection is closed in any case, also when the
/// future is dropped.
pub async fn check(
    address: SocketAddr,
    way: &Way,
    ask: Ask<'_>,
    timeout: Duration,
) -> Result<Answer, CheckError> {
    let request = request(way.asked(address), ask)?;
    let (underway, socket) = way.socket(address)?;
    let deadline = Instant::now() + timeout;
    let timed_out = |doing| move |_elapsed| CheckError::TimedOut { after: timeout, doing };
    let stream =
        time::timeout_at(deadline, socket.connect(address)).await.map_err(timed_out(Doing::Connecting))??;
    underway.arrived()?;
    let response =
        time::timeout_at(deadline, exchange(stream, request)).await.map_err(timed_out(Doing::Answer))??;
    judge(response.status().as_u16(), ask)
}

fn judge(status: u16, ask: Ask<'_>) -> Result<Answer, CheckError> {
    if ask.expect.contains(&status) {
        Ok(Answer::Good)
    } else if ask.drain_on.contains(&status) {
        Ok(Answer::Drain(status))
    } else {
        Err(CheckError::Status { status, expected: ask.expect.to_vec() })
    }
}

fn request(address: SocketAddr, ask: Ask<'_>) -> Result<Request<Empty<Bytes>>, CheckError> {
    let host = ask.host.map_or_else(|| authority(address), str::to_owned);
    Request::get(ask.path)
        .header(header::HOST, &host)
        .header(header::USER_AGENT, AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|source| CheckError::Request { path: ask.path.to_owned(), host, source })
}

/// The address as a `Host` header has it: brackets around v6, no port where it is HTTP's own.
fn authority(address: SocketAddr) -> String {
    match (address.ip(), address.port()) {
        (IpAddr::V4(ip), 80) => ip.to_string(),
        (IpAddr::V6(ip), 80) => format!("[{ip}]"),
        _ => address.to_string(),
    }
}

/// Sends the request and returns the answer's head. The connection is driven here, in no task of its own,
/// so that it cannot outlive the check.
async fn exchange(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, CheckError> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(seen)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let ended = tokio::select! {
        biased;
        answer = &mut answer => return answer.map_err(seen),
        ended = &mut connection => ended,
    };
    // An ended connection has left its answer for the sender, else its error here or there.
    answer.await.map_err(|error| seen(ended.err().unwrap_or(error)))
}

fn seen(error: hyper::Error) -> CheckError {
    if error.is_parse() {
        return CheckError::NotHttp(error);
    }
    match io_source(&error) {
        Some(io) => CheckError::Io(io),
        None if error.is_canceled() => CheckError::Unasked,
        None => CheckError::Closed,
    }
}

fn io_source(error: &hyper::Error) -> Option<std::io::Error> {
    let source = std::error::Error::source(error)?.downcast_ref::<std::io::Error>()?;
    Some(source.raw_os_error().map_or_else(|| source.kind().into(), std::io::Error::from_raw_os_error))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;

//! The `tcp` check: does the port accept a connection?
//!
//! The connection is ended by a reset, and before the handshake's last segment has left, as HAProxy does
//! it: `TCP_QUICKACK` off keeps the kernel from acknowledging the SYN/ACK at once, and closing with
//! `SO_LINGER` 0 then sends RST instead. The listening kernel forgets the half-open connection, so that
//! the application never sees the check: no accepted connection, no log line, no "session" every two
//! seconds. It proves no less, for a full accept queue drops the SYN already. On this side it leaves no
//! TIME_WAIT behind, of which a plain close would leave one a check for a minute.

use std::{io, net::SocketAddr, time::Duration};

use socket2::SockRef;
use tokio::{net::TcpSocket, time};

use crate::health::{
    error::{CheckError, Doing},
    way::Way,
};

/// Connects to the backend at `address` by this way, within `timeout`.
///
/// # Errors
/// What the socket said, or that the time was over. The socket is closed in any case, also when the
/// future is dropped.
pub async fn check(address: SocketAddr, way: &Way, timeout: Duration) -> Result<(), CheckError> {
    let (underway, socket) = way.socket(address)?;
    end_by_reset(&socket)?;
    match time::timeout(timeout, socket.connect(address)).await {
        Ok(connected) => connected.map(drop)?,
        Err(_elapsed) => return Err(CheckError::TimedOut { after: timeout, doing: Doing::Connecting }),
    }
    underway.arrived()
}

fn end_by_reset(socket: &TcpSocket) -> io::Result<()> {
    socket.set_zero_linger()?;
    SockRef::from(socket).set_tcp_quickack(false)
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::Instant};

    use super::*;
    use crate::health::testing::{refusing_address, unanswered_listener};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn an_open_port_is_good() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).await.unwrap();
            check(listener.local_addr().unwrap(), &Way::Direct, SECOND).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_application_never_sees_the_check() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        check(listener.local_addr().unwrap(), &Way::Direct, SECOND).await.unwrap();
        let accepted = time::timeout(Duration::from_millis(400), listener.accept()).await;
        assert!(accepted.is_err(), "accepted {accepted:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_refused() {
        let error = check(refusing_address(), &Way::Direct, SECOND).await.unwrap_err();
        assert_eq!(error.to_string(), "connection refused");
    }

    #[tokio::test]
    async fn a_silent_port_times_out_in_time() {
        let (_full, address) = unanswered_listener();
        let started = Instant::now();
        let error = check(address, &Way::Direct, Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(error.to_string(), "timed out after 200ms while connecting");
        assert!(started.elapsed() < Duration::from_millis(700), "took {:?}", started.elapsed());
    }
}

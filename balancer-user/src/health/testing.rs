//! Listeners on loopback that misbehave, for the tests of the checkers.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

/// An address that nobody listens on: its port was given to a socket that listens no longer.
pub(super) fn refusing_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A listener whose accept queue is full, so that its kernel drops every SYN; live while the value lives.
pub(super) fn unanswered_listener() -> ((Socket, Vec<TcpStream>), SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // A backlog of n holds n + 1 connections.
    let filling = TcpStream::connect(address).unwrap();
    ((socket, vec![filling]), address)
}

/// A server that reads a request's head and answers it with `answer`, then holds the connection open.
/// `closed` of its state counts the connections that the other side has ended.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) requests: tokio::sync::mpsc::UnboundedReceiver<String>,
    pub(super) closed: tokio::sync::mpsc::UnboundedReceiver<()>,
    _task: JoinSet<()>,
}

impl Server {
    pub(super) async fn answering(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (request, requests) = tokio::sync::mpsc::unbounded_channel();
        let (end, closed) = tokio::sync::mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = read_head(&mut stream).await;
                request.send(head).ok();
                stream.write_all(answer).await.ok();
                // Ends with the other side's FIN or RST.
                while matches!(stream.read(&mut [0; 64]).await, Ok(n) if n > 0) {}
                end.send(()).ok();
            }
        });
        Self { address, requests, closed, _task: task }
    }
}

async fn read_head(stream: &mut tokio::net::TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte).await, Ok(1)) {
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

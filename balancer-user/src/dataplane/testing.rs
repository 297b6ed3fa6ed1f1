//! Connections through the tables in heap memory, decided by the packet path's own code.

use std::net::SocketAddr;

use balancer_common::{
    parse::transport::{Segment, TcpFlags},
    state::Proto,
    walk::{self, family::V4},
};

use super::{Dataplane, adopt, query::HostFamily as _};

impl Dataplane {
    /// The tables as another agent would find them.
    pub(crate) fn reopened(mut self) -> Self {
        self.adopted = adopt(&self.tables);
        self
    }

    /// A TCP handshake of a v4 client, and the first ACK that makes it a tracked flow; the backend's number.
    pub(crate) fn connect(&self, client: SocketAddr, to: SocketAddr) -> Option<u16> {
        self.send(client, to, TcpFlags::SYN, 1000);
        self.send(client, to, TcpFlags::ACK, 1001)
    }

    /// The client's end of a connection.
    pub(crate) fn finish(&self, client: SocketAddr, to: SocketAddr) -> Option<u16> {
        self.send(client, to, TcpFlags::FIN | TcpFlags::ACK, 1001)
    }

    /// One segment; the number of the backend that it goes to.
    pub(crate) fn send(&self, client: SocketAddr, to: SocketAddr, flags: u8, seq: u32) -> Option<u16> {
        let segment = Segment {
            source: V4::from_ip(client.ip())?,
            destination: V4::from_ip(to.ip())?,
            sport: client.port(),
            dport: to.port(),
            proto: Proto::Tcp as u8,
            flags: TcpFlags(flags),
            ip: 0,
            seq,
            ack: 1,
            span: u32::from(flags & (TcpFlags::SYN | TcpFlags::FIN) != 0),
            at: 0,
        };
        let backend = walk::decide::<V4, _>(&self.tables, &segment).backend();
        (backend != 0).then_some(backend)
    }
}

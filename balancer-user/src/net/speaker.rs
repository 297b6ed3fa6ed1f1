//! Segments in the name of a service, to clients whose backend cannot speak any more.

use std::{io, net::SocketAddr};

use etherparse::PacketBuilder;
use socket2::{Domain, Protocol, Socket, Type};

/// `IPPROTO_RAW`: what is written begins with its IP header (raw(7); IPv6 the same, net/ipv6/af_inet6.c).
const RAW: i32 = 255;
/// Hops that a segment may take.
const HOPS: u8 = 64;

/// One socket a family. Needs `CAP_NET_RAW`.
#[derive(Debug)]
pub struct Speaker {
    v4: Socket,
    v6: Option<Socket>,
}

/// What is said to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A RST at this sequence number.
    Rst(u32),
    /// An empty segment at this sequence number: whoever expects another one answers with it.
    Probe(u32),
}

impl Speaker {
    /// Opens the sockets. A host without IPv6 has one.
    ///
    /// # Errors
    /// The system's, for want of `CAP_NET_RAW` for instance.
    pub fn open() -> io::Result<Self> {
        Ok(Self { v4: raw(Domain::IPV4)?, v6: raw(Domain::IPV6).ok() })
    }

    /// Sends a segment of `service` to `client`, by the host's routes.
    ///
    /// # Errors
    /// The system's; addresses of two families.
    pub fn say(&self, service: SocketAddr, client: SocketAddr, segment: Segment) -> io::Result<()> {
        let bytes = bytes(service, client, segment)?;
        let socket = match client {
            SocketAddr::V4(_) => Some(&self.v4),
            SocketAddr::V6(_) => self.v6.as_ref(),
        };
        let socket = socket.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "no IPv6 here"))?;
        // The port of a raw socket's address means something else.
        socket.send_to(&bytes, &SocketAddr::new(client.ip(), 0).into()).map(drop)
    }
}

fn raw(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(RAW)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// IP and TCP header, without options (RFC 7323 allows a RST without a timestamp).
fn bytes(service: SocketAddr, client: SocketAddr, segment: Segment) -> io::Result<Vec<u8>> {
    let ip = match (service, client) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), HOPS)
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), HOPS)
        }
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "addresses of two families")),
    };
    let tcp = |seq| ip.tcp(service.port(), client.port(), seq, 0);
    let tcp = match segment {
        Segment::Rst(seq) => tcp(seq).rst(),
        Segment::Probe(seq) => tcp(seq).ack(0),
    };
    let mut bytes = Vec::with_capacity(tcp.size(0));
    tcp.write(&mut bytes, &[]).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{PacketHeaders, TransportHeader};

    #[test]
    fn segments_are_whole_and_their_checksums_right() {
        for (service, client) in
            [("203.0.113.10:443", "198.51.100.7:4000"), ("[2001:db8::10]:443", "[2001:db8:7::7]:4000")]
        {
            let (service, client) = (service.parse().unwrap(), client.parse().unwrap());
            for (segment, flags) in [(Segment::Rst(77), (true, false)), (Segment::Probe(76), (false, true))] {
                let bytes = bytes(service, client, segment).unwrap();
                let headers = PacketHeaders::from_ip_slice(&bytes).unwrap();
                let Some(TransportHeader::Tcp(tcp)) = headers.transport else { panic!("no TCP") };
                assert_eq!((tcp.source_port, tcp.destination_port), (443, 4000));
                assert_eq!((tcp.rst, tcp.ack), flags);
                let (ip, _) = etherparse::IpHeaders::from_slice(&bytes).unwrap();
                let sum = match &ip {
                    etherparse::IpHeaders::Ipv4(ip, _) => tcp.calc_checksum_ipv4(ip, &[]),
                    etherparse::IpHeaders::Ipv6(ip, _) => tcp.calc_checksum_ipv6(ip, &[]),
                };
                assert_eq!(sum.unwrap(), tcp.checksum);
            }
        }
    }
}

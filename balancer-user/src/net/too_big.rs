//! What routers say of tunnelled packets: "fragmentation needed" (RFC 792; RFC 1191, 4) and "packet too big" (RFC 4443,
//! 3.2) that quote a packet with IP in IP.
//!
//! They go to the tunnel's source. Where that is one of `agent.sources` it is no address of this host, whose stack would not
//! deliver them, nor does it know what to do with them elsewhere. So they are read from packet sockets, one a family, which
//! see what XDP has passed before the stack looks at it; a filter in the kernel lets these messages through alone.

use std::{io, net::IpAddr, time::Duration};

use balancer_common::walk::tunnel::outer::{PROTO_IPIP, PROTO_IPV6};
use etherparse::{
    Icmpv4Type, Icmpv6Type, Ipv4HeaderSlice, Ipv6Header, Ipv6HeaderSlice, LaxNetSlice, LaxSlicedPacket,
    TransportSlice, icmpv4::DestUnreachableHeader,
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinSet, time};

/// Messages that are read at once, and the rest after that: whoever forges them must not keep the agent busy.
const BURST: usize = 64;
const REST: Duration = Duration::from_millis(50);
/// Bytes of a message that matter: an IPv4 header with options, and the quoted header twice as long.
const SNAP: usize = 128;
/// Bytes that wait to be read.
const BACKLOG: usize = 64 * 1024;

/// Protocol numbers of tunnelled packets.
const TUNNELS: [u8; 2] = [PROTO_IPIP, PROTO_IPV6];
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// A router's word on a packet of a tunnel. Anybody may have forged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Who says so.
    pub router: IpAddr,
    /// Where the packet came from.
    pub source: IpAddr,
    /// Where it was to go.
    pub destination: IpAddr,
    /// Its bytes.
    pub length: u32,
    /// Bytes that would have been fine.
    pub mtu: u32,
}

impl TooBig {
    /// Out of an IP packet, or what has been kept of it.
    #[must_use]
    pub fn read(packet: &[u8]) -> Option<Self> {
        let packet = LaxSlicedPacket::from_ip(packet).ok()?;
        match (packet.net?, packet.transport?) {
            (LaxNetSlice::Ipv4(ip), TransportSlice::Icmpv4(icmp)) => {
                let Icmpv4Type::DestinationUnreachable(needed) = icmp.icmp_type() else { return None };
                let DestUnreachableHeader::FragmentationNeeded { next_hop_mtu } = needed else { return None };
                let quoted = Ipv4HeaderSlice::from_slice(icmp.payload()).ok()?;
                TUNNELS.contains(&quoted.protocol().0).then(|| Self {
                    router: ip.header().source_addr().into(),
                    source: quoted.source_addr().into(),
                    destination: quoted.destination_addr().into(),
                    length: quoted.total_len().into(),
                    mtu: next_hop_mtu.into(),
                })
            }
            // Its outer headers have no extensions.
            (LaxNetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
                let Icmpv6Type::PacketTooBig { mtu } = icmp.icmp_type() else { return None };
                let quoted = Ipv6HeaderSlice::from_slice(icmp.payload()).ok()?;
                TUNNELS.contains(&quoted.next_header().0).then(|| Self {
                    router: ip.header().source_addr().into(),
                    source: quoted.source_addr().into(),
                    destination: quoted.destination_addr().into(),
                    length: Ipv6Header::LEN as u32 + u32::from(quoted.payload_length()),
                    mtu,
                })
            }
            _ => None,
        }
    }
}

/// Listens for such messages, until it is dropped.
#[derive(Debug)]
pub struct TooBigWatch {
    _tasks: JoinSet<()>,
}

impl TooBigWatch {
    /// Reports to `events`, and forgets what finds no room there: it is said again. Needs `CAP_NET_RAW`.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(events: &mpsc::Sender<TooBig>) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        for (ethertype, filter) in [(libc::ETH_P_IP, FILTER_V4), (libc::ETH_P_IPV6, FILTER_V6)] {
            let socket = open(ethertype, filter)?;
            let events = events.clone();
            tasks.spawn(async move {
                if let Err(error) = listen(&socket, &events).await {
                    tracing::error!(
                        "no more is heard of packets that are too big for their tunnels' way: {error}"
                    );
                }
            });
        }
        Ok(Self { _tasks: tasks })
    }
}

/// A socket for what comes in with this ethertype, from the IP header on (packet(7)).
fn open(ethertype: i32, filter: &[[u32; 4]]) -> io::Result<UdpSocket> {
    let protocol = Protocol::from(i32::from((ethertype as u16).to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    attach(&socket, filter)?;
    socket.set_recv_buffer_size(BACKLOG)?;
    socket.set_nonblocking(true)?;
    // Tokio's socket for datagrams: nothing but recv(2) is asked of it, which is the same in every family.
    UdpSocket::from_std(socket.into())
}

fn attach(socket: &Socket, filter: &[[u32; 4]]) -> io::Result<()> {
    let filter: Vec<_> = filter
        .iter()
        .map(|[code, yes, no, value]| SockFilter::new(*code as u16, *yes as u8, *no as u8, *value))
        .collect();
    socket.attach_filter(&filter)
}

async fn listen(socket: &UdpSocket, events: &mpsc::Sender<TooBig>) -> io::Result<()> {
    let mut buffer = [0; SNAP];
    loop {
        socket.readable().await?;
        for _ in 0..BURST {
            match socket.try_recv(&mut buffer) {
                Ok(length) => {
                    if let Some(told) = TooBig::read(&buffer[..length]) {
                        let _full = events.try_send(told);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An interface went down.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => return Err(error),
            }
        }
        time::sleep(REST).await;
    }
}

/// `BPF_LD | BPF_B | BPF_ABS`: a byte.
const BYTE: u32 = 0x30;
/// `BPF_LD | BPF_H | BPF_ABS`: two bytes.
const HALF: u32 = 0x28;
/// `BPF_LD | BPF_B | BPF_IND`, and two bytes: the same behind an IPv4 header.
const BYTE_BEHIND: u32 = 0x50;
const HALF_BEHIND: u32 = 0x48;
/// `BPF_LDX | BPF_B | BPF_MSH`: the length of the IPv4 header.
const HEADER: u32 = 0xb1;
/// `BPF_JMP | BPF_JEQ | BPF_K`, and `BPF_JSET`: a jump over so many lines if it is so, and if it is not.
const IS: u32 = 0x15;
const HAS: u32 = 0x45;
/// `BPF_RET | BPF_K`: bytes that are kept.
const KEEP: u32 = 0x06;

const FILTER_V4: &[[u32; 4]] = &[
    [BYTE, 0, 0, 9],
    [IS, 0, 9, ICMP as u32],
    [HALF, 0, 0, 6],
    [HAS, 7, 0, 0x1fff],
    [HEADER, 0, 0, 0],
    [HALF_BEHIND, 0, 0, 0],
    [IS, 0, 4, 0x0304],
    [BYTE_BEHIND, 0, 0, 8 + 9],
    [IS, 1, 0, TUNNELS[0] as u32],
    [IS, 0, 1, TUNNELS[1] as u32],
    [KEEP, 0, 0, SNAP as u32],
    [KEEP, 0, 0, 0],
];

const FILTER_V6: &[[u32; 4]] = &[
    [BYTE, 0, 0, 6],
    [IS, 0, 6, ICMPV6 as u32],
    [HALF, 0, 0, 40],
    [IS, 0, 4, 0x0200],
    [BYTE, 0, 0, 40 + 8 + 6],
    [IS, 1, 0, TUNNELS[0] as u32],
    [IS, 0, 1, TUNNELS[1] as u32],
    [KEEP, 0, 0, SNAP as u32],
    [KEEP, 0, 0, 0],
];

#[cfg(test)]
#[path = "too_big_tests.rs"]
mod tests;

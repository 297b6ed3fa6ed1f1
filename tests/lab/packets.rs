//! Forged frames onto an interface, as many as the machine can make: an `AF_PACKET` socket that goes round the queueing
//! discipline, hundreds of frames a call.

use std::{io, os::fd::AsRawFd as _};

use anyhow::{Context, Result};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

/// Frames that are sent in one call at most.
pub const BATCH: usize = 256;

/// Frames of one call, one behind the other.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// A copy of this frame, to be changed in place.
    pub fn add(&mut self, frame: &[u8]) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.bytes.len());
        &mut self.bytes[start..]
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all frames.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// A socket on one interface of the namespace that it was opened in.
#[derive(Debug)]
pub struct Injector {
    socket: Socket,
}

impl Injector {
    /// Opens one on an interface of this thread's namespace.
    ///
    /// # Errors
    /// When there is no such interface, or for lack of root.
    pub fn open(interface: &str) -> Result<Self> {
        let index = nix::net::if_::if_nametoindex(interface)
            .with_context(|| format!("interface {interface} is not there"))?;
        // Protocol 0: it receives nothing.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.bind(&link(index)?).with_context(|| format!("no packet socket on {interface}"))?;
        bypass_qdisc(&socket).context("PACKET_QDISC_BYPASS")?;
        Ok(Self { socket })
    }

    /// Sends the frames in their order; how many the interface took, the others are lost.
    ///
    /// # Errors
    /// When the interface is down or the kernel refuses a frame.
    pub fn send(&self, batch: &mut Batch) -> Result<u64> {
        let (mut sent, mut start) = (0, 0);
        let mut pieces = Vec::with_capacity(batch.len());
        for end in &batch.ends {
            pieces.push(libc::iovec {
                iov_base: batch.bytes[start..].as_mut_ptr().cast(),
                iov_len: end - start,
            });
            start = *end;
        }
        let mut rest = &mut pieces[..];
        while !rest.is_empty() {
            match send_many(&self.socket, rest) {
                // A full queue of the receiver: that frame is lost, as on a wire.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => rest = &mut rest[1..],
                Err(error) => return Err(error).context("frames can't be sent"),
                Ok(count) => {
                    sent += count as u64;
                    rest = &mut rest[count..];
                }
            }
        }
        Ok(sent)
    }
}

/// The address of an interface for `AF_PACKET`.
fn link(index: u32) -> io::Result<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    #[expect(unsafe_code, reason = "no library makes this address")]
    // SAFETY: sockaddr_ll is one of the addresses that a storage may hold, and any bytes are one.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index as i32;
    #[expect(unsafe_code, reason = "no library makes this address")]
    // SAFETY: the storage holds an address of this length.
    Ok(unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) })
}

#[expect(unsafe_code, reason = "no library knows this option")]
fn bypass_qdisc(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (fd, size) = (socket.as_raw_fd(), size_of_val(&on) as libc::socklen_t);
    let value = std::ptr::from_ref(&on).cast();
    // SAFETY: the value is an int of this size and outlives the call.
    let result = unsafe { libc::setsockopt(fd, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, value, size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "what libraries offer makes an address and a buffer for each frame")]
fn send_many(socket: &Socket, frames: &mut [libc::iovec]) -> io::Result<usize> {
    let header = |frame: &mut libc::iovec| libc::mmsghdr {
        msg_hdr: libc::msghdr {
            msg_name: std::ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: frame,
            msg_iovlen: 1,
            msg_control: std::ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        },
        msg_len: 0,
    };
    let mut headers: Vec<_> = frames.iter_mut().map(header).collect();
    // SAFETY: every header points to one piece, every piece into the caller's batch, and both outlive the call.
    let sent =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as libc::c_uint, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

//! What is said on a connection: its id again and again, and how it is to end. Whatever else comes was meant for another one.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use socket2::SockRef;

/// Bytes of a frame: id, ending, whether it is the last.
const LENGTH: usize = 10;

/// Who ends a connection, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    ClientCloses,
    ServerCloses,
    ClientResets,
    ServerResets,
}

impl Ending {
    pub(super) const ALL: [Self; 4] =
        [Self::ClientCloses, Self::ServerCloses, Self::ClientResets, Self::ServerResets];
}

/// What the client says, and the server says after it; the last one is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) id: u64,
    pub(super) ending: Ending,
    pub(super) last: bool,
}

impl Frame {
    pub(super) fn send(self, mut stream: &TcpStream) -> Result<()> {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&self.id.to_be_bytes());
        bytes[8] = self.ending as u8;
        bytes[9] = self.last.into();
        stream.write_all(&bytes).with_context(|| format!("{:x} can't be said", self.id))
    }

    /// The next frame; `None`: the other side has closed, between two frames.
    pub(super) fn receive(mut stream: &TcpStream) -> Result<Option<Self>> {
        let mut bytes = [0; LENGTH];
        let length = stream.read(&mut bytes).context("no frame comes")?;
        if length == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut bytes[length..]).context("half a frame comes")?;
        let (id, rest) = bytes.split_at(8);
        let ending = Ending::ALL.into_iter().find(|ending| *ending as u8 == rest[0]);
        let (Some(ending), last @ 0..=1) = (ending, rest[1]) else { bail!("no frame comes, but {bytes:?}") };
        Ok(Some(Self { id: u64::from_be_bytes(id.try_into()?), ending, last: last == 1 }))
    }
}

/// A stream that waits no longer than this for anything.
pub(super) fn patient(stream: &TcpStream, patience: Duration) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(stream.set_write_timeout(Some(patience))?)
}

/// Ends a connection by a RST.
pub(super) fn reset(stream: TcpStream) -> Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

/// Waits until the other side ends the connection, which it must do in this way.
pub(super) fn await_end(mut stream: &TcpStream, by_reset: bool) -> Result<()> {
    match stream.read(&mut [0; LENGTH]) {
        Ok(0) => ensure!(!by_reset, "it is closed, where it was to be reset"),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {
            ensure!(by_reset, "it is reset, where it was to be closed");
        }
        Ok(_) => bail!("something comes instead of the end"),
        Err(error) => return Err(error).context("the end does not come"),
    }
    Ok(())
}

//! The operator's own SSH session, so that no service address is put on top of it.
//!
//! sshd tells a session its connection by `SSH_CONNECTION` ("client port server port"). `sudo` and
//! the like drop it from the environment, so the nearest ancestor that has it is asked. A process
//! that systemd started has no such ancestor: there it is the command line's business to ask before it
//! tells the agent to load a configuration.

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use crate::config::model::{Listen, Proto};

const VARIABLE: &[u8] = b"SSH_CONNECTION=";
/// Deeper than any real ancestry; bounds the walk if processes are replaced meanwhile.
const MAX_ANCESTORS: usize = 64;

/// The two ends of an SSH session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SshSession {
    /// The operator's end.
    pub client: SocketAddr,
    /// This host's end.
    pub server: SocketAddr,
}

impl SshSession {
    /// The session that this process was started from, if it was.
    #[must_use]
    pub fn of_operator() -> Option<Self> {
        Self::of_process(Path::new("/proc"), std::process::id())
    }

    /// The session of the process `pid`, or of its nearest ancestor that has one.
    #[must_use]
    pub fn of_process(proc: &Path, pid: u32) -> Option<Self> {
        let mut pid = pid;
        for _ in 0..MAX_ANCESTORS {
            let directory = proc.join(pid.to_string());
            let environment = fs::read(directory.join("environ")).unwrap_or_default();
            if let Some(session) = Self::in_environment(&environment) {
                return Some(session);
            }
            pid = parent(&fs::read_to_string(directory.join("status")).ok()?)?;
        }
        None
    }

    /// The session that `environment` tells of: NUL-terminated `NAME=value`, as in `/proc/PID/environ`.
    #[must_use]
    pub fn in_environment(environment: &[u8]) -> Option<Self> {
        let value = environment.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(VARIABLE))?;
        Self::parse(std::str::from_utf8(value).ok()?)
    }

    /// The value of `SSH_CONNECTION`: client address, client port, server address, server port.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let client = end(words.next()?, words.next()?)?;
        let server = end(words.next()?, words.next()?)?;
        words.next().is_none().then_some(Self { client, server })
    }

    /// Whether a service that listens on `listen` would take this session's packets.
    #[must_use]
    pub fn is_carried_by(&self, listen: &Listen) -> bool {
        listen.proto == Proto::Tcp
            && listen.address.to_canonical() == self.server.ip()
            && listen.port.is_none_or(|port| port == self.server.port())
    }
}

impl fmt::Display for SshSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the SSH session from {} to {}", self.client, self.server)
    }
}

/// One end; a link-local address comes with its interface (`fe80::1%eth0`).
fn end(address: &str, port: &str) -> Option<SocketAddr> {
    let address = address.split('%').next()?;
    let address: IpAddr = address.parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), port.parse().ok()?))
}

/// The parent in the text of `/proc/PID/status`; `None` for the first process of a namespace.
fn parent(status: &str) -> Option<u32> {
    let pid = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    (pid != 0).then_some(pid)
}

#[cfg(test)]
#[path = "ssh_tests.rs"]
mod tests;

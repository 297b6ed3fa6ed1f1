//! nginx, HAProxy and a WebSocket library's server as anybody runs them: on a port of the backend's own addresses, and with
//! nothing that knows of a balancer.

use std::{fs, process::Command};

use anyhow::Result;
use lab::{
    paths::Place,
    process, programs,
    servers::{self, listens},
    topology::Host,
};

/// A program that serves, behind a service of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Nginx,
    Haproxy,
    Tungstenite,
}

/// Where HAProxy's own server listens, on the backend itself.
const BEHIND_HAPROXY: u16 = 8083;
/// A file of nginx's.
pub(crate) const LARGE: &str = "large";
const LARGE_BYTES: u32 = 8_000_000;

impl Program {
    /// Name of its service.
    pub(crate) const fn service(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Tungstenite => "websocket",
        }
    }

    /// Port of the service.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Nginx => 80,
            Self::Haproxy => 81,
            Self::Tungstenite => 8080,
        }
    }

    /// Port that it listens on: another one.
    pub(crate) const fn own_port(self) -> u16 {
        match self {
            Self::Nginx => 8081,
            Self::Haproxy => 8082,
            Self::Tungstenite => 9001,
        }
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self, place: &Place, host: Host) -> Result<()> {
        let command = match self {
            Self::Nginx => nginx(place, host)?,
            Self::Haproxy => haproxy(place, host)?,
            Self::Tungstenite => tungstenite(place, host)?,
        };
        process::start(place, host, self.service(), command)?;
        listens(place, host, self.service(), self.own_port())
    }
}

/// Says which host answers, and which address its client has.
fn nginx(place: &Place, host: Host) -> Result<Command> {
    let dir = place.dir();
    let large: Vec<u8> = (0..LARGE_BYTES).flat_map(|n| (n / 4).to_le_bytes().into_iter().take(1)).collect();
    fs::write(dir.join(LARGE), large)?;
    let port = Program::Nginx.own_port();
    let config = dir.join(format!("{host}.as-it-is.nginx.conf"));
    let text = format!(
        "daemon off;\nmaster_process off;\npid {dir}/{host}.as-it-is.pid;\nerror_log stderr warn;\nevents {{}}\nhttp {{\n\
         {temporary}access_log off;\ndefault_type text/plain;\nroot {dir};\n\
         server {{\nlisten {port};\nlisten [::]:{port};\nlocation /{LARGE} {{ }}\n\
         location / {{ return 200 \"{host} $remote_addr\\n\"; }}\n}}\n\
         server {{\nlisten 127.0.0.1:{BEHIND_HAPROXY} proxy_protocol;\n\
         location / {{ return 200 \"{host} $proxy_protocol_addr\\n\"; }}\n}}\n}}\n",
        dir = dir.display(),
        temporary = servers::temporary_paths(place, host),
    );
    fs::write(&config, text)?;
    let mut command = place.netns(host).command("nginx");
    command.arg("-e").arg("stderr").arg("-c").arg(&config);
    Ok(command)
}

/// Passes streams on as they are, with a line before that names the client it sees: nginx tells it.
fn haproxy(place: &Place, host: Host) -> Result<Command> {
    let port = Program::Haproxy.own_port();
    let config = place.dir().join(format!("{host}.haproxy.cfg"));
    let text = format!(
        "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1m\n  timeout server 1m\n\
         listen streams\n  bind :{port}\n  bind :::{port} v6only\n  server nginx 127.0.0.1:{BEHIND_HAPROXY} send-proxy-v2\n"
    );
    fs::write(&config, text)?;
    let mut command = place.netns(host).command("haproxy");
    command.arg("-db").arg("-f").arg(&config);
    Ok(command)
}

fn tungstenite(place: &Place, host: Host) -> Result<Command> {
    let mut command = place.netns(host).command(&programs::lab_node()?.to_string_lossy());
    let port = Program::Tungstenite.own_port().to_string();
    command.args(["ws-server", "--name", &host.to_string(), "--port", &port]);
    Ok(command)
}

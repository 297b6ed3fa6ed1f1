//! What runs on a backend: nginx, and the lab's own WebSocket and UDP servers.

use std::{
    fs,
    net::{IpAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    paths::Place,
    process, programs,
    topology::{Host, LINES_PORT, UDP_PORT, VIP_V4, VIP_V6, WEB_PORT, WS_PORT},
};

/// Name of the WebSocket server among a host's programs.
pub const WS: &str = "ws-server";
/// Name of the UDP server among a host's programs.
pub const UDP: &str = "udp-server";
/// Name of the server that speaks in lines.
pub const LINES: &str = "lines-server";
/// Name of nginx among a host's programs.
pub const WEB: &str = "nginx";

/// Starts a backend's servers and waits until each of them listens.
///
/// # Errors
/// When one can't be started, or does not listen within some seconds.
pub fn start(place: &Place, backend: Host) -> Result<()> {
    start_web(place, backend)?;
    start_ws(place, backend)?;
    start_udp(place, backend)
}

/// Starts the WebSocket server.
///
/// # Errors
/// As [`start`].
pub fn start_ws(place: &Place, backend: Host) -> Result<()> {
    start_node(place, backend, WS, WS_PORT, &[])
}

/// Starts the server that speaks in lines, which is not among those of [`start`].
///
/// # Errors
/// As [`start`].
pub fn start_lines(place: &Place, backend: Host) -> Result<()> {
    start_node(place, backend, LINES, LINES_PORT, &[])
}

/// Starts the UDP server. It has a socket for each address, so that it answers from the one it was asked at.
///
/// # Errors
/// As [`start`].
pub fn start_udp(place: &Place, backend: Host) -> Result<()> {
    let own = [VIP_V4.into(), VIP_V6.into(), backend.v4().into(), backend.v6().into()];
    start_node(place, backend, UDP, UDP_PORT, &own)
}

/// Starts one of the lab's own servers.
fn start_node(place: &Place, backend: Host, role: &str, port: u16, own: &[IpAddr]) -> Result<()> {
    let mut command = place.netns(backend).command(&programs::lab_node()?.to_string_lossy());
    command.args([role, "--name", &backend.to_string(), "--port", &port.to_string()]);
    for address in own {
        command.args(["--address", &address.to_string()]);
    }
    process::start(place, backend, role, command)?;
    listens(place, backend, role, port)
}

/// Starts nginx.
///
/// # Errors
/// As [`start`].
pub fn start_web(place: &Place, backend: Host) -> Result<()> {
    let config = place.dir().join(format!("{backend}.nginx.conf"));
    fs::write(&config, nginx_config(place, backend))?;
    let mut command = place.netns(backend).command("nginx");
    // The log that it writes to before it has read its configuration.
    command.arg("-e").arg(place.log(backend, WEB)).arg("-c").arg(&config);
    process::start(place, backend, WEB, command)?;
    listens(place, backend, WEB, WEB_PORT)
}

/// Lines of nginx's configuration that keep what it writes in the lab's directory.
#[must_use]
pub fn temporary_paths(place: &Place, host: Host) -> String {
    let dir = place.dir();
    let line = |kind| format!("    {kind}_temp_path {}/{host}.{kind};\n", dir.display());
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(line).concat()
}

/// One process in the foreground, so that its pid is all there is to end; nothing outside the lab's directory.
fn nginx_config(place: &Place, backend: Host) -> String {
    let (dir, temporary) = (place.dir(), temporary_paths(place, backend));
    let dir = dir.display();
    format!(
        "daemon off;\n\
         master_process off;\n\
         pid {dir}/{backend}.nginx.pid;\n\
         error_log {log} warn;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n\
         {temporary}    \
             access_log off;\n    \
             default_type text/plain;\n    \
             server {{\n        \
                 listen {WEB_PORT};\n        \
                 listen [::]:{WEB_PORT};\n        \
                 location = /health {{\n            \
                     if (-f {sick}) {{ return 503 \"sick\\n\"; }}\n            \
                     return 200 \"ok\\n\";\n        \
                 }}\n        \
                 location / {{ return 200 \"{backend}\\n\"; }}\n    \
             }}\n\
         }}\n",
        log = place.log(backend, WEB).display(),
        sick = place.sick(backend).display(),
    )
}

/// Waits until a program of a host accepts TCP connections.
///
/// # Errors
/// When it has ended, or does not within some seconds.
pub fn listens(place: &Place, host: Host, program: &str, port: u16) -> Result<()> {
    let give_up = Instant::now() + Duration::from_secs(5);
    place.netns(host).inside(|| {
        loop {
            if TcpStream::connect((host.v4(), port)).is_ok() {
                return Ok(());
            }
            if Instant::now() > give_up || process::running(place, host, program).is_err() {
                let log = fs::read_to_string(place.log(host, program)).unwrap_or_default();
                bail!("{program} on {host} does not listen on port {port}: {}", log.trim());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    })
}

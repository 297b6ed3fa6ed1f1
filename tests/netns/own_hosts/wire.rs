//! Three hosts on one segment, with the addresses of the README's example and a web server on the backend.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{napi, netns::run, paths::Place, topology::Host};

/// The client.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
const BALANCER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
const BACKEND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
/// What routers do for the client: the service address is on this segment.
const ROUTE: &str = "route add 203.0.113.10/32 dev eth0\n";
/// What the web server answers.
pub(super) const PAGE: &str = "the backend's page\n";
/// How long the web server may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the segment and its hosts.
pub(super) fn build(place: &Place) -> Result<()> {
    fs::create_dir_all(place.bpffs())?;
    run(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(place.bpffs()))?;
    let switch = place.switch();
    switch.create()?;
    switch.ip("link add br0 type bridge\nlink set br0 up\n")?;
    join(place, Host::Client(1), CLIENT)?;
    join(place, Host::Balancer, BALANCER)?;
    join(place, Host::Backend(1), BACKEND)?;
    place.netns(Host::Client(1)).ip(ROUTE)?;
    // A network card needs no help to send what XDP hands it back; a veth does.
    napi::enable(&switch, &Host::Balancer.to_string(), &place.bpffs().join("pass"))?;
    serve(place)
}

fn join(place: &Place, host: Host, address: Ipv4Addr) -> Result<()> {
    let (netns, switch) = (place.netns(host), place.switch());
    netns.create()?;
    switch.ip(&format!(
        "link add {host} type veth peer name eth0 netns {}\nlink set {host} master br0 up\n",
        netns.name()
    ))?;
    // A checksum that is left to the hardware is never done on a veth.
    let offloads = ["-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off"];
    run(netns.command("ethtool").args(offloads))?;
    netns.ip(&format!("link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up\n"))
}

fn serve(place: &Place) -> Result<()> {
    let dir = place.dir();
    let config = dir.join("nginx.conf");
    fs::write(&config, nginx_config(&dir.display().to_string()))?;
    let mut nginx = place.netns(Host::Backend(1)).command("nginx");
    nginx.arg("-e").arg(dir.join("nginx.log")).arg("-c").arg(&config).stdin(Stdio::null());
    // It ends with the namespace.
    let mut child = nginx.spawn().context("nginx can't be started: `cargo xtask setup` installs it")?;
    let deadline = Instant::now() + PATIENCE;
    place.netns(Host::Backend(1)).inside(|| {
        while TcpStream::connect((BACKEND, 80)).is_err() {
            let log = || fs::read_to_string(dir.join("nginx.log")).unwrap_or_default();
            ensure!(
                Instant::now() < deadline && child.try_wait()?.is_none(),
                "nginx does not listen: {}",
                log()
            );
            sleep(Duration::from_millis(10));
        }
        Ok(())
    })
}

/// One process in the foreground, and no file outside the test's directory.
fn nginx_config(dir: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {dir}/{kind};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.log;\nevents {{}}\n\
         http {{\n{temporary}access_log off;\nserver {{\nlisten 80;\nlisten 8081;\nlisten 8082;\nreturn 200 \"{PAGE}\";\n}}\n}}\n"
    )
}

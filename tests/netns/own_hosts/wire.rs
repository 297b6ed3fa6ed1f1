//! The hosts with the addresses of the README's example: a client and the balancer on one segment, and the web servers
//! there too or in containers of the balancer's host.

use std::{
    fs::{self, Permissions},
    net::{Ipv4Addr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{
    napi,
    netns::{Netns, run},
    paths::Place,
    topology::Host,
};

use super::readme::Part;

/// The client.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
const BALANCER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
const BACKEND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
/// What routers do for the client: the service address is on this segment.
const ROUTE: &str = "route add 203.0.113.10/32 dev eth0\n";
/// The bridge of the balancer's containers, and what is before their last byte.
const BRIDGE: &str = "podman0";
const CONTAINERS: [Host; 2] = [Host::Backend(1), Host::Backend(2)];
/// What podman says of the two, and nothing else: images are not to be had here.
const PODMAN: &str =
    "#!/bin/sh\n[ \"$1 $2 $3\" = 'inspect -f {{.State.Pid}}' ] && cat \"$(dirname \"$0\")/$4.pid\"\n";
/// How long the web server may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the web server answers: too much for a sender to get it through in packets that nobody cuts.
pub(super) fn page() -> String {
    "the backend's page\n".repeat(100_000)
}

/// Makes the segment and its hosts.
pub(super) fn build(place: &Place, part: Part) -> Result<()> {
    fs::create_dir_all(place.bpffs())?;
    run(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(place.bpffs()))?;
    let switch = place.switch();
    switch.create()?;
    switch.ip("link add br0 type bridge\nlink set br0 up\n")?;
    join(place, Host::Client(1), CLIENT)?;
    join(place, Host::Balancer, BALANCER)?;
    place.netns(Host::Client(1)).ip(ROUTE)?;
    // A network card needs no help to send what XDP hands it back; a veth does.
    napi::enable(&switch, &Host::Balancer.to_string(), &place.bpffs().join("pass"))?;
    fs::write(place.dir().join("index.html"), page())?;
    match part {
        Part::Segment | Part::AsTheyAre => {
            join(place, Host::Backend(1), BACKEND)?;
            serve(place, Host::Backend(1), BACKEND, 80).map(drop)
        }
        Part::Containers => contain(place),
    }
}

fn join(place: &Place, host: Host, address: Ipv4Addr) -> Result<()> {
    let netns = place.netns(host);
    netns.create()?;
    plug(&place.switch(), "br0", &netns, &host.to_string())?;
    // A checksum that is left to the hardware is never done on a veth.
    let offloads = ["-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off"];
    run(netns.command("ethtool").args(offloads))?;
    netns.ip(&format!("link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up\n"))
}

/// A cable from a namespace's `eth0` to a bridge.
fn plug(switch: &Netns, bridge: &str, netns: &Netns, port: &str) -> Result<()> {
    switch.ip(&format!(
        "link add {port} type veth peer name eth0 netns {}\nlink set {port} master {bridge} up\n",
        netns.name()
    ))
}

/// The balancer's bridge, and the containers on it, as podman makes them.
fn contain(place: &Place) -> Result<()> {
    let balancer = place.netns(Host::Balancer);
    balancer.ip(&format!(
        "link add {BRIDGE} address 02:00:0a:58:00:01 type bridge\nlink set {BRIDGE} up\naddress add 10.88.0.1/16 dev {BRIDGE}\n"
    ))?;
    let bin = place.dir().join("bin");
    fs::create_dir_all(&bin)?;
    fs::write(bin.join("podman"), PODMAN)?;
    fs::set_permissions(bin.join("podman"), Permissions::from_mode(0o755))?;
    for (container, n) in CONTAINERS.into_iter().zip(1..) {
        let (netns, address) = (place.netns(container), Ipv4Addr::new(10, 88, 0, 1 + n));
        netns.create()?;
        plug(&balancer, BRIDGE, &netns, &format!("veth{n}"))?;
        netns.ip(&format!(
            "link set lo up\naddress add {address}/16 dev eth0\nlink set eth0 up\nroute add default via 10.88.0.1\n"
        ))?;
        let pid = serve(place, container, address, 8080)?;
        fs::write(bin.join(format!("web-{n}.pid")), pid.to_string())?;
    }
    Ok(())
}

/// Starts a web server and waits until it listens; its process.
fn serve(place: &Place, host: Host, address: Ipv4Addr, port: u16) -> Result<u32> {
    let (dir, log) = (place.dir(), place.dir().join(format!("{host}.nginx.log")));
    let config = dir.join(format!("{host}.nginx.conf"));
    fs::write(&config, nginx_config(&dir.display().to_string(), host))?;
    let mut nginx = place.netns(host).command("nginx");
    nginx.arg("-e").arg(&log).arg("-c").arg(&config).stdin(Stdio::null());
    // It ends with the namespace.
    let mut child = nginx.spawn().context("nginx can't be started: `cargo xtask setup` installs it")?;
    let deadline = Instant::now() + PATIENCE;
    place.netns(host).inside(|| {
        while TcpStream::connect((address, port)).is_err() {
            let log = || fs::read_to_string(&log).unwrap_or_default();
            ensure!(
                Instant::now() < deadline && child.try_wait()?.is_none(),
                "nginx does not listen: {}",
                log()
            );
            sleep(Duration::from_millis(10));
        }
        Ok(child.id())
    })
}

/// One process in the foreground, and no file outside the test's directory.
fn nginx_config(dir: &str, host: Host) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {dir}/{host}.{kind};\n"))
        .collect();
    let listen: String = [80, 8080, 8081, 8082].map(|port| format!("listen {port};\n")).concat();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/{host}.nginx.pid;\nerror_log {dir}/{host}.nginx.log;\nevents {{}}\n\
         http {{\n{temporary}access_log off;\nserver {{\n{listen}root {dir};\n}}\n}}\n"
    )
}

//! The segment: a bridge in a namespace of its own, and each host joined to it by a veth pair; `router` adds a second
//! one.

mod router;

use std::{fmt::Write as _, process::Command};

use anyhow::{Context as _, Result};
use tokio::task::yield_now;

use crate::{
    napi,
    netns::{Netns, output, run},
    paths::Place,
    shape::{Answers, Backends, FAR_V4_BITS, FAR_V6_BITS, Shape},
    topology::{
        CLIENT_HOSTS, Host, SEGMENT_V4_BITS, SEGMENT_V6_BITS, VIP_V4, VIP_V6, clients_v4, clients_v6,
    },
};

/// Interface of every host.
pub const INTERFACE: &str = "eth0";

/// Second interface of the balancer, where it has one.
pub const SECOND_INTERFACE: &str = "eth1";

/// Makes the switches and one host's namespace, link and addresses after another; yields between them.
///
/// # Errors
/// What `ip` or `ethtool` refuses.
pub async fn build(place: &Place, shape: Shape) -> Result<()> {
    switch(&place.switch())?;
    if shape.has_router() {
        switch(&place.far_switch())?;
        router::make(place, shape)?;
    }
    for host in Host::all() {
        let netns = place.netns(host);
        netns.create()?;
        netns.sysctl(&common_sysctls())?;
        plug(place, &segment_of(place, shape, host), &netns, INTERFACE, host)?;
        netns.sysctl(role_sysctls(shape, host))?;
        netns.ip(&addresses(shape, host))?;
        netns.ip(&routes(shape, host))?;
        yield_now().await;
    }
    match shape.backends {
        Backends::TwoSegments => router::second_interface(place),
        Backends::Segment | Backends::Routed => Ok(()),
    }
}

/// A switch forwards frames; it has no business with addresses.
fn switch(netns: &Netns) -> Result<()> {
    netns.create()?;
    netns.sysctl(&[("ipv6/conf/default/disable_ipv6", "1")])?;
    netns.ip("link add br0 type bridge\nlink set br0 up\n")
}

/// The switch that a host is at.
fn segment_of(place: &Place, shape: Shape, host: Host) -> Netns {
    match host {
        Host::Backend(_) if shape.has_router() => place.far_switch(),
        _ => place.switch(),
    }
}

/// MAC address of a host. By netlink: `/sys` shows the namespace that it was mounted in.
///
/// # Errors
/// When the host has no interface.
pub fn hardware_address(place: &Place, host: Host) -> Result<String> {
    let link = output(place.netns(host).command("ip").args(["-brief", "link", "show", "dev", INTERFACE]))?;
    Ok(link.split_whitespace().nth(2).with_context(|| format!("no address in {link:?}"))?.to_owned())
}

/// An interface of a host at a switch, where its other end is named after the host.
fn plug(place: &Place, switch: &Netns, netns: &Netns, interface: &str, host: Host) -> Result<()> {
    cable(switch, netns, interface, &host.to_string())?;
    match host {
        // The balancer's peer takes what XDP sends.
        Host::Balancer => {
            napi::enable(switch, &host.to_string(), &place.bpffs().join(format!("pass-{interface}")))
        }
        Host::Client(_) | Host::Backend(_) => Ok(()),
    }
}

/// A veth pair; both ends are born in their namespaces: nothing shows up on the machine's own list of links.
fn cable(switch: &Netns, netns: &Netns, interface: &str, port: &str) -> Result<()> {
    run(Command::new("ip").args(["link", "add", interface, "netns", netns.name(), "type", "veth"]).args([
        "peer",
        "name",
        port,
        "netns",
        switch.name(),
    ]))?;
    // Frames must be whole on the wire: a checksum or segment left to the hardware is never done once XDP sends the
    // frame elsewhere.
    let off = ["-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off"];
    run(netns.command("ethtool").args(off))?;
    switch.ip(&format!("link set dev {port} master br0\nlink set dev {port} up\n"))
}

/// No duplicate address detection (addresses serve at once), no autoconfiguration, asymmetric paths are fine.
fn common_sysctls() -> [(&'static str, &'static str); 4] {
    [
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
    ]
}

fn role_sysctls(shape: Shape, host: Host) -> &'static [(&'static str, &'static str)] {
    match host {
        // Clients bind to addresses that are local by a route alone: v6 wants to be told.
        Host::Client(_) => &[("ipv6/ip_nonlocal_bind", "1"), ("ipv4/conf/all/arp_announce", "2")],
        Host::Balancer => &[],
        Host::Backend(_) if !shape.service_on_lo => &[],
        // The service address on lo stays unknown on the segment: ARP is answered for eth0's addresses alone. ND needs
        // no switch: Linux answers only for addresses of the interface that was asked.
        Host::Backend(_) => &[("ipv4/conf/all/arp_ignore", "1"), ("ipv4/conf/all/arp_announce", "2")],
    }
}

fn addresses(shape: Shape, host: Host) -> String {
    let (v4, v6) = (host.v4(), host.v6());
    let (bits4, bits6) = match host {
        Host::Backend(_) if shape.has_router() => (FAR_V4_BITS, FAR_V6_BITS),
        _ => (SEGMENT_V4_BITS, SEGMENT_V6_BITS),
    };
    let mut script = format!(
        "link set lo up\n\
         address add {v4}/{bits4} dev {INTERFACE}\n\
         address add {v6}/{bits6} dev {INTERFACE} nodad\n\
         link set {INTERFACE} up\n"
    );
    let vip_on = match host {
        Host::Client(_) => return script,
        Host::Backend(_) if !shape.service_on_lo => return script,
        Host::Balancer => INTERFACE,
        Host::Backend(_) => "lo",
    };
    let _ = writeln!(script, "address add {VIP_V4}/32 dev {vip_on}");
    // Deprecated: serves, but is never chosen as the source of what the host itself begins.
    let _ = writeln!(script, "address add {VIP_V6}/128 dev {vip_on} nodad preferred_lft 0");
    script
}

/// Client addresses are local on their own host, and reached through its segment address from everywhere else on the
/// segment; or through the balancer from the backends.
fn routes(shape: Shape, host: Host) -> String {
    match host {
        Host::Backend(_) if shape.has_router() => router::routes(host),
        Host::Backend(_) if shape.answers == Answers::ThroughBalancer => {
            to_clients(host, Some(Host::Balancer))
        }
        _ if shape.has_router() => to_clients(host, None) + &router::routes(host),
        _ => to_clients(host, None),
    }
}

/// Routes to all clients, by way of another host or of their own one.
fn to_clients(host: Host, through: Option<Host>) -> String {
    let mut script = String::new();
    for n in 1..=CLIENT_HOSTS {
        let owner = Host::Client(n);
        script += &if owner == host {
            let ((net4, bits4), (net6, bits6)) = (clients_v4(n), clients_v6(n));
            format!("route add local {net4}/{bits4} dev lo\nroute add local {net6}/{bits6} dev lo\n")
        } else {
            to_client_host(n, through.unwrap_or(owner))
        };
    }
    script
}

fn to_client_host(n: u8, through: Host) -> String {
    let ((net4, bits4), (net6, bits6)) = (clients_v4(n), clients_v6(n));
    let (v4, v6) = (through.v4(), through.v6());
    format!("route add {net4}/{bits4} via {v4}\nroute add {net6}/{bits6} via {v6}\n")
}

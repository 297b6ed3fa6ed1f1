//! The segment: a bridge in a namespace of its own, and each host joined to it by a veth pair.

use std::{fmt::Write as _, process::Command};

use anyhow::{Context as _, Result};
use tokio::task::yield_now;

use crate::{
    napi,
    netns::{Netns, output, run},
    paths::Place,
    topology::{
        CLIENT_HOSTS, Host, SEGMENT_V4_BITS, SEGMENT_V6_BITS, VIP_V4, VIP_V6, clients_v4, clients_v6,
    },
};

/// Interface of every host.
pub const INTERFACE: &str = "eth0";

/// Makes the switch and one host's namespace, link and addresses after another; yields between them.
///
/// # Errors
/// What `ip` or `ethtool` refuses.
pub async fn build(place: &Place) -> Result<()> {
    let switch = place.switch();
    switch.create()?;
    // The switch forwards frames; it has no business with addresses.
    switch.sysctl(&[("ipv6/conf/default/disable_ipv6", "1")])?;
    switch.ip("link add br0 type bridge\nlink set br0 up\n")?;
    for host in Host::all() {
        join(place, &switch, host)?;
        yield_now().await;
    }
    Ok(())
}

/// MAC address of a host. By netlink: `/sys` shows the namespace that it was mounted in.
///
/// # Errors
/// When the host has no interface.
pub fn hardware_address(place: &Place, host: Host) -> Result<String> {
    let link = output(place.netns(host).command("ip").args(["-brief", "link", "show", "dev", INTERFACE]))?;
    Ok(link.split_whitespace().nth(2).with_context(|| format!("no address in {link:?}"))?.to_owned())
}

fn join(place: &Place, switch: &Netns, host: Host) -> Result<()> {
    let netns = place.netns(host);
    netns.create()?;
    netns.sysctl(&common_sysctls())?;
    // Both ends are born in their namespaces: nothing shows up on the machine's own list of links.
    run(Command::new("ip").args(["link", "add", INTERFACE, "netns", netns.name(), "type", "veth"]).args([
        "peer",
        "name",
        &host.to_string(),
        "netns",
        switch.name(),
    ]))?;
    offloads(place, switch, &netns, host)?;
    switch.ip(&format!("link set dev {host} master br0\nlink set dev {host} up\n"))?;
    netns.sysctl(role_sysctls(host))?;
    netns.ip(&addresses(host))?;
    netns.ip(&routes(host))
}

/// A host's frames must be whole on the wire: a checksum or segment left to the hardware is never done once XDP sends
/// the frame elsewhere. The balancer's peer takes what XDP sends.
fn offloads(place: &Place, switch: &Netns, netns: &Netns, host: Host) -> Result<()> {
    run(netns
        .command("ethtool")
        .args(["-K", INTERFACE, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]))?;
    match host {
        Host::Balancer => napi::enable(switch, &host.to_string(), &place.bpffs().join("pass")),
        Host::Client(_) | Host::Backend(_) => Ok(()),
    }
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

fn role_sysctls(host: Host) -> &'static [(&'static str, &'static str)] {
    match host {
        // Clients bind to addresses that are local by a route alone: v6 wants to be told.
        Host::Client(_) => &[("ipv6/ip_nonlocal_bind", "1"), ("ipv4/conf/all/arp_announce", "2")],
        Host::Balancer => &[],
        // The service address on lo stays unknown on the segment: ARP is answered for eth0's addresses alone. ND needs
        // no switch: Linux answers only for addresses of the interface that was asked.
        Host::Backend(_) => &[("ipv4/conf/all/arp_ignore", "1"), ("ipv4/conf/all/arp_announce", "2")],
    }
}

fn addresses(host: Host) -> String {
    let (v4, v6) = (host.v4(), host.v6());
    let mut script = format!(
        "link set lo up\n\
         address add {v4}/{SEGMENT_V4_BITS} dev {INTERFACE}\n\
         address add {v6}/{SEGMENT_V6_BITS} dev {INTERFACE} nodad\n\
         link set {INTERFACE} up\n"
    );
    let vip_on = match host {
        Host::Client(_) => return script,
        Host::Balancer => INTERFACE,
        Host::Backend(_) => "lo",
    };
    let _ = writeln!(script, "address add {VIP_V4}/32 dev {vip_on}");
    // Deprecated: serves, but is never chosen as the source of what the host itself begins.
    let _ = writeln!(script, "address add {VIP_V6}/128 dev {vip_on} nodad preferred_lft 0");
    script
}

/// Client addresses are local on their own host, and reached through its segment address from everywhere else.
fn routes(host: Host) -> String {
    let mut script = String::new();
    for n in 1..=CLIENT_HOSTS {
        let ((net4, bits4), (net6, bits6)) = (clients_v4(n), clients_v6(n));
        let owner = Host::Client(n);
        let _ = if owner == host {
            writeln!(script, "route add local {net4}/{bits4} dev lo\nroute add local {net6}/{bits6} dev lo")
        } else {
            writeln!(
                script,
                "route add {net4}/{bits4} via {}\nroute add {net6}/{bits6} via {}",
                owner.v4(),
                owner.v6()
            )
        };
    }
    script
}

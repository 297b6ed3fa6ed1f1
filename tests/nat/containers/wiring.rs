//! How the containers are connected: two backends of the lab lose their place on its segment, and get one on the balancer.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
};

use anyhow::Result;
use lab::{netns::run, network::INTERFACE, paths::Place, topology::Host};

const BRIDGE: &str = "podman0";
const VETHS: [&str; 2] = ["veth1", "veth2"];

/// What a container's veth leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wiring {
    /// A bridge with an address.
    Bridge,
    /// The host itself, which has a route to each container.
    Veths,
}

/// Both containers.
pub(super) fn containers() -> [Host; 2] {
    [1, 2].map(Host::Backend)
}

const fn number(container: Host) -> u8 {
    match container {
        Host::Backend(number) => number,
        Host::Client(_) | Host::Balancer => 0,
    }
}

/// The host's own addresses there, which the containers see as their clients'.
pub(super) const fn gateway(v6: bool) -> IpAddr {
    address(0, v6)
}

/// A container's addresses.
pub(super) fn addresses(container: Host) -> [IpAddr; 2] {
    [false, true].map(|v6| address(number(container), v6))
}

const fn address(number: u8, v6: bool) -> IpAddr {
    match v6 {
        false => IpAddr::V4(Ipv4Addr::new(10, 88, 0, 1 + number)),
        true => IpAddr::V6(Ipv6Addr::new(0xfd88, 0, 0, 0, 0, 0, 0, 1 + number as u16)),
    }
}

/// Lets the container's stack complete checksums, and cut segments: nobody does it behind an XDP program.
pub(super) fn complete_checksums(place: &Place, container: Host) -> Result<()> {
    run(place.netns(container).command("ethtool").args(["-K", INTERFACE, "tx", "off"]))
}

impl Wiring {
    /// Interfaces of the balancer's where answers come in.
    pub(super) const fn interfaces(self) -> &'static [&'static str] {
        match self {
            Self::Bridge => &[BRIDGE],
            Self::Veths => &VETHS,
        }
    }

    /// Makes it.
    pub(super) fn make(self, place: &Place) -> Result<()> {
        let balancer = place.netns(Host::Balancer);
        let [v4, v6] = [false, true].map(gateway);
        if self == Self::Bridge {
            balancer.ip(&format!(
                "link add {BRIDGE} address 02:00:0a:58:00:01 type bridge\nlink set {BRIDGE} up\naddress add {v4}/16 dev {BRIDGE}\n\
                 address add {v6}/64 dev {BRIDGE} nodad\n"
            ))?;
        }
        for (container, veth) in containers().into_iter().zip(VETHS) {
            let netns = place.netns(container);
            netns.ip(&format!("link del {INTERFACE}\n"))?;
            run(Command::new("ip")
                .args(["link", "add", INTERFACE, "netns", netns.name(), "type", "veth"])
                .args(["peer", "name", veth, "netns", balancer.name()]))?;
            let [own4, own6] = addresses(container);
            let (bits4, bits6) = if self == Self::Bridge { (16, 64) } else { (32, 128) };
            netns.ip(&format!(
                "address add {own4}/{bits4} dev {INTERFACE}\naddress add {own6}/{bits6} dev {INTERFACE} nodad\n\
                 link set {INTERFACE} up\n"
            ))?;
            balancer.ip(&match self {
                Self::Bridge => format!("link set {veth} master {BRIDGE} up\n"),
                Self::Veths => format!(
                    "link set {veth} up\naddress add {v4}/32 dev {veth}\naddress add {v6}/128 dev {veth} nodad\n\
                     route add {own4} dev {veth}\nroute add {own6} dev {veth}\n"
                ),
            })?;
            if self == Self::Veths {
                netns.ip(&format!("route add {v4} dev {INTERFACE}\nroute add {v6} dev {INTERFACE}\n"))?;
            }
            netns.ip(&format!("route add default via {v4}\nroute add default via {v6}\n"))?;
        }
        Ok(())
    }

    /// What becomes of a container's link when it ends.
    pub(super) fn remove(self, place: &Place, container: Host) -> Result<()> {
        place.netns(container).ip(&format!("link del {INTERFACE}\n"))
    }
}

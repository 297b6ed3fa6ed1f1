//! How the lab's network is made narrow, and how the messages that say so get lost.

use std::fmt::Write as _;

use anyhow::Result;
use lab::{
    fixture::{loss::Loss, mode::Mode},
    network::SECOND_INTERFACE,
    paths::Place,
    shape::{Backends, FAR_V4, FAR_V4_BITS, FAR_V6, FAR_V6_BITS, MTU, ROUTER, Shape, v4, v6},
    topology::Host,
};

use super::Narrow;
use crate::file::FIRST;

/// Bytes of the largest packet of a narrow way.
const NARROW: u16 = 1400;

/// The network; a router sends no larger packets back than it sends forth.
pub(super) fn shape(mode: Mode, backends: Backends, narrow: Narrow) -> Shape {
    let mtu = if narrow == Narrow::Further { NARROW } else { MTU };
    let mtu_back = if backends == Backends::Segment { MTU } else { NARROW };
    Shape { mtu, mtu_back, ..mode.shape(backends) }
}

/// Bytes of the largest packet that gets from a client to a backend.
pub(super) fn path_mtu(mode: Mode, narrow: Narrow, is_v6: bool) -> u32 {
    let way = if narrow == Narrow::Header { MTU } else { NARROW };
    u32::from(way) - mode.overhead(is_v6) as u32
}

/// Makes the balancer's own way narrow.
pub(super) fn make_narrow(place: &Place, backends: Backends, narrow: Narrow) -> Result<()> {
    if narrow != Narrow::Own {
        return Ok(());
    }
    let script = match backends {
        Backends::Segment => hosts().fold(String::new(), |mut script, host| {
            for route in [format!("{}/32", host.v4()), format!("{}/128", host.v6())] {
                let _ = writeln!(script, "route add {route} dev eth0 mtu {NARROW}");
            }
            script
        }),
        Backends::Routed => format!(
            "route replace {FAR_V4}/{FAR_V4_BITS} via {} mtu {NARROW}\n\
             route replace {FAR_V6}/{FAR_V6_BITS} via {} mtu {NARROW}\n",
            v4(ROUTER[0]),
            v6(ROUTER[0])
        ),
        Backends::TwoSegments => format!("link set dev {SECOND_INTERFACE} mtu {NARROW}\n"),
    };
    place.netns(Host::Balancer).ip(&script)
}

/// The backends that serve.
pub(super) fn hosts() -> impl Iterator<Item = Host> {
    (1..=FIRST).map(Host::Backend)
}

/// What the backends announce of their segments; 0: as much as their links take. For a mode whose answers do not come by,
/// and that has no `balancer decap`.
pub(super) fn announce(place: &Place, mss: u16) -> Result<()> {
    let far = ROUTER[1];
    let advmss = if mss == 0 { String::new() } else { format!("advmss {mss}") };
    let script = format!(
        "route replace default via {} {advmss}\nroute replace default via {} {advmss}\n",
        v4(far),
        v6(far)
    );
    hosts().try_for_each(|host| place.netns(host).ip(&script))
}

/// Loses every message that a packet was too large, whoever it is for.
pub(super) fn lose_messages(place: &Place, shape: Shape) -> Result<Vec<Loss>> {
    let far = if shape.has_router() { place.far_switch() } else { place.switch() };
    let near = Host::clients().chain([Host::Balancer]).map(|host| (place.switch(), host));
    let ports = near.chain(hosts().map(|host| (far.clone(), host)));
    ports.map(|(switch, host)| Loss::of_too_big(&switch, host, &place.bpffs().join("loss"))).collect()
}

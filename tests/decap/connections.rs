//! Real connections whose client's side comes in a tunnel that the kernel's own IP stack wraps.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{
        caller::Caller,
        decap::Decap,
        echo::Echo,
        encapsulator::Encapsulator,
        labs::{self, Lab},
    },
    lifecycle::Extent,
    network::INTERFACE,
    paths::Place,
    topology::{Host, VIP_V4, VIP_V6, client_v4, client_v6, vip_for},
};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("connections_come_by_a_tunnel_over_v4_and_are_answered_directly", over_v4),
    ("connections_come_by_a_tunnel_over_v6_and_are_answered_directly", over_v6),
];

const BACKEND: Host = Host::Backend(1);
const PORT: u16 = 7777;
/// A v6 packet of that many bytes of TCP, in v6, just fits the segment.
const MSS: &str = "1400";
const BYTES: usize = 4_000_000;

fn over_v4() -> Result<()> {
    through("bd-four-", |host| host.v4().into())
}

fn over_v6() -> Result<()> {
    through("bd-six-", |host| host.v6().into())
}

fn through(prefix: &str, own: fn(Host) -> IpAddr) -> Result<()> {
    let lab = labs::block_on(Lab::up(prefix, Extent::Network))?;
    let place = &lab.place;
    lead_through_the_balancer(place)?;
    let balancer = place.netns(Host::Balancer);
    let services = vec![VIP_V4.into(), VIP_V6.into()];
    let _near = Encapsulator::start(&balancer, services, own(BACKEND))?;
    let source = own(Host::Balancer).to_string();
    let decap = Decap::start(place, BACKEND, &["--mss", MSS, "--source", &source])?;
    let addresses = [VIP_V4.into(), VIP_V6.into()].map(|vip: IpAddr| SocketAddr::new(vip, PORT));
    let _far = Echo::start(&place.netns(BACKEND), "backend-1", &addresses)?;
    for client in [client_v4(1, 7), client_v6(1, 7)] {
        converse(place, client).with_context(|| format!("{client}: {}", decap.show().unwrap_or_default()))?;
    }
    let unwrapped = decap.packets("unwrapped")?;
    ensure!(unwrapped > 5_000, "only {unwrapped} packets came by the tunnel");
    for lost in ["fragment", "bad-inner", "congested", "failed", "foreign-source"] {
        let packets = decap.packets(lost)?;
        ensure!(packets == 0, "{packets} packets are counted as {lost}");
    }
    ensure!(decap.stop()?.contains("unwrapped"), "it ends without a word of what it has done");
    Ok(())
}

/// The service address is the balancer's to forward and nobody's to have.
fn lead_through_the_balancer(place: &Place) -> Result<()> {
    place.netns(Host::Balancer).ip(&format!(
        "address del {VIP_V4}/32 dev {INTERFACE}\naddress del {VIP_V6}/128 dev {INTERFACE}\n"
    ))?;
    let (v4, v6) = (Host::Balancer.v4(), Host::Balancer.v6());
    place
        .netns(Host::Client(1))
        .ip(&format!("route add {VIP_V4}/32 via {v4}\nroute add {VIP_V6}/128 via {v6}\n"))
}

fn converse(place: &Place, client: IpAddr) -> Result<()> {
    let target = SocketAddr::new(vip_for(client), PORT);
    for udp in [false, true] {
        let mut caller = Caller::open(place, client, target, udp)?;
        ensure!(caller.who()? == "backend-1");
        for length in [1, 2, 3, 64, 999, 1300] {
            caller.echo(length).context(if udp { "UDP" } else { "TCP" })?;
        }
        if !udp {
            caller.transfer(BYTES)?;
        }
    }
    Ok(())
}

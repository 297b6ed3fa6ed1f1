//! What runs on a backend.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use lab::{
    fixture::{decap::Decap, echo::Echo},
    paths::Place,
    shape::{Backends, SOURCES},
    topology::{Host, VIP_V4, VIP_V6},
};

use crate::mode::{Mode, PORT};

/// A backend's servers.
pub(crate) fn serve(place: &Place, mode: Mode, backends: Backends, host: Host) -> Result<Echo> {
    let own =
        [host.v4().into(), host.v6().into()].map(|own: IpAddr| SocketAddr::new(own, mode.own_port(backends)));
    let services = [VIP_V4.into(), VIP_V6.into()].map(|vip: IpAddr| SocketAddr::new(vip, PORT));
    let services = if mode.serves_the_service_address() { &services[..] } else { &[] };
    Echo::start(&place.netns(host), &host.to_string(), &[&own[..], services].concat())
}

/// Takes a backend's packets out of their tunnels; its segments announce `mss` at most.
pub(crate) fn take_out(place: &Place, backends: Backends, host: Host, mss: Option<&str>) -> Result<()> {
    let own = [Host::Balancer.v4().to_string(), Host::Balancer.v6().to_string()];
    let sources = match backends {
        Backends::Routed => SOURCES.map(str::to_owned),
        Backends::Segment | Backends::TwoSegments => own,
    };
    let mut words = vec!["--source", &sources[0], "--source", &sources[1]];
    words.extend(mss.iter().flat_map(|mss| ["--mss", mss]));
    Decap::start(place, host, &words).map(drop)
}

//! What runs on a backend.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use lab::{
    fixture::{echo::Echo, mode::Mode},
    paths::Place,
    shape::Backends,
    topology::{Host, VIP_V4, VIP_V6},
};

use crate::file::{PORT, own_port};

/// A backend's servers.
pub(crate) fn serve(place: &Place, mode: Mode, backends: Backends, host: Host) -> Result<Echo> {
    let own = [host.v4().into(), host.v6().into()]
        .map(|own: IpAddr| SocketAddr::new(own, own_port(mode, backends)));
    let services = [VIP_V4.into(), VIP_V6.into()].map(|vip: IpAddr| SocketAddr::new(vip, PORT));
    let services = if mode.translates() { &[] } else { &services[..] };
    Echo::start(&place.netns(host), &host.to_string(), &[&own[..], services].concat())
}

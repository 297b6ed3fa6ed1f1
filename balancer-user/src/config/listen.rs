//! Addresses as they are written: `203.0.113.10:443/tcp`, `[2001:db8::10]:*/udp`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use super::{
    model::{Listen, Proto},
    problem::Fault,
    suggest,
};

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:")?,
            IpAddr::V6(address) => write!(f, "[{address}]:")?,
        }
        match self.port {
            Some(port) => write!(f, "{port}/{}", self.proto),
            None => write!(f, "*/{}", self.proto),
        }
    }
}

impl FromStr for Listen {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        listen(text)
    }
}

/// Parses a listen address.
pub(super) fn listen(text: &str) -> Result<Listen, Fault> {
    let (place, proto) = text.split_once('/').ok_or_else(|| {
        Fault::new(
            format!("{text:?} has no protocol"),
            format!("write {:?} or {:?}", format!("{text}/tcp"), format!("{text}/udp")),
        )
    })?;
    let proto = Proto::from_word(proto).ok_or_else(|| {
        let words: Vec<_> = Proto::ALL.iter().map(|proto| proto.word()).collect();
        Fault::new(format!("{text:?} has the unknown protocol {proto:?}"), suggest::remedy(proto, &words))
    })?;
    let (host, port) = split_port(text, place)?;
    let address = host_address(text, host)?;
    unicast(address)?;
    Ok(Listen { address, port, proto })
}

fn split_port<'a>(text: &str, place: &'a str) -> Result<(&'a str, Option<u16>), Fault> {
    let no_port =
        || Fault::new(format!("{text:?} has no port"), "write ADDRESS:PORT/PROTO, the port * for any");
    let (host, port) = place.rsplit_once(':').filter(|_| !place.ends_with(']')).ok_or_else(no_port)?;
    if port == "*" {
        return Ok((host, None));
    }
    match port.parse() {
        Ok(port @ 1..) => Ok((host, Some(port))),
        _ => Err(Fault::new(format!("{text:?} has no port {port:?}"), "use 1 to 65535, or * for any")),
    }
}

fn host_address(text: &str, host: &str) -> Result<IpAddr, Fault> {
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(Fault::new(
            format!("{text:?} has an IPv6 address without brackets"),
            "write [ADDRESS]:PORT/PROTO",
        ));
    }
    match format!("{host}:0").parse() {
        Ok(SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
            Err(Fault::new(format!("{text:?} has a zone"), "write the address without it"))
        }
        Ok(address) => Ok(address.ip()),
        Err(_) => Err(Fault::new(
            format!("{host:?} is no IP address"),
            "write an IPv4 address or an IPv6 address in brackets; names are not looked up",
        )),
    }
}

/// Refuses what no single host on the network can have.
pub(super) fn unicast(address: IpAddr) -> Result<(), Fault> {
    let kind = match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            let v4 = address.to_canonical();
            return Err(Fault::new(
                format!("{address} is an IPv4 address in IPv6 form"),
                format!("write {v4}"),
            ));
        }
        _ if address.is_unspecified() => "the unspecified address",
        _ if address.is_loopback() => "a loopback address",
        _ if address.is_multicast() => "a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        _ => return Ok(()),
    };
    Err(Fault::new(format!("{address} is {kind}"), "write the unicast address of one host"))
}

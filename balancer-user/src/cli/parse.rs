//! Values of the command line that clap does not know, and their written form.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use balancer_common::state::Proto;
use ipnet::IpNet;

/// `SRC[:PORT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
}

/// `DST:PORT/PROTO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) address: SocketAddr,
    pub(super) proto: Proto,
}

/// Reads `198.51.100.7`, `198.51.100.7:40123`, `2001:db8::7` or `[2001:db8::7]:40123`.
pub(super) fn source(text: &str) -> Result<Source, String> {
    if let Ok(address) = text.parse() {
        return Ok(Source { address, port: None });
    }
    text.parse::<SocketAddr>()
        .map(|socket| Source { address: socket.ip(), port: Some(socket.port()) })
        .map_err(|_| {
            "write an address, with its port if that matters: 198.51.100.7 or [2001:db8::7]:40123".into()
        })
}

/// Reads `203.0.113.10:443/tcp` or `[2001:db8::10]:443/udp`.
pub(super) fn destination(text: &str) -> Result<Destination, String> {
    const FORM: &str = "write ADDRESS:PORT/PROTO: 203.0.113.10:443/tcp or [2001:db8::10]:443/udp";
    let (address, proto) = text.split_once('/').ok_or(FORM)?;
    let address = address.parse().map_err(|_| FORM)?;
    let proto =
        Proto::from_word(proto).ok_or_else(|| format!("unknown protocol \"{proto}\": use tcp or udp"))?;
    Ok(Destination { address, proto })
}

/// Reads an address or a prefix, and writes it in its one form: host bits cleared, no length where it is whole.
pub(super) fn client(text: &str) -> Result<String, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let prefix: IpNet = text.parse().map_err(|_| {
        "write an address or a prefix: 198.51.100.7, 198.51.100.0/24 or 2001:db8::/64".to_owned()
    })?;
    Ok(if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.trunc().to_string()
    })
}

/// Reads an address or a prefix.
pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    let whole = text.parse::<IpAddr>().map(IpNet::from);
    whole
        .or_else(|_| text.parse())
        .map_err(|_| "write an address or a prefix: 192.0.2.64, 192.0.2.64/28 or 2001:db8::40/124".to_owned())
}

/// Seconds for people, without spaces: `2h59m3s`.
pub(super) fn seconds(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string().replace(' ', "")
}

/// A number of things: `1 flow`, `2 flows`.
pub(super) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_have_a_port() {
        let read = |text| source(text).map(|source| (source.address.to_string(), source.port));
        assert_eq!(read("198.51.100.7"), Ok(("198.51.100.7".into(), None)));
        assert_eq!(read("198.51.100.7:40123"), Ok(("198.51.100.7".into(), Some(40123))));
        assert_eq!(read("2001:db8::7"), Ok(("2001:db8::7".into(), None)));
        assert_eq!(read("[2001:db8::7]:40123"), Ok(("2001:db8::7".into(), Some(40123))));
        assert!(read("client-1").unwrap_err().contains("write an address"));
    }

    #[test]
    fn a_destination_needs_port_and_protocol() {
        let wanted = Destination { address: "203.0.113.10:443".parse().unwrap(), proto: Proto::Tcp };
        assert_eq!(destination("203.0.113.10:443/tcp"), Ok(wanted));
        assert_eq!(destination("[2001:db8::10]:443/udp").unwrap().proto, Proto::Udp);
        assert!(destination("203.0.113.10:443").unwrap_err().contains("ADDRESS:PORT/PROTO"));
        assert!(destination("203.0.113.10/tcp").unwrap_err().contains("ADDRESS:PORT/PROTO"));
        assert_eq!(
            destination("203.0.113.10:443/quic").unwrap_err(),
            "unknown protocol \"quic\": use tcp or udp"
        );
    }

    #[test]
    fn a_client_is_written_in_one_form() {
        assert_eq!(client("198.51.100.7/32").unwrap(), "198.51.100.7");
        assert_eq!(client("2001:DB8:0:0::7/64").unwrap(), "2001:db8::/64");
        assert_eq!(client("2001:db8::7").unwrap(), "2001:db8::7");
        assert!(client("198.51.100.7/33").is_err());
    }
}

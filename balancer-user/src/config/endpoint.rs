//! An address of a backend as it is written: `10.0.1.10`, `10.0.1.10:8081`, `[2001:db8::10]:8081`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use super::{listen::unicast, model::Endpoint, problem::Fault};

impl Endpoint {
    /// A port of 0 for one that keeps the port that its client asked.
    #[must_use]
    pub fn port_or_zero(&self) -> u16 {
        self.port.unwrap_or(0)
    }

    /// Refuses an address that no single host on the network can have.
    ///
    /// # Errors
    /// What it is.
    pub fn checked(self) -> Result<Self, Fault> {
        unicast(self.address).map(|()| self)
    }

    /// Whether both may be one server: one address with two ports is two, without a port it is every one of them.
    #[must_use]
    pub fn is_same_server(self, other: Self) -> bool {
        let apart = self.port.zip(other.port).is_some_and(|(one, other)| one != other);
        self.address == other.address && !apart
    }
}

impl From<IpAddr> for Endpoint {
    fn from(address: IpAddr) -> Self {
        Self { address, port: None }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return with_port(text, socket);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare.and_then(|ip| ip.parse::<IpAddr>().ok()) {
            Some(address) => {
                Err(Fault::new(format!("{text:?} has brackets"), format!("write \"{address}\"")))
            }
            None => Err(Fault::new(
                format!("{text:?} is no IP address"),
                "write an IPv4 or IPv6 address; names are not looked up",
            )),
        }
    }
}

fn with_port(text: &str, socket: SocketAddr) -> Result<Endpoint, Fault> {
    if socket.port() == 0 {
        return Err(Fault::new(format!("{text:?} has the port 0"), "use 1 to 65535, or leave the port out"));
    }
    if let SocketAddr::V6(v6) = socket
        && v6.scope_id() != 0
    {
        return Err(Fault::new(format!("{text:?} has a zone"), "write the address without it"));
    }
    Ok(Endpoint { address: socket.ip(), port: Some(socket.port()) })
}

impl TryFrom<String> for Endpoint {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_comes_back_from_its_text() {
        for text in ["10.0.1.10", "2001:db8::10", "10.0.1.10:8081", "[2001:db8::10]:8081"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in
            ["", "ws-1", "10.0.1.10:0", "10.0.1.10:70000", "[2001:db8::10]", "[fe80::1%2]:80", "224.0.0.1:80"]
        {
            assert!(text.parse::<Endpoint>().and_then(Endpoint::checked).is_err(), "{text}");
        }
    }
}

//! The addresses of this host.

use std::net::IpAddr;

use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};

use crate::net::{NetError, Netlink, netlink::collect};

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of its prefix.
    pub prefix: u8,
    /// The interface that it is on.
    pub ifindex: u32,
}

impl LocalAddress {
    /// `IFA_LOCAL` is this host's; on a point-to-point link `IFA_ADDRESS` is the peer's, elsewhere (and
    /// for v6 without a peer, alone) it is this host's too.
    fn of(message: &AddressMessage) -> Option<Self> {
        let mut local = None;
        let mut address = None;
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(ip) => local = Some(*ip),
                AddressAttribute::Address(ip) => address = Some(*ip),
                _ => {}
            }
        }
        let address = local.or(address)?;
        Some(Self { address, prefix: message.header.prefix_len, ifindex: message.header.index })
    }
}

/// Every address of this host, in its network namespace.
///
/// # Errors
/// What went wrong with netlink.
pub async fn local(netlink: &Netlink) -> Result<Vec<LocalAddress>, NetError> {
    let messages = collect("the addresses", netlink.handle().address().get().execute()).await?;
    Ok(messages.iter().filter_map(LocalAddress::of).collect())
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;

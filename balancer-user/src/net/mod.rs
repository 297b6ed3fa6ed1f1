//! What the kernel knows of this host's network, over rtnetlink: links, addresses, routes, neighbours.
//!
//! The datapath cannot ask ARP or ND; [`neighbour`] keeps the MAC addresses of the backends resolved for
//! it, [`links`] says which interface a name is and whether it has a carrier, [`route`] whether a backend
//! stands on the same segment, [`speaker`] speaks to clients in the name of
//! a service, [`too_big`] hears what routers say of tunnelled packets, [`address`] and [`ssh`] say which addresses must not become a service.

pub mod address;
pub mod links;
pub mod mac;
pub mod neighbour;
pub mod netlink;
pub mod route;
pub mod speaker;
pub mod ssh;
pub mod stacked;
pub mod too_big;

#[cfg(test)]
mod testing;

pub use mac::Mac;
pub use netlink::{NetError, Netlink};

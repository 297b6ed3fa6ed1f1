//! What the tables hold of a configuration: identities, keys of listeners, and their lines.

use std::net::IpAddr;

use balancer_common::{
    hash::sip,
    table::{
        listener::{Echo, ListenerEntry, ListenerKey, TimeoutTicks, WideAddress, wide4},
        way::Words,
    },
};

use crate::{
    config::{Listen, Mode, Service, Timeouts},
    dataplane::Clock,
};

/// Whose a service's number is.
#[must_use]
pub fn service_identity(service: &str) -> u64 {
    sip(&[0; 16], service.as_bytes())
}

/// Whose a backend's number is.
#[must_use]
pub fn backend_identity(service: &str, backend: &str) -> u64 {
    sip(&[0; 16], format!("{service}\0{backend}").as_bytes())
}

/// The key of a front-end address.
#[must_use]
pub fn listener_key(listen: &Listen) -> ListenerKey {
    ListenerKey { address: wide(listen.address), port: listen.port.unwrap_or(0), proto: listen.proto as u8 }
}

/// An address as a way has it.
#[must_use]
pub fn words_of(address: IpAddr) -> Words {
    match address {
        IpAddr::V4(v4) => [u32::from_ne_bytes(v4.octets()), 0, 0, 0],
        IpAddr::V6(v6) => bytemuck::cast(v6.octets()),
    }
}

/// The address of a way.
#[must_use]
pub fn address_of(words: Words, v6: bool) -> IpAddr {
    match v6 {
        false => IpAddr::from(words[0].to_ne_bytes()),
        true => IpAddr::from(bytemuck::cast::<_, [u8; 16]>(words)),
    }
}

/// An address as it is looked up.
#[must_use]
pub fn wide(address: IpAddr) -> WideAddress {
    match address {
        IpAddr::V4(v4) => wide4(u32::from_ne_bytes(v4.octets())),
        IpAddr::V6(v6) => bytemuck::cast(v6.octets()),
    }
}

/// A key as numbers are looked up by.
pub type ListenerId = (WideAddress, u16, u8, u16);

/// Key and service together: an address that moves to another service is another listener, as the flows of the
/// old one name its backends.
#[must_use]
pub const fn listener_id(key: ListenerKey, service: u16) -> ListenerId {
    (key.address, key.port, key.proto, service)
}

/// The line of a front-end address of `service`.
#[must_use]
pub fn listener_entry(
    service: &Service,
    listen: &Listen,
    numbers: (u16, u16),
    seed: &[u8; 16],
    clock: Clock,
) -> ListenerEntry {
    let (listener, service_number) = numbers;
    ListenerEntry {
        key: listener_key(listen),
        listener,
        service: service_number,
        by: service.affinity.by,
        salt: sip(seed, service.name.as_bytes()) as u32,
        maglev_size: service.maglev_size,
        affinity_timeout: clock.pin_ticks(service.affinity.timeout),
        v4_prefix: service.affinity.v4_prefix,
        v6_prefix: service.affinity.v6_prefix,
        timeouts: timeouts(&service.timeouts, clock),
        on_none: service.on_none,
        on_expire: service.on_expire,
        nat: service.mode == Mode::Nat,
        echo: Echo::Pass,
    }
}

fn timeouts(timeouts: &Timeouts, clock: Clock) -> TimeoutTicks {
    TimeoutTicks {
        syn: clock.flow_ticks(timeouts.syn),
        established: clock.flow_ticks(timeouts.established),
        closing: clock.flow_ticks(timeouts.closing),
        udp: clock.flow_ticks(timeouts.udp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_as_the_packet_path_reads_them() {
        let key = |text: &str| listener_key(&text.parse().unwrap());
        let v4 = key("203.0.113.10:443/tcp");
        assert_eq!(bytemuck::cast::<_, [u8; 16]>(v4.address)[10..], [255, 255, 203, 0, 113, 10]);
        assert_eq!((v4.port, v4.proto), (443, 6));
        let v6 = key("[2001:db8::10]:*/udp");
        assert_eq!(bytemuck::cast::<_, [u8; 16]>(v6.address)[..4], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!((v6.port, v6.proto), (0, 17));
    }

    #[test]
    fn names_that_run_together_are_not_one_backend() {
        assert_ne!(backend_identity("a", "bc"), backend_identity("ab", "c"));
    }
}

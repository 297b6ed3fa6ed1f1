//! Where tunnelled and translated packets come from: prefixes of addresses, and a range of ports.

use std::{fmt, str::FromStr};

use balancer_common::table::ports::PORTS_A_WORD;
use ipnet::IpNet;

use super::{listen::unicast, model::PortRange, place::Placed, problem::Fault, problem::Report};

/// Bits of a source address that may be free at most.
const HOST_BITS_MAX: u8 = 16;

/// Reads one of `agent.sources`.
pub(super) fn prefix(text: &str) -> Result<IpNet, Fault> {
    let net: IpNet = text.parse().map_err(|_| {
        Fault::new(
            format!("source {text:?} is no prefix of addresses"),
            "write ADDRESS/BITS, like \"192.0.2.64/28\"; a lone address has /32, or /128",
        )
    })?;
    if host_bits(&net) > HOST_BITS_MAX {
        let least = net.max_prefix_len() - HOST_BITS_MAX;
        let message = format!("source {net} has {} free bits", host_bits(&net));
        return Err(Fault::new(message, format!("use at most {HOST_BITS_MAX}: /{least} or longer")));
    }
    if net.addr() != net.network() {
        let message = format!("source {net} is not the first address of its prefix");
        return Err(Fault::new(message, format!("write \"{}\"", net.trunc())));
    }
    unicast(net.addr()).map(|()| net)
}

/// Bits of a prefix's addresses that are free.
pub(super) fn host_bits(net: &IpNet) -> u8 {
    net.max_prefix_len() - net.prefix_len()
}

/// One prefix of each family at most.
pub(super) fn families(sources: &[Placed<IpNet>], report: &Report<'_>) {
    for (n, source) in sources.iter().enumerate() {
        let v4 = |net: &IpNet| matches!(net, IpNet::V4(_));
        if let Some(first) = sources[..n].iter().find(|it| v4(&it.value) == v4(&source.value)) {
            let family = if v4(&source.value) { "IPv4" } else { "IPv6" };
            let message = format!("{} is a second {family} prefix beside {}", source.value, first.value);
            report.error(&source.at, message, "keep one of each family; a shorter prefix has more addresses");
        }
    }
}

impl PortRange {
    /// Its ports in words of 64, the last ones that fill none left out.
    #[must_use]
    pub fn words(&self) -> u16 {
        ((u32::from(self.last) - u32::from(self.first) + 1) / PORTS_A_WORD) as u16
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let port = |text: &str| text.trim().parse().ok().filter(|port| *port > 0);
        let range = text.split_once('-').and_then(|(first, last)| Some((port(first)?, port(last)?)));
        let Some((first, last)) = range.filter(|(first, last)| first <= last) else {
            let message = format!("nat_ports {text:?} is no range of ports");
            return Err(Fault::new(message, "write FIRST-LAST, like \"1024-32767\""));
        };
        if u32::from(last - first) + 1 < PORTS_A_WORD {
            let message = format!("nat_ports {text:?} has {} ports", u32::from(last - first) + 1);
            return Err(Fault::new(message, format!("use at least {PORTS_A_WORD}: it counts in such steps")));
        }
        Ok(Self { first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_few_free_bits_and_none_of_them_set() {
        for good in ["192.0.2.64/28", "192.0.2.7/32", "10.1.0.0/16", "2001:db8::40/124", "2001:db8::1/128"] {
            assert_eq!(prefix(good).unwrap().to_string(), good);
        }
        for bad in
            ["192.0.2.64", "192.0.2.65/28", "10.0.0.0/15", "2001:db8::/111", "127.0.0.0/28", "224.0.0.0/32"]
        {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_count_in_words_rounded_down() {
        let words = |text: &str| text.parse::<PortRange>().map(|range| range.words()).ok();
        assert_eq!(words("1024-32767"), Some(496));
        assert_eq!(words("1024-1087"), Some(1));
        assert_eq!(words("1000-1190"), Some(2));
        assert_eq!(words("1-65535"), Some(1023));
        for bad in ["", "1024", "1024-1086", "0-1000", "2000-1000", "1-65536", "a-b"] {
            assert_eq!(words(bad), None, "{bad}");
        }
    }
}

//! How many ports are left for the translated flows of each backend.

use std::collections::BTreeMap;

use super::{Control, ways::FAMILIES};
use crate::dataplane::PortUse;

/// Parts of a hundred that are taken or rest, from which on the operator is told.
const SHORT: u64 = 80;
/// Parts of a hundred below which it is news again.
const ENOUGH: u64 = 70;

/// Whether ports are short, after they were or not.
const fn is_short(was: bool, PortUse { taken, resting, free }: PortUse) -> bool {
    let used = taken + resting;
    used * 100 >= (used + free) * if was { ENOUGH } else { SHORT } && used > 0
}

impl Control {
    /// Counts the ports of all backends, and tells where they are short.
    pub(super) fn count_ports(&mut self) {
        let mut counted = BTreeMap::new();
        for number in self.members.keys() {
            for v4 in FAMILIES {
                if let Some(held) = self.blocks.of(*number, v4).filter(|held| !held.keep) {
                    let bits = held.sources.map_or(0, |sources| sources.host_bits);
                    counted.insert((*number, v4), self.tables.port_use(v4, held.block, bits));
                }
            }
        }
        for ((number, v4), ports) in &counted {
            let was = self.short_of_ports.contains(&(*number, *v4));
            let short = is_short(was, *ports);
            if short == was {
                continue;
            }
            self.tell_ports(*number, *v4, *ports, short);
            match short {
                true => self.short_of_ports.insert((*number, *v4)),
                false => self.short_of_ports.remove(&(*number, *v4)),
            };
        }
        self.short_of_ports.retain(|who| counted.contains_key(who));
        self.port_use = counted;
    }

    fn tell_ports(&self, number: u16, v4: bool, ports: PortUse, short: bool) {
        let Some(member) = self.members.get(&number) else { return };
        let family = if v4 { "IPv4" } else { "IPv6" };
        let PortUse { taken, resting, free: _ } = ports;
        match short {
            true => tracing::warn!(
                "{}: {taken} of {} ports for translated flows of {family} clients are taken and {resting} rest: add to \
                 agent.sources, widen limits.nat_ports, or add backends",
                member.title(),
                ports.all()
            ),
            false => tracing::info!(
                "{}: ports for translated flows of {family} clients are free again",
                member.title()
            ),
        }
    }

    /// How the ports of a backend are used, as of the last sweep; `None` if its packets are not translated, or keep their
    /// client's address.
    pub(super) fn ports_of(&self, number: u16) -> Option<PortUse> {
        FAMILIES.into_iter().filter_map(|v4| self.port_use.get(&(number, v4)).copied()).reduce(PortUse::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_once_until_there_is_enough_again() {
        let used = |taken, resting| PortUse { taken, resting, free: 100 - taken - resting };
        assert!(!is_short(false, used(60, 19)));
        assert!(is_short(false, used(60, 20)) && is_short(false, used(0, 80)));
        assert!(is_short(true, used(60, 10)));
        assert!(!is_short(true, used(60, 9)));
        assert!(!is_short(false, PortUse::default()));
    }
}

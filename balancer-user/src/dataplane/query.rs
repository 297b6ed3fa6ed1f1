//! Lists of flows and pins, and the one pin of a client.

use super::{Dataplane, listener, tables::Tables, translation};
use balancer_common::{
    env::Env,
    settings::PIN_CLOCK_MASK,
    table::{
        bucket::{self, KeyOf, Place, Table, WordOf},
        key::Slots,
        line::{HostLine, Line},
        listener::Listener,
        pin::{EvictPins, PinService},
        service,
        words::{FlowState, FlowWord, Phase, PinWord, SlotWord},
    },
    walk::family::{Family, V4, V6},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which flows are asked for; an empty filter means all.
#[derive(Clone, Debug, Default)]
pub struct FlowFilter {
    /// Numbers of listeners.
    pub listeners: Option<Vec<u16>>,
    /// Number of the backend.
    pub backend: Option<u16>,
    /// Client address.
    pub client: Option<IpAddr>,
    /// The port that its packets come from at the backend.
    pub nat: Option<u16>,
}

/// A flow.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRow {
    /// Client address and port.
    pub client: SocketAddr,
    /// Number of the listener.
    pub listener: u16,
    /// Destination port, if the listener is a wildcard.
    pub dport: u16,
    /// Number of the backend.
    pub backend: u16,
    /// Its state's word.
    pub state: &'static str,
    /// Seconds since its last packet, to within a tick.
    pub idle: f64,
    /// The address and port that its packets come from at the backend, if they are translated.
    pub nat: Option<SocketAddr>,
}

/// Which pins are asked for; an empty filter means all.
#[derive(Clone, Debug, Default)]
pub struct PinFilter {
    /// Number of the service.
    pub service: Option<u16>,
    /// Number of the backend.
    pub backend: Option<u16>,
}

/// A pin.
#[derive(Clone, Debug, PartialEq)]
pub struct PinRow {
    /// Number of the service.
    pub service: u16,
    /// Client prefix.
    pub client: IpAddr,
    /// Number of the backend.
    pub backend: u16,
    /// Live flows that hold it.
    pub live: u16,
    /// Seconds since it was last seen.
    pub idle: f64,
    /// Seconds until it runs out; `None` while a flow holds it.
    pub expires_in: Option<f64>,
}

/// A pin's slot.
pub(super) type PinPlace<'a> = Place<'a, HostLine, PinWord>;

/// An address family as the host writes its addresses.
pub(super) trait HostFamily: Family {
    fn address(address: Self::Address) -> IpAddr;
    fn from_ip(address: IpAddr) -> Option<Self::Address>;
}

impl HostFamily for V4 {
    fn address(address: u32) -> IpAddr {
        Ipv4Addr::from(address.to_ne_bytes()).into()
    }

    fn from_ip(address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(v4) => Some(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(_) => None,
        }
    }
}

impl HostFamily for V6 {
    fn address([high, low]: [u64; 2]) -> IpAddr {
        let bytes = [high.to_ne_bytes(), low.to_ne_bytes()];
        Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|i| bytes[i / 8][i % 8])).into()
    }

    fn from_ip(address: IpAddr) -> Option<[u64; 2]> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                let half = |from: usize| u64::from_ne_bytes(std::array::from_fn(|i| octets[from + i]));
                Some([half(0), half(8)])
            }
        }
    }
}

/// Calls back for every published slot of a table, until it says that it has enough.
pub(super) fn for_each<T: Table>(
    tables: &Tables,
    mut visit: impl FnMut(&HostLine, usize, WordOf<T>) -> bool,
) {
    for line in tables.lines(T::ID) {
        for slot in 0..T::Slots::COUNT {
            let word = WordOf::<T>::from_bits(line.load(T::Slots::word(slot)));
            if word.phase() == Phase::Published && !visit(line, slot, word) {
                return;
            }
        }
    }
}

impl Dataplane {
    /// Flows that fit the filter, `limit` at most, in no order.
    #[must_use]
    pub fn flows(&self, filter: &FlowFilter, limit: usize) -> Vec<FlowRow> {
        let mut rows = Vec::new();
        self.flows_of::<V4>(filter, limit, &mut rows);
        self.flows_of::<V6>(filter, limit, &mut rows);
        rows
    }

    fn flows_of<F: HostFamily>(&self, filter: &FlowFilter, limit: usize, rows: &mut Vec<FlowRow>) {
        let now = self.tables.now().flow;
        for_each::<F::Flows>(&self.tables, |line, slot, word: FlowWord| {
            if rows.len() >= limit {
                return false;
            }
            let key = F::FlowSlots::key(line, slot, word);
            let row = self.flow_row::<F>(&key, word, now, F::FlowSlots::hint(line, slot));
            if fits(&row, filter) {
                rows.push(row);
            }
            true
        });
    }

    fn flow_row<F: HostFamily>(&self, key: &KeyOf<F::Flows>, word: FlowWord, now: u16, hint: u32) -> FlowRow {
        let row = FlowRow {
            client: SocketAddr::new(F::address(F::client_of(key)), F::sport_of(key)),
            listener: F::listener_of(key),
            dport: word.dport(),
            backend: word.backend(),
            state: FlowState::word(word.state()),
            idle: self.tables.clock.flow_seconds(word.idle(now)),
            nat: None,
        };
        FlowRow { nat: translation::source(&self.tables, row.client, row.listener, row.backend, hint), ..row }
    }

    /// Pins that fit the filter and have not run out, `limit` at most, in no order.
    #[must_use]
    pub fn pins(&self, filter: &PinFilter, limit: usize) -> Vec<PinRow> {
        let mut rows = Vec::new();
        self.pins_of::<V4>(filter, limit, &mut rows);
        self.pins_of::<V6>(filter, limit, &mut rows);
        rows
    }

    fn pins_of<F: HostFamily>(&self, filter: &PinFilter, limit: usize, rows: &mut Vec<PinRow>) {
        for_each::<F::Pins>(&self.tables, |line, slot, word: PinWord| {
            if rows.len() >= limit {
                return false;
            }
            let key = F::PinSlots::key(line, slot, word);
            let wanted = filter.service.is_none_or(|one| one == key.service_number())
                && filter.backend.is_none_or(|one| one == word.backend());
            if wanted && !EvictPins::is_over(&self.tables, key.service_number(), word) {
                rows.push(self.pin_row::<F>(&key, word));
            }
            true
        });
    }

    fn pin_row<F: HostFamily>(&self, key: &KeyOf<F::Pins>, word: PinWord) -> PinRow {
        let service = key.service_number();
        let clock = &self.tables.clock;
        let idle = clock.pin_seconds(word.idle(self.tables.now().pin) & PIN_CLOCK_MASK);
        let timeout = clock.pin_seconds(service::affinity_timeout(&self.tables, service));
        PinRow {
            service,
            client: F::address(F::pinned_client(key)),
            backend: word.backend(),
            live: word.live(),
            idle,
            expires_in: (word.live() == 0).then_some((timeout - idle).max(0.0)),
        }
    }

    /// The pin of a client, whose address is cut to the service's prefix.
    #[must_use]
    pub fn pin(&self, service: u16, client: IpAddr) -> Option<PinRow> {
        self.pin_in::<V4>(service, client).or_else(|| self.pin_in::<V6>(service, client))
    }

    fn pin_in<F: HostFamily>(&self, service: u16, client: IpAddr) -> Option<PinRow> {
        let (key, place) = self.find_pin::<F>(service, client)?;
        let over = EvictPins::is_over(&self.tables, service, place.word);
        (!over).then(|| self.pin_row::<F>(&key, place.word))
    }

    pub(super) fn find_pin<F: HostFamily>(
        &self,
        service: u16,
        client: IpAddr,
    ) -> Option<(KeyOf<F::Pins>, PinPlace<'_>)> {
        let listener = self.any_listener(service)?;
        let key = F::pin_key(F::mask(F::from_ip(client)?, listener), service);
        let hash = F::PinSlots::hash(&key, &self.tables.settings.index_key);
        let place = bucket::find::<F::Pins, _>(&self.tables, hash, &key)?;
        Some((key, place))
    }

    fn any_listener(&self, service: u16) -> Option<Listener<'_, HostLine>> {
        let current = super::listeners::current(&self.tables);
        let (number, ..) = current.into_iter().find(|(_, _, of)| *of == service)?;
        listener(&self.tables, number)
    }
}

fn fits(row: &FlowRow, filter: &FlowFilter) -> bool {
    let FlowFilter { listeners, backend, client, nat } = filter;
    listeners.as_ref().is_none_or(|some| some.contains(&row.listener))
        && backend.is_none_or(|one| one == row.backend)
        && client.is_none_or(|one| one == row.client.ip())
        && nat.is_none_or(|port| row.nat.is_some_and(|it| it.port() == port))
}

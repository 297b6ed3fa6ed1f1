//! Flows that are to be reset: found, cut at their turn, and given up.

use super::{Dataplane, listener, query::HostFamily, tables::Tables, translation};
use balancer_common::{
    table::{
        backend,
        bucket::{self, KeyOf, Place},
        flow, hint,
        key::{FlowKey4, FlowKey6, Slots},
        line::HostLine,
        words::{FlowState, FlowWord},
    },
    walk::{
        family::{Family, V4, V6},
        reset,
    },
};
use std::net::SocketAddr;

/// A flow of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowId {
    /// Of a v4 client.
    V4(FlowKey4),
    /// Of a v6 client.
    V6(FlowKey6),
}

/// A flow that is to be reset, as a sweep found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Which flow.
    pub flow: FlowId,
    /// Jiffies until its turn.
    pub wait: u32,
}

/// Both ends of a flow that is reset, and what is known of the client's side of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub client: SocketAddr,
    /// The service address, and the port that the client connected to.
    pub service: SocketAddr,
    /// The client's last acknowledgement number that was seen: what it expects next, if nothing came since.
    pub ack: u32,
    /// The same for the backend's side, where packets are translated and the backend has accepted the connection.
    pub server: Option<Server>,
}

/// The backend's side of a translated flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Whom the backend takes for its client.
    pub own: SocketAddr,
    /// The backend.
    pub backend: SocketAddr,
    /// The backend's last acknowledgement number that was seen.
    pub ack: u32,
}

/// What became of a flow whose turn had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is reset: its client is to hear of it.
    Reset(Ends),
    /// Its turn comes in so many jiffies.
    Later(u32),
    /// It is no more, or its backend serves it again.
    Over,
}

/// A family whose keys are known from outside.
pub(super) trait ResetFamily: HostFamily {
    fn id(key: KeyOf<Self::Flows>) -> FlowId;
}

impl ResetFamily for V4 {
    fn id(key: FlowKey4) -> FlowId {
        FlowId::V4(key)
    }
}

impl ResetFamily for V6 {
    fn id(key: FlowKey6) -> FlowId {
        FlowId::V6(key)
    }
}

/// Jiffies until the turn of a flow that is to be reset; `None` for every other.
pub(super) fn wait<F: Family>(tables: &Tables, key: &KeyOf<F::Flows>, word: FlowWord) -> Option<u32> {
    let serving = backend::serving(tables, word.backend());
    match word.state() {
        FlowState::UDP => None,
        FlowState::RESET => Some(0),
        _ if serving.flows() || !serving.resets() => None,
        _ => Some(reset::wait(tables, F::FlowSlots::hash(key, &tables.settings.index_key), word)),
    }
}

/// Whether a flow is of UDP and its backend may not serve it: its next datagram chooses anew. Once the backend is back it
/// must not lead there again, from a port that its client happens to use anew: the client is pinned elsewhere by then.
pub(super) fn is_stale(tables: &Tables, word: FlowWord) -> bool {
    word.state() == FlowState::UDP && !backend::serving(tables, word.backend()).flows()
}

type FlowPlace<'a> = Place<'a, HostLine, FlowWord>;

fn find<'a, F: Family>(tables: &'a Tables, key: &KeyOf<F::Flows>) -> Option<FlowPlace<'a>> {
    let hash = F::FlowSlots::hash(key, &tables.settings.index_key);
    bucket::find::<F::Flows, _>(tables, hash, key)
}

impl Dataplane {
    /// Resets a flow if its turn has come.
    pub fn reset(&self, flow: FlowId) -> Turn {
        match flow {
            FlowId::V4(key) => self.reset_in::<V4>(&key),
            FlowId::V6(key) => self.reset_in::<V6>(&key),
        }
    }

    fn reset_in<F: ResetFamily>(&self, key: &KeyOf<F::Flows>) -> Turn {
        let Some(mut place) = find::<F>(&self.tables, key) else { return Turn::Over };
        match wait::<F>(&self.tables, key, place.word) {
            None => Turn::Over,
            Some(0) => {
                reset::cut::<F, _>(&self.tables, key, &mut place);
                // A packet may have changed the word meanwhile: then it is tried again at once.
                self.ends_in::<F>(key).map_or(Turn::Later(1), Turn::Reset)
            }
            Some(wait) => Turn::Later(wait),
        }
    }

    /// Both ends of a flow that is reset and not confirmed yet; `None` if it is no more, or another connection's.
    #[must_use]
    pub fn unconfirmed(&self, flow: FlowId) -> Option<Ends> {
        match flow {
            FlowId::V4(key) => self.ends_in::<V4>(&key),
            FlowId::V6(key) => self.ends_in::<V6>(&key),
        }
    }

    fn ends_in<F: ResetFamily>(&self, key: &KeyOf<F::Flows>) -> Option<Ends> {
        let place = find::<F>(&self.tables, key).filter(|it| it.word.state() == FlowState::RESET)?;
        let line = listener(&self.tables, F::listener_of(key))?;
        let ack = hint::read::<F, _>(&self.tables, line, &place);
        let listener = line.key();
        let port = if listener.port == 0 { place.word.dport() } else { listener.port };
        let client = SocketAddr::new(F::address(F::client_of(key)), F::sport_of(key));
        let service = SocketAddr::new(super::listeners::address(&listener), port);
        let hint = F::FlowSlots::hint(place.line, place.slot);
        let server = translation::server::<F>(&self.tables, client, key, place.word.backend(), hint, port);
        Some(Ends { client, service, ack, server })
    }

    /// Forgets a flow that is reset; whether there was one.
    pub fn give_up(&self, flow: FlowId) -> bool {
        match flow {
            FlowId::V4(key) => self.give_up_in::<V4>(&key),
            FlowId::V6(key) => self.give_up_in::<V6>(&key),
        }
    }

    fn give_up_in<F: ResetFamily>(&self, key: &KeyOf<F::Flows>) -> bool {
        let Some(place) = find::<F>(&self.tables, key) else { return false };
        let reset = place.word.state() == FlowState::RESET;
        let hint = F::FlowSlots::hint(place.line, place.slot);
        let freed = reset && bucket::free::<F::FlowSlots, _>(place.line, place.slot, place.word);
        if freed {
            flow::freed::<F, _>(&self.tables, key, hint);
        }
        freed
    }
}

/// A TCP flow that has run out and whose client is to hear of it: reset, if it is such a one and nobody was faster.
pub(super) fn expire<F: Family>(tables: &Tables, key: &KeyOf<F::Flows>, word: FlowWord) -> bool {
    let tcp = matches!(word.state(), FlowState::FRESH | FlowState::ESTABLISHED);
    let told = listener(tables, F::listener_of(key)).is_some_and(|it| it.resets_expired());
    let over = |place: &FlowPlace<'_>| flow::EvictExpired::is_over::<F, _>(tables, key, place.word);
    tcp && told
        && find::<F>(tables, key)
            .filter(over)
            .is_some_and(|mut place| reset::cut::<F, _>(tables, key, &mut place))
}

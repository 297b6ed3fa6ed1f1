//! What a flow that there is says of its packets.

use std::net::SocketAddr;

use balancer_common::{
    env::Env as _,
    parse::transport::{Segment, TcpFlags},
    reason::Reason,
    state::{Admin, Health},
    table::{
        TableId,
        backend::{self, BackendState},
        bucket, flow,
        key::Slots,
        line::{HostLine, Line as _},
        listener::Listener,
        words::FlowState,
    },
    walk::{
        known::{self, Act},
        reset, translate,
    },
};

use super::{By, Explanation, placeholder};
use crate::dataplane::{Dataplane, query::HostFamily, translation};

/// What a flow says of its packets.
pub(super) enum Fate {
    /// They go to its backend.
    Settled,
    /// Nothing: there is none.
    Unknown,
    /// They go where a new connection would.
    Moved,
    /// They go nowhere.
    Reset(Reason),
}

impl Dataplane {
    pub(super) fn by_flow<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) -> Fate {
        if segment.sport == 0 {
            told.steps.push(("flow", "no source port given: as for a new connection".into()));
            return Fate::Unknown;
        }
        match self.by_tracked::<F>(segment, listener, told) {
            Fate::Unknown => self.by_embryonic::<F>(segment, listener, told),
            fate => fate,
        }
    }

    /// What becomes of a segment in the midst of a flow that is tracked.
    fn by_tracked<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) -> Fate {
        let tables = &self.tables;
        let key = F::segment_key(segment, listener);
        let hash = F::FlowSlots::hash(&key, &tables.settings.index_key);
        let Some(word) = bucket::find::<F::Flows, _>(tables, hash, &key).map(|place| place.word) else {
            return Fate::Unknown;
        };
        let amid = Segment { flags: TcpFlags(0), ..*segment };
        let act = known::act::<F, _>(tables, &amid, listener, &key, word);
        let here = format!("{}, to {}", FlowState::word(word.state()), placeholder(word.backend()));
        let here = if backend::serving(tables, word.backend()).flows() {
            format!("{here}, which may serve")
        } else {
            format!("{here}, which may not serve: {}", self.why_not(word.backend()))
        };
        let (text, fate) = match act {
            Act::Unknown => (format!("{here}; but it has run out"), Fate::Unknown),
            Act::Touch | Act::SynOnFlow => (here, Fate::Settled),
            Act::Reroute => (format!("{here}; it goes on elsewhere"), Fate::Moved),
            Act::Fail => match reset::wait(tables, hash, word) {
                0 => (format!("{here}; its segments are answered by a RST"), Fate::Reset(Reason::Reset)),
                wait => {
                    let seconds = f64::from(wait) / f64::from(self.clock().hz);
                    let text = format!(
                        "{here}; its segments are dropped for another {seconds:.1} s, then it is reset"
                    );
                    (text, Fate::Reset(Reason::ResetWaiting))
                }
            },
        };
        told.steps.push(("flow", text));
        if let Fate::Settled = fate {
            (told.backend, told.by, told.reason) = (Some(word.backend()), By::Flow, Some(Reason::Flow));
        }
        fate
    }

    /// What becomes of a packet of a connection that is not yet a tracked flow.
    fn by_embryonic<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) -> Fate {
        let tables = &self.tables;
        let key = F::segment_key(segment, listener);
        let hash = F::FlowSlots::hash(&key, &tables.settings.index_key);
        let Some(found) = bucket::find::<F::Embryonic, _>(tables, hash, &key) else {
            if told.steps.iter().all(|(step, _)| *step != "flow") {
                told.steps.push(("flow", "none".into()));
            }
            return Fate::Unknown;
        };
        let word = found.word;
        let over = flow::expired(word, tables.now().flow, &listener.timeouts());
        let serves = backend::serving(tables, word.backend()).flows();
        let verdict = match (over, serves) {
            (true, _) => "but it has run out",
            (_, false) => "but its backend may not serve",
            _ => "and its backend may serve",
        };
        let state = FlowState::word(word.state());
        told.steps.push(("flow", format!("{state}, to {}, {verdict}", placeholder(word.backend()))));
        if over || !serves {
            return Fate::Unknown;
        }
        (told.backend, told.by, told.reason) = (Some(word.backend()), By::Flow, Some(Reason::Embryonic));
        Fate::Settled
    }

    /// Where the packets of a flow come from at its backend, if they are translated.
    pub(super) fn own_end<F: HostFamily>(
        &self,
        client: SocketAddr,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        backend: u16,
    ) -> Option<SocketAddr> {
        let entry = translate::entry_of::<F, _>(&self.tables, segment, backend);
        translation::source(&self.tables, client, listener.number(), backend, entry)
    }

    /// Why a backend may not serve its flows.
    fn why_not(&self, number: u16) -> &'static str {
        let bits = self
            .tables
            .line(TableId::Backends, u32::from(number))
            .map_or(0, |line| line.load(backend::WORD_STATE));
        match BackendState::from_bits(bits).map(|state| (state.admin, state.health)) {
            Some((Admin::Maint, _)) => "it is in maintenance",
            None | Some((Admin::Gone, _)) => "it was deleted",
            Some((_, Health::Down)) => "it is down",
            Some(_) => "the deadline of its drain has passed",
        }
    }
}

//! Why a client goes where it goes: the packet path's own look-ups, one after the other, writing nothing.

use super::{Dataplane, query::HostFamily};
use balancer_common::{
    parse::transport::{Segment, TcpFlags},
    reason::Reason,
    state::Proto,
    table::{
        backend, bucket, flow,
        key::Slots,
        line::HostLine,
        listener::{self, Listener, ListenerKey},
        pin, service,
        words::FlowState,
    },
    walk::{
        choose::{self, Chosen},
        family::{V4, V6},
        place,
    },
};
use std::net::SocketAddr;

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A tracked flow.
    Flow,
    /// A pin, or a tentative one.
    Pin,
    /// The current Maglev table.
    Maglev,
    /// The previous Maglev table.
    PreviousTable,
    /// Nothing.
    None,
}

impl By {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Pin => "pin",
            Self::Maglev => "maglev",
            Self::PreviousTable => "previous-table",
            Self::None => "none",
        }
    }
}

/// Where a packet would go now, and each step that decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Number of the listener; `None` if the destination is no service.
    pub listener: Option<u16>,
    /// Number of its service.
    pub service: Option<u16>,
    /// Number of the backend.
    pub backend: Option<u16>,
    /// What decided.
    pub by: By,
    /// The reason under which the packet would be counted, if it would.
    pub reason: Option<Reason>,
    /// Step and what was found.
    pub steps: Vec<(&'static str, String)>,
    /// What the current Maglev table alone says.
    pub maglev: Option<u16>,
}

impl Dataplane {
    /// Explains where a new packet of `client` to `to` would go: a known flow's if the port is one, else a new
    /// connection's.
    #[must_use]
    pub fn explain(&self, client: SocketAddr, to: SocketAddr, proto: Proto) -> Explanation {
        let explained = match client {
            SocketAddr::V4(_) => self.explain_in::<V4>(client, to, proto),
            SocketAddr::V6(_) => self.explain_in::<V6>(client, to, proto),
        };
        explained.unwrap_or_else(|| Explanation {
            listener: None,
            service: None,
            backend: None,
            by: By::None,
            reason: None,
            steps: vec![("service", format!("{to}/{proto} is no service: the packet passes to the host"))],
            maglev: None,
        })
    }

    fn explain_in<F: HostFamily>(
        &self,
        client: SocketAddr,
        to: SocketAddr,
        proto: Proto,
    ) -> Option<Explanation> {
        let segment = Segment {
            source: F::from_ip(client.ip())?,
            destination: F::from_ip(to.ip())?,
            sport: client.port(),
            dport: to.port(),
            proto: proto as u8,
            flags: TcpFlags(TcpFlags::SYN),
            seq: 0,
            ack: 0,
            span: 1,
        };
        let key = ListenerKey { address: F::wide(segment.destination), port: to.port(), proto: proto as u8 };
        let root = listener::root(&self.tables);
        let (_, listener) = listener::find_for_packet(&self.tables, root, &key)?;
        let mut told = Explanation {
            listener: Some(listener.number()),
            service: Some(listener.service()),
            backend: None,
            by: By::None,
            reason: None,
            steps: vec![("service", format!("{to}/{proto} is listener {}", listener.number()))],
            maglev: self.maglev_choice::<F>(&segment, listener),
        };
        let decided = self.by_flow::<F>(&segment, listener, &mut told)
            || self.by_pin::<F>(&segment, listener, &mut told)
            || self.by_tentative::<F>(&segment, listener, &mut told);
        if !decided {
            self.by_maglev::<F>(&segment, listener, &mut told);
        }
        Some(told)
    }

    /// What the current table alone says, whether or not the backend may serve.
    fn maglev_choice<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
    ) -> Option<u16> {
        let hash = choose::client_hash::<F, _>(&self.tables, segment, listener);
        let slot = balancer_common::hash::reduce((hash >> 32) as u32, listener.maglev_size());
        let root = service::maglev_root(&self.tables, listener.service());
        let number = service::maglev_slot(&self.tables, root.current, slot);
        (number != 0).then_some(number)
    }

    fn by_flow<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) -> bool {
        if segment.sport == 0 {
            told.steps.push(("flow", "no source port given: as for a new connection".into()));
            return false;
        }
        let key = F::segment_key(segment, listener);
        let hash = F::FlowSlots::hash(&key, &self.tables.settings.index_key);
        let tables = &self.tables;
        let found = bucket::find::<F::Flows, _>(tables, hash, &key)
            .or_else(|| bucket::find::<F::Embryonic, _>(tables, hash, &key));
        let Some(found) = found else {
            told.steps.push(("flow", "none".into()));
            return false;
        };
        let word = found.word;
        let state = FlowState::word(word.state());
        let over = flow::expired(word, balancer_common::env::Env::now(tables).flow, &listener.timeouts());
        let serves = backend::serving(tables, word.backend()).flows();
        let verdict = match (over, serves) {
            (true, _) => "but it has run out",
            (_, false) => "but its backend may not serve",
            _ => "and its backend may serve",
        };
        told.steps.push(("flow", format!("{state}, to {}, {verdict}", placeholder(word.backend()))));
        if over || !serves {
            return false;
        }
        told.backend = Some(word.backend());
        told.by = By::Flow;
        told.reason = Some(if word.live() { Reason::Flow } else { Reason::Embryonic });
        true
    }

    fn by_pin<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) -> bool {
        if !listener.by_client() {
            told.steps.push(("pin", "affinity goes by connection: clients are not pinned".into()));
            return false;
        }
        let key = F::pin_key(F::mask(segment.source, listener), listener.service());
        let Some(pinned) = pin::look_up::<F, _>(&self.tables, &key, listener.affinity_timeout()) else {
            told.steps.push(("pin", "none".into()));
            return false;
        };
        let verdict = match (pinned.serves, pinned.kept) {
            (true, _) => "which accepts its pinned clients",
            (_, true) => "which may not serve yet: served elsewhere this once, the pin is kept",
            _ => "which accepts no new connections: the client will be pinned anew",
        };
        told.steps.push(("pin", format!("to {}, {verdict}", placeholder(pinned.backend))));
        if !pinned.serves {
            return false;
        }
        told.backend = Some(pinned.backend);
        told.by = By::Pin;
        told.reason = Some(Reason::NewPinned);
        true
    }

    fn by_tentative<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) -> bool {
        if !listener.by_client() {
            return false;
        }
        let key = F::pin_key(F::mask(segment.source, listener), listener.service());
        let lifetime = place::tentative_lifetime(&self.tables.settings, listener);
        match pin::look_up_tentative::<F, _>(&self.tables, &key, lifetime) {
            Some(pinned) if pinned.serves => {
                told.steps.push(("tentative pin", format!("to {}", placeholder(pinned.backend))));
                told.backend = Some(pinned.backend);
                told.by = By::Pin;
                told.reason = Some(Reason::NewTentative);
                true
            }
            _ => false,
        }
    }

    fn by_maglev<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) {
        let hash = choose::client_hash::<F, _>(&self.tables, segment, listener);
        let (backend, by, reason) = match choose::for_new(&self.tables, listener, hash) {
            Chosen::Current(number) => (Some(number), By::Maglev, Reason::NewMaglev),
            Chosen::Previous(number) => (Some(number), By::PreviousTable, Reason::NewMaglev),
            Chosen::Nobody => (None, By::None, Reason::NoBackend),
        };
        let text = match backend {
            Some(number) => format!("{} table: {}", by.word(), placeholder(number)),
            None => "no backend accepts new clients".into(),
        };
        told.steps.push(("maglev", text));
        (told.backend, told.by, told.reason) = (backend, by, Some(reason));
    }
}

/// How a step names a backend: `{backend 7}`, which the agent replaces by its name.
fn placeholder(number: u16) -> String {
    format!("{{backend {number}}}")
}

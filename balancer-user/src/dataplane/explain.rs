//! Why a client goes where it goes: the packet path's own look-ups, one after the other, writing nothing.

use super::{Dataplane, query::HostFamily};
use balancer_common::{
    env::Env as _,
    parse::transport::{Segment, TcpFlags},
    reason::Reason,
    state::{Admin, Health, Proto},
    table::{
        TableId,
        backend::{self, BackendState},
        bucket, flow,
        key::Slots,
        line::{HostLine, Line as _},
        listener::{self, Listener, ListenerKey},
        pin, service,
        words::FlowState,
    },
    walk::{
        choose::{self, Chosen},
        family::{V4, V6},
        known::{self, Act},
        place, reset,
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
    /// Number of the backend; `None` if the packet goes to none.
    pub backend: Option<u16>,
    /// Number of the backend that a new connection of this client would go to, where this one is reset.
    pub next: Option<u16>,
    /// What decided.
    pub by: By,
    /// The reason under which the packet would be counted, if it would.
    pub reason: Option<Reason>,
    /// Step and what was found.
    pub steps: Vec<(&'static str, String)>,
    /// What the current Maglev table alone says.
    pub maglev: Option<u16>,
}

/// What a flow says of its packets.
enum Fate {
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
            next: None,
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
            ip: 0,
            seq: 0,
            ack: 0,
            span: 1,
            at: 0,
        };
        let key = ListenerKey { address: F::wide(segment.destination), port: to.port(), proto: proto as u8 };
        let root = listener::root(&self.tables);
        let (_, listener) = listener::find_for_packet(&self.tables, root, &key)?;
        let mut told = Explanation {
            listener: Some(listener.number()),
            service: Some(listener.service()),
            backend: None,
            next: None,
            by: By::None,
            reason: None,
            steps: vec![("service", format!("{to}/{proto} is listener {}", listener.number()))],
            maglev: self.maglev_choice::<F>(&segment, listener),
        };
        match self.by_flow::<F>(&segment, listener, &mut told) {
            Fate::Settled => {}
            Fate::Unknown => self.as_new::<F>(&segment, listener, &mut told),
            Fate::Moved => {
                self.as_new::<F>(&segment, listener, &mut told);
                told.reason = told.backend.map_or(told.reason, |_| Some(Reason::Rehashed));
            }
            Fate::Reset(reason) => {
                self.as_new::<F>(&segment, listener, &mut told);
                let next =
                    told.backend.map_or("to nobody".to_owned(), |it| format!("to {}", placeholder(it)));
                told.steps.push(("next connection", next));
                (told.next, told.backend) = (told.backend, None);
                (told.by, told.reason) = (By::Flow, Some(reason));
            }
        }
        Some(told)
    }

    /// As for a new connection.
    fn as_new<F: HostFamily>(
        &self,
        segment: &Segment<F::Address>,
        listener: Listener<'_, HostLine>,
        told: &mut Explanation,
    ) {
        let pinned = self.by_pin::<F>(segment, listener, told);
        if !pinned && !self.by_tentative::<F>(segment, listener, told) {
            self.by_maglev::<F>(segment, listener, told);
        }
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

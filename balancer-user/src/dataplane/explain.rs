//! Why a client goes where it goes: the packet path's own look-ups, one after the other, writing nothing.

mod choice;
mod flow;

use super::{Dataplane, query::HostFamily};
use balancer_common::{
    parse::transport::{Segment, TcpFlags},
    reason::Reason,
    state::Proto,
    table::{
        line::HostLine,
        listener::{self, Listener, ListenerKey},
        service,
    },
    walk::{
        choose,
        family::{V4, V6},
    },
};
use flow::Fate;
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
    /// Where the flow's packets come from at the backend, if there is a flow, and they are translated.
    pub nat: Option<SocketAddr>,
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
            nat: None,
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
            nat: None,
        };
        match self.by_flow::<F>(&segment, listener, &mut told) {
            Fate::Settled => {
                told.nat = told.backend.and_then(|it| self.own_end::<F>(client, &segment, listener, it));
            }
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
}

/// How a step names a backend: `{backend 7}`, which the agent replaces by its name.
fn placeholder(number: u16) -> String {
    format!("{{backend {number}}}")
}

//! Why a packet goes where it goes, and how it gets there, as the API shows it.

use std::net::SocketAddr;

use balancer_common::{reason::Reason, state::Mode};

use super::{Control, Member, traffic::Listeners, ways::family};
use crate::{
    api::types::{ExplainDoc, ExplainQuestion, ExplainStep, Schema, WayInfo},
    config::{Endpoint, Service, Source},
    dataplane::Explanation,
};

impl Control {
    /// Where each packet would go, all from one state of the tables.
    #[must_use]
    pub fn explain(&self, questions: &[ExplainQuestion]) -> Vec<ExplainDoc> {
        let listeners = self.listeners_by_number();
        questions.iter().map(|question| self.explain_one(question, &listeners)).collect()
    }

    fn explain_one(&self, question: &ExplainQuestion, listeners: &Listeners<'_>) -> ExplainDoc {
        let ExplainQuestion { source, source_port, destination, port, proto } = *question;
        let client = SocketAddr::new(source, source_port.unwrap_or(0));
        let to = SocketAddr::new(destination, port);
        let Explanation { listener, service: _, backend, next, by, reason, steps, maglev, nat } =
            self.tables.explain(client, to, proto);
        let service = listener.and_then(|number| listeners.get(&number)).map(|(it, _)| it.name.clone());
        let mut steps: Vec<_> = steps
            .into_iter()
            .map(|(step, detail)| ExplainStep { step: step.to_owned(), detail: self.with_names(&detail) })
            .collect();
        let last = backend.and_then(|number| self.last_step(number, client.is_ipv4(), port, nat));
        let hindered = last.as_ref().and_then(|(_, hindered)| *hindered);
        steps.extend(last.map(|(detail, _)| ExplainStep { step: "way".to_owned(), detail }));
        ExplainDoc {
            schema: Schema,
            client: source_port.map_or_else(|| source.to_string(), |_| client.to_string()),
            destination: format!("{to}/{proto}"),
            service: service.clone(),
            backend: backend.filter(|_| hindered.is_none()).map(|number| self.backend_name(number)),
            next_backend: next.map(|number| self.backend_name(number)),
            by: by.word().to_owned(),
            reason: hindered.or(reason).map_or("pass", |reason| reason.name()).to_owned(),
            steps,
            maglev_backend: maglev.map(|number| self.backend_name(number)),
        }
    }

    /// Replaces each `{backend 7}` by the backend's name.
    fn with_names(&self, text: &str) -> String {
        let mut named = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{backend ") {
            let Some((number, after)) = after.split_once('}') else { break };
            named.push_str(before);
            named.push_str(&number.parse().map_or_else(|_| number.to_owned(), |it| self.backend_name(it)));
            rest = after;
        }
        named + rest
    }

    /// How packets of such clients, to this port, reach a backend: in words, and the reason if they do not. `nat` is where
    /// those of a translated flow come from.
    fn last_step(
        &self,
        number: u16,
        v4: bool,
        port: u16,
        nat: Option<SocketAddr>,
    ) -> Option<(String, Option<Reason>)> {
        let member = self.members.get(&number)?;
        let service = self.services.iter().find(|it| it.name == member.named.service)?;
        let way = self.way_infos(service, member).into_iter().find(|it| it.clients == family(v4));
        let reached = match member.mode {
            Mode::L2dsr => self.hop_of(service, member).is_some(),
            Mode::Ipip | Mode::Nat => way.as_ref().is_some_and(|way| way.mac.is_some()),
        };
        if !reached {
            let why = self.trouble(service, member);
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            let text = format!("{}, but no next hop to {} is known{why}", member.mode, member.named.backend);
            return Some((text, Some(Reason::NoNeighbour)));
        }
        let Some(way) = way else {
            return Some((format!("{}, to the next hop that an agent before left", member.mode), None));
        };
        Some(match member.mode {
            Mode::L2dsr => (format!("l2dsr, to {} {}", way.address, way.leads()), None),
            Mode::Ipip => (in_a_tunnel(&way), None),
            Mode::Nat => self.translated(service, (number, member), v4, (&way, port), nat),
        })
    }

    /// To what, and from what, packets are translated.
    fn translated(
        &self,
        service: &Service,
        (number, member): (u16, &Member),
        v4: bool,
        (way, asked): (&WayInfo, u16),
        nat: Option<SocketAddr>,
    ) -> (String, Option<Reason>) {
        let at = |it: &&Endpoint| it.address == way.address;
        let port = member.named.addresses.iter().find(at).and_then(|it| it.port).unwrap_or(asked);
        let to = format!("nat, to {} {}", SocketAddr::new(way.address, port), way.leads());
        let source = way.source.as_deref().unwrap_or("an address that is not known yet");
        match (service.source, nat, self.port_use.get(&(number, v4))) {
            (Source::Keep, ..) => (format!("{to}, from the client's own address and port"), None),
            (Source::Pool, Some(nat), _) => (format!("{to}, from {nat}"), None),
            (Source::Pool, None, None) => (format!("{to}, from a port of {source}"), None),
            (Source::Pool, None, Some(ports)) => {
                let (free, all) = (ports.free, ports.all());
                let text = format!("{to}, from a port of {source}, {free} of {all} free");
                (text, (free == 0).then_some(Reason::NatExhausted))
            }
        }
    }
}

fn in_a_tunnel(way: &WayInfo) -> String {
    let from = way.source.as_ref().map_or_else(String::new, |source| format!(" from {source}"));
    format!("ipip, in a tunnel{from} to {} {}, the tunnel's header included", way.address, way.leads())
}

//! Flows and pins as the API shows them: numbers become names.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use super::{Control, member::Stage};
use crate::{
    api::types::{
        ApiError, DEFAULT_LIMIT, ErrorCode, FlowCountDoc, FlowCountRow, FlowQuery, FlowRow, FlowsDoc,
        PinQuery, PinRow, PinsDoc, ReleaseDoc, ReleaseQuery, Schema,
    },
    config::{Listen, Service},
    control::entries::{listener_id, listener_key, service_identity},
    dataplane::{self, FlowFilter, PinFilter, Released},
};

/// A service's listeners by number.
pub(super) type Listeners<'a> = HashMap<u16, (&'a Service, Listen)>;

impl Control {
    /// Flows that the query asks for.
    ///
    /// # Errors
    /// An unknown name, or a client that is no address.
    pub fn flows_doc(&self, query: &FlowQuery) -> Result<FlowsDoc, ApiError> {
        let FlowQuery { service, backend, client, nat, limit } = query;
        let service = service.as_deref().map(|name| self.service(name)).transpose()?;
        let backends = self.backends_named(service, backend.as_deref())?;
        let client = client.as_deref().map(prefix).transpose()?;
        let listeners = self.listeners_by_number();
        let of_service = service.map(|service| {
            listeners
                .iter()
                .filter(|(_, (it, _))| it.name == service.name)
                .map(|(number, _)| *number)
                .collect()
        });
        let mut rows = Vec::new();
        for backend in backends {
            let filter = FlowFilter {
                listeners: of_service.clone(),
                backend,
                // A prefix is filtered here: the tables know addresses.
                client: client.filter(|it| it.prefix_len() == it.max_prefix_len()).map(|it| it.addr()),
                nat: *nat,
            };
            let found = self.tables.flows(&filter, usize::MAX);
            let fits = |row: &dataplane::FlowRow| client.is_none_or(|it| it.contains(&row.client.ip()));
            rows.extend(found.into_iter().filter(fits));
        }
        let truncated = cut(&mut rows, *limit);
        let flows = rows.iter().map(|row| self.flow_row(row, &listeners)).collect();
        Ok(FlowsDoc { schema: Schema, flows, truncated })
    }

    fn flow_row(&self, row: &dataplane::FlowRow, listeners: &Listeners<'_>) -> FlowRow {
        let (service, destination) = match listeners.get(&row.listener) {
            Some((service, listen)) => {
                let port = listen.port.unwrap_or(row.dport);
                (service.name.clone(), Listen { port: Some(port), ..*listen }.to_string())
            }
            None => (format!("#{}", row.listener), String::new()),
        };
        FlowRow {
            service,
            client: row.client.to_string(),
            destination,
            backend: self.backend_name(row.backend),
            state: row.state.to_owned(),
            idle: row.idle as u64,
            nat: row.nat.map(|nat| nat.to_string()),
        }
    }

    /// Live flows by backend.
    #[must_use]
    pub fn flow_count_doc(&self) -> FlowCountDoc {
        let rows = self.services.iter().flat_map(|service| {
            self.rows_of(service).map(|(number, member)| FlowCountRow {
                service: service.name.clone(),
                backend: member.named.backend.clone(),
                flows: self.live(number),
            })
        });
        let counts: Vec<_> = rows.collect();
        FlowCountDoc { schema: Schema, flows: counts.iter().map(|row| row.flows).sum(), counts }
    }

    /// Pins that the query asks for.
    ///
    /// # Errors
    /// An unknown name.
    pub fn pins_doc(&self, query: &PinQuery) -> Result<PinsDoc, ApiError> {
        let PinQuery { service, backend, limit } = query;
        let service = service.as_deref().map(|name| self.service(name)).transpose()?;
        let number = service.and_then(|it| self.numbers.services.of(&service_identity(&it.name)));
        let mut rows = Vec::new();
        for backend in self.backends_named(service, backend.as_deref())? {
            rows.extend(self.tables.pins(&PinFilter { service: number, backend }, usize::MAX));
        }
        let truncated = cut(&mut rows, *limit);
        Ok(PinsDoc { schema: Schema, pins: rows.iter().map(|row| self.pin_row(row)).collect(), truncated })
    }

    /// The pin of one client.
    ///
    /// # Errors
    /// An unknown service, a client that is no address, or no pin.
    pub fn pin_doc(&self, service: &str, client: &str) -> Result<PinsDoc, ApiError> {
        let (number, address) = self.pin_place(service, client)?;
        let row = self.tables.pin(number, address).ok_or_else(|| no_pin(service, client))?;
        Ok(PinsDoc { schema: Schema, pins: vec![self.pin_row(&row)], truncated: false })
    }

    /// Removes the pin of one client; what it was.
    ///
    /// # Errors
    /// As [`Self::pin_doc`].
    pub fn delete_pin(&mut self, service: &str, client: &str) -> Result<PinsDoc, ApiError> {
        let document = self.pin_doc(service, client)?;
        let (number, address) = self.pin_place(service, client)?;
        if !self.tables.delete_pin(number, address) {
            return Err(no_pin(service, client));
        }
        tracing::info!("service {service}: the pin of {client} is deleted by the operator");
        Ok(document)
    }

    /// Removes the pins of clients without a live flow, so that their next connections are placed anew.
    ///
    /// # Errors
    /// An unknown service, or a query that asks for more than that.
    pub fn release_pins(&mut self, service: &str, query: ReleaseQuery) -> Result<ReleaseDoc, ApiError> {
        let ReleaseQuery { idle } = query;
        if !idle {
            let message = "only idle pins can be released: a live flow holds its client's pin";
            return Err(ApiError::new(ErrorCode::Invalid, message).with_remedy("say idle=true"));
        }
        let service = self.service(service)?.name.clone();
        let number = self.numbers.services.of(&service_identity(&service));
        let Released { idle, kept } =
            number.map(|number| self.tables.release_idle(number)).unwrap_or_default();
        tracing::info!("service {service}: {idle} idle pins are released by the operator, {kept} stay");
        Ok(ReleaseDoc { schema: Schema, service, released: idle, kept })
    }

    fn pin_place(&self, service: &str, client: &str) -> Result<(u16, IpAddr), ApiError> {
        let service = self.service(service)?;
        let number = self.numbers.services.of(&service_identity(&service.name));
        let number = number.ok_or_else(|| no_pin(&service.name, client))?;
        Ok((number, prefix(client)?.addr()))
    }

    fn pin_row(&self, row: &dataplane::PinRow) -> PinRow {
        let identity = self.numbers.services.owner(row.service);
        let service = self.services.iter().find(|service| Some(service_identity(&service.name)) == identity);
        PinRow {
            service: service.map_or_else(|| format!("#{}", row.service), |service| service.name.clone()),
            client: client_text(row.client, service),
            backend: self.backend_name(row.backend),
            age: row.idle as u64,
            expires_in: row.expires_in.map(|seconds| seconds as u64),
            flows: u64::from(row.live),
        }
    }

    pub(super) fn backend_name(&self, number: u16) -> String {
        self.members.get(&number).map_or_else(|| format!("#{number}"), |member| member.named.backend.clone())
    }

    /// Numbers of the backends of that name; one `None`, which filters nothing, if no name is given.
    fn backends_named(
        &self,
        service: Option<&Service>,
        name: Option<&str>,
    ) -> Result<Vec<Option<u16>>, ApiError> {
        let Some(name) = name else { return Ok(vec![None]) };
        if let Some(service) = service {
            return Ok(vec![Some(self.present(service, name)?.0)]);
        }
        let named = self
            .members
            .iter()
            .filter(|(_, member)| member.named.backend == name && member.stage != Stage::Gone);
        let numbers: Vec<_> = named.map(|(number, _)| Some(*number)).collect();
        if numbers.is_empty() {
            return Err(ApiError::new(ErrorCode::NotFound, format!("no service has a backend {name:?}")));
        }
        Ok(numbers)
    }

    pub(super) fn listeners_by_number(&self) -> Listeners<'_> {
        let numbered = self.services.iter().filter_map(|service| {
            Some((service, self.numbers.services.of(&service_identity(&service.name))?))
        });
        let listeners = numbered.flat_map(|(service, number)| {
            service.listen.iter().filter_map(move |listen| {
                let id = listener_id(listener_key(listen), number);
                Some((self.numbers.listeners.of(&id)?, (service, *listen)))
            })
        });
        listeners.collect()
    }
}

/// Cuts a list to its limit; whether it was longer.
fn cut<T>(rows: &mut Vec<T>, limit: Option<usize>) -> bool {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let longer = limit > 0 && rows.len() > limit;
    if longer {
        rows.truncate(limit);
    }
    longer
}

/// A client as it is written: an address, or a prefix.
fn prefix(text: &str) -> Result<IpNet, ApiError> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        ApiError::new(ErrorCode::Invalid, format!("{text:?} is no client"))
            .with_remedy("give an address, or a prefix such as 2001:db8::/64")
    })
}

fn client_text(client: IpAddr, service: Option<&Service>) -> String {
    let bits = service.map(|service| match client {
        IpAddr::V4(_) => (service.affinity.v4_prefix, 32),
        IpAddr::V6(_) => (service.affinity.v6_prefix, 128),
    });
    match bits {
        Some((bits, whole)) if bits < whole => format!("{client}/{bits}"),
        _ => client.to_string(),
    }
}

fn no_pin(service: &str, client: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("service {service:?} has no pin of {client}"))
}

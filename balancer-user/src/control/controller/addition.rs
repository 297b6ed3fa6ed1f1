//! Adding a backend at runtime: it is held against the rules that the file is held against.

use super::{Control, member::Stage, verbs::check_weight};
use crate::{
    api::types::{AddBackend, ApiError, BackendDoc, ErrorCode},
    config::{Backend, Endpoint, Listen, Mode, Service},
    control::{
        desired,
        runtime::{Added, Runtime},
    },
    health::Target,
};

/// The weight of a backend that says nothing about it.
const DEFAULT_WEIGHT: u32 = 100;
/// The longest name.
const NAME_MAX: usize = 63;

impl Control {
    /// Adds a backend, or takes back one that was deleted.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, service: &str, add: &AddBackend) -> Result<BackendDoc, ApiError> {
        let service = self.service(service)?.clone();
        check_name(&add.name)?;
        check_weight(add.weight.unwrap_or_default())?;
        self.check_addresses(&service, add)?;
        check_mode(&service, add)?;
        self.check_way(&service, add)?;
        let runtime = self.with_addition(&service, add)?;
        self.check_room(&service, &runtime)?;
        self.commit(runtime)?;
        let AddBackend { name, addresses, weight: _ } = add;
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        tracing::info!(
            "service {}: backend {name} at {} is added by the operator",
            service.name,
            addresses.join(", ")
        );
        self.backend_doc(&service.name, name, vec!["it takes clients with its first good check".to_owned()])
    }

    /// The runtime changes with the addition in them.
    fn with_addition(&self, service: &Service, add: &AddBackend) -> Result<Runtime, ApiError> {
        let AddBackend { name, addresses, weight } = add;
        let named = format!("service {:?}: backend {name:?}", service.name);
        if service.backends.iter().any(|backend| backend.name == *name) {
            return Err(conflict(format!("{named} is there already"), "use another name"));
        }
        if let Some((_, member)) = self.member(&service.name, name)
            && matches!(member.stage, Stage::Leaving { .. })
            && member.named.addresses != *addresses
        {
            let remedy =
                format!("wait, or end it first: `balancer backend del {} {name} --now`", service.name);
            return Err(conflict(format!("{named} still drains, at another address"), remedy));
        }
        let mut runtime = self.runtime.clone();
        match self.in_file(&service.name, name) {
            None => {
                let weight = weight.unwrap_or(DEFAULT_WEIGHT);
                runtime.add(&service.name, name, Added { addresses: addresses.clone(), weight });
            }
            Some(in_file) if in_file.addresses == *addresses => {
                runtime.undelete(&service.name, name);
                if let Some(weight) = weight {
                    runtime.set_weight(&service.name, name, *weight, Some(in_file));
                }
            }
            Some(_) => {
                let remedy = "add it with the address of the file, or change the file and reload";
                return Err(conflict(format!("{named} has another address in the file"), remedy));
            }
        }
        Ok(runtime)
    }

    /// A backend whose packets cannot be translated would never serve.
    fn check_room(&self, service: &Service, runtime: &Runtime) -> Result<(), ApiError> {
        match self.refused_blocks(&desired::services(&self.config, runtime)) {
            None => Ok(()),
            Some(why) => Err(ApiError::new(ErrorCode::Refused, format!("service {:?}: {why}", service.name))
                .with_remedy("write it into the file and `balancer reload --yes`, at a quiet time")),
        }
    }

    /// By the datapath not every address can be checked, and what is not checked never serves.
    fn check_way(&self, service: &Service, add: &AddBackend) -> Result<(), ApiError> {
        let AddBackend { name, addresses, weight: _ } = add;
        if Target::of(service, addresses, &self.ways()).is_some() {
            return Ok(());
        }
        let message = format!(
            "service {:?}: backend {name:?}: no service address is of its family, so that it cannot be checked by the \
             datapath",
            service.name
        );
        Err(invalid(message, "give it such an address, or set health.via to \"direct\""))
    }

    fn check_addresses(&self, service: &Service, add: &AddBackend) -> Result<(), ApiError> {
        let named = format!("service {:?}: backend {:?}", service.name, add.name);
        let [v4, v6] =
            [true, false].map(|v4| add.addresses.iter().filter(|it| it.address.is_ipv4() == v4).count());
        if v4 > 1 || v6 > 1 || v4 + v6 == 0 {
            return Err(invalid(
                format!("{named} has {v4} IPv4 and {v6} IPv6 addresses"),
                "one, or one of each",
            ));
        }
        for address in &add.addresses {
            address
                .checked()
                .map_err(|fault| invalid(format!("{named}: {}", fault.message), fault.remedy))?;
            if self.services.iter().flat_map(|it| &it.listen).any(|listen| listen.address == address.address)
            {
                let message = format!("{named}: {} is a service address", address.address);
                return Err(invalid(message, "give the backend's own address"));
            }
            if let Some(net) = self.config.agent.sources.iter().find(|net| net.contains(&address.address)) {
                let message = format!("{named}: {} is in agent.sources, {net}", address.address);
                return Err(invalid(message, "give the backend's own address"));
            }
            if let Some(other) = owner(service, *address) {
                let message = format!("{named}: {address} is backend {:?} already", other.name);
                return Err(conflict(message, "a larger share is a larger weight"));
            }
        }
        Ok(())
    }
}

/// What the mode of the service asks of the addresses of its backends.
fn check_mode(service: &Service, add: &AddBackend) -> Result<(), ApiError> {
    let named = format!("service {:?}: backend {:?}", service.name, add.name);
    let with_port = add.addresses.iter().find(|it| it.port.is_some());
    if let Some(address) = with_port.filter(|_| service.mode != Mode::Nat) {
        let message =
            format!("{named}: {address} has a port, and mode {:?} cannot change ports", service.mode.word());
        return Err(invalid(message, format!("give {}", address.address)));
    }
    if service.mode != Mode::Nat {
        return Ok(());
    }
    let has =
        |listen: &&Listen| !add.addresses.iter().any(|it| it.address.is_ipv4() == listen.address.is_ipv4());
    if let Some(listen) = service.listen.iter().find(has) {
        let message =
            format!("{named}: it has no address of the family of {listen}, which mode \"nat\" cannot cross");
        return Err(invalid(message, "give it one beside the other"));
    }
    let open = service.listen.iter().find(|listen| listen.port.is_none());
    if let (Some(address), Some(listen)) = (with_port, open) {
        let message = format!("{named}: {address} has a port, and {listen} takes every port");
        return Err(invalid(message, "leave the port out"));
    }
    Ok(())
}

fn owner(service: &Service, address: Endpoint) -> Option<&Backend> {
    service.backends.iter().find(|backend| backend.addresses.iter().any(|it| it.is_same_server(address)))
}

/// A name is an argument of the command line, a label of the metrics and a part of paths: no odd characters.
fn check_name(name: &str) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && name.len() <= NAME_MAX && name.bytes().all(plain) {
        return Ok(());
    }
    let remedy = format!("use at most {NAME_MAX} of a-z, A-Z, 0-9, - . _ and begin with a letter or digit");
    Err(invalid(format!("{name:?} is no name"), remedy))
}

fn invalid(message: String, remedy: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Invalid, message).with_remedy(remedy)
}

fn conflict(message: String, remedy: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Conflict, message).with_remedy(remedy)
}

//! Desired state: the file with the runtime changes over it.

use balancer_common::state::Admin;

use super::runtime::{BackendChange, Runtime};
use crate::{
    api::types::ChangeRow,
    config::{Backend, Config, Service},
};

/// The services as they are wanted: those of the file, in its order, each with the backends of the file in its
/// order and then those added at runtime.
#[must_use]
pub fn services(config: &Config, runtime: &Runtime) -> Vec<Service> {
    config.services.iter().map(|service| with_changes(service, runtime)).collect()
}

pub(super) fn with_changes(service: &Service, runtime: &Runtime) -> Service {
    let of_file = service.backends.iter().filter_map(|backend| {
        let change = runtime.of(&service.name, &backend.name);
        (!change.is_some_and(|change| change.deleted)).then(|| changed(backend, change))
    });
    let added = runtime.of_service(&service.name).filter_map(|(name, change)| {
        let added = change.added.as_ref()?;
        let backend = Backend {
            name: name.to_owned(),
            addresses: added.addresses.clone(),
            weight: added.weight,
            backup: false,
            max_flows: None,
            state: Admin::Ready,
        };
        Some(changed(&backend, Some(change)))
    });
    Service { backends: of_file.chain(added).collect(), ..service.clone() }
}

fn changed(backend: &Backend, change: Option<&BackendChange>) -> Backend {
    let (admin, weight) = change.map_or((None, None), |change| (change.admin, change.weight));
    Backend {
        state: admin.map_or(backend.state, |own| own.value.0),
        weight: weight.map_or(backend.weight, |own| own.value),
        ..backend.clone()
    }
}

/// How what is wanted differs from the file, by runtime changes.
#[must_use]
pub fn drift(config: &Config, runtime: &Runtime) -> Vec<ChangeRow> {
    config.services.iter().flat_map(|service| service_drift(service, runtime)).collect()
}

fn service_drift(service: &Service, runtime: &Runtime) -> Vec<ChangeRow> {
    let mut rows = Vec::new();
    for (name, change) in runtime.of_service(&service.name) {
        let object = backend_object(&service.name, name);
        let mut row = |key: &str, from, to| {
            rows.push(ChangeRow { object: object.clone(), key: key.to_owned(), from, to });
        };
        if let Some(added) = &change.added {
            let addresses: Vec<_> = added.addresses.iter().map(ToString::to_string).collect();
            row("added", None, Some(addresses.join(", ")));
        }
        if change.deleted {
            row("removed", Some("present".to_owned()), None);
        }
        if let Some(own) = change.admin {
            let file = own.file.map(|file| file.0.word().to_owned());
            row("state", file, Some(own.value.0.word().to_owned()));
        }
        if let Some(own) = change.weight {
            row("weight", own.file.map(|file| file.to_string()), Some(own.value.to_string()));
        }
    }
    rows
}

/// How documents speak of a backend.
#[must_use]
pub fn backend_object(service: &str, backend: &str) -> String {
    format!("service {service:?} backend {backend:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{
        runtime::Added,
        testing::{backend, config, service},
    };

    fn file() -> Config {
        config(vec![service("ws", vec![backend("ws-1", 1), backend("ws-2", 2)])])
    }

    #[test]
    fn runtime_changes_lie_over_the_file() {
        let (file, mut runtime) = (file(), Runtime::default());
        let of_file = |n: usize| file.services[0].backends.get(n);
        runtime.set_admin("ws", "ws-1", Admin::Drain, of_file(0));
        runtime.set_weight("ws", "ws-1", 7, of_file(0));
        runtime.delete("ws", "ws-2", of_file(1));
        runtime.add("ws", "ws-5", Added { addresses: vec!["10.0.0.5".parse().unwrap()], weight: 50 });
        runtime.set_admin("ws", "ws-5", Admin::Maint, None);
        let services = services(&file, &runtime);
        let shown: Vec<_> =
            services[0].backends.iter().map(|it| (it.name.as_str(), it.state, it.weight)).collect();
        assert_eq!(shown, [("ws-1", Admin::Drain, 7), ("ws-5", Admin::Maint, 50)]);
        let drift = drift(&file, &runtime);
        let shown: Vec<_> = drift
            .iter()
            .map(|row| {
                (row.key.as_str(), row.from.as_deref().unwrap_or("-"), row.to.as_deref().unwrap_or("-"))
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("state", "ready", "drain"),
                ("weight", "100", "7"),
                ("removed", "present", "-"),
                ("added", "-", "10.0.0.5"),
                ("state", "-", "maint"),
            ]
        );
        assert_eq!(drift[0].object, "service \"ws\" backend \"ws-1\"");
    }

    #[test]
    fn without_changes_the_file_is_what_is_wanted() {
        let file = file();
        assert_eq!(services(&file, &Runtime::default()), file.services);
        assert!(drift(&file, &Runtime::default()).is_empty());
    }
}

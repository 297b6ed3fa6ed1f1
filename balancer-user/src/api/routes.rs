//! Where each document is, in the router's notation; [`path`] fills a route in for the client.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// `GET`: [`super::types::StatusDoc`].
pub const STATUS: &str = "/v1/status";
/// `GET`: [`super::types::ServicesDoc`].
pub const SERVICES: &str = "/v1/services";
/// `GET`: [`super::types::ServiceDoc`].
pub const SERVICE: &str = "/v1/services/{service}";
/// `GET`: [`super::types::BackendsDoc`]; `POST` [`super::types::AddBackend`]: [`super::types::BackendDoc`].
pub const BACKENDS: &str = "/v1/services/{service}/backends";
/// `DELETE` with [`super::types::DeleteQuery`]: [`super::types::BackendDoc`].
pub const BACKEND: &str = "/v1/services/{service}/backends/{backend}";
/// `PUT` [`super::types::SetAdmin`]: [`super::types::BackendDoc`].
pub const BACKEND_ADMIN: &str = "/v1/services/{service}/backends/{backend}/admin";
/// `PUT` [`super::types::SetWeight`]: [`super::types::BackendDoc`].
pub const BACKEND_WEIGHT: &str = "/v1/services/{service}/backends/{backend}/weight";
/// `GET` with [`super::types::FlowQuery`]: [`super::types::FlowsDoc`].
pub const FLOWS: &str = "/v1/flows";
/// `GET`: [`super::types::FlowCountDoc`].
pub const FLOW_COUNT: &str = "/v1/flows/count";
/// `GET` with [`super::types::PinQuery`]: [`super::types::PinsDoc`].
pub const PINS: &str = "/v1/pins";
/// `DELETE` with [`super::types::ReleaseQuery`]: [`super::types::ReleaseDoc`].
pub const PINS_OF: &str = "/v1/pins/{service}";
/// `GET`, `DELETE`: [`super::types::PinsDoc`]. The client is an address or a prefix, its slash written `%2F`.
pub const PIN: &str = "/v1/pins/{service}/{client}";
/// `POST` [`super::types::ExplainRequest`]: a list of [`super::types::ExplainDoc`].
pub const EXPLAIN: &str = "/v1/explain";
/// `POST` [`super::types::ReloadRequest`]: [`super::types::ReloadDoc`].
pub const RELOAD: &str = "/v1/reload";
/// `POST` without a body: [`super::types::DetachDoc`]; the agent ends after it.
pub const DETACH: &str = "/v1/detach";

/// What a path segment must not hold as it is (the URL standard's path set, and the slash and percent sign).
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b'%');

/// The path of `route` with its `{…}` segments taken from `values` in their order.
#[must_use]
pub fn path(route: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let segments = route.split('/').map(|segment| match segment.starts_with('{') {
        true => utf8_percent_encode(values.next().copied().unwrap_or_default(), SEGMENT).to_string(),
        false => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stays_one_segment() {
        assert_eq!(path(PIN, &["ws", "2001:db8::/64"]), "/v1/pins/ws/2001:db8::%2F64");
    }

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(path(SERVICE, &["a/b?c#d%"]), "/v1/services/a%2Fb%3Fc%23d%25");
    }

    #[test]
    fn routes_without_segments_stay_as_they_are() {
        assert_eq!(path(STATUS, &[]), STATUS);
    }
}

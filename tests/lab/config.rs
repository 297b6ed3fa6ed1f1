//! The configuration that the lab's agent runs with.

use std::{fmt::Write as _, time::Duration};

use crate::{
    network::INTERFACE,
    paths::Place,
    topology::{CONFIGURED, Host, UDP_PORT, VIP_V4, VIP_V6, WEB_PORT, WS_PORT},
};

/// Time between two checks of a backend.
pub const INTERVAL: Duration = Duration::from_millis(1000);
/// A check that takes longer has failed.
pub const TIMEOUT: Duration = Duration::from_millis(500);
/// Failed checks in a row that make a backend `down`.
pub const FALL: u32 = 2;

/// A service of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// WebSocket sessions.
    Ws,
    /// Datagrams.
    Udp,
    /// nginx.
    Web,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 3] = [Self::Ws, Self::Udp, Self::Web];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Udp => "udp",
            Self::Web => "web",
        }
    }

    /// Its port.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Ws => WS_PORT,
            Self::Udp => UDP_PORT,
            Self::Web => WEB_PORT,
        }
    }

    /// Its transport protocol.
    #[must_use]
    pub const fn proto(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Ws | Self::Web => "tcp",
        }
    }

    const fn check(self) -> &'static str {
        match self {
            // The UDP server accepts TCP connections on the same port for this.
            Self::Ws | Self::Udp => "kind = \"tcp\"",
            Self::Web => "kind = \"http\"\npath = \"/health\"",
        }
    }
}

/// How long after a backend's death new connections of its clients may fail at most.
#[must_use]
pub const fn failover_bound() -> Duration {
    let to_notice = INTERVAL.saturating_add(TIMEOUT).saturating_mul(FALL);
    to_notice.saturating_add(Duration::from_secs(2))
}

/// The whole file.
#[must_use]
pub fn text(place: &Place) -> String {
    let mut text = format!(
        "# Made by the lab.\n\
         schema = 1\n\n\
         [agent]\n\
         interfaces = [\"{INTERFACE}\"]\n\
         api = \"{api}\"\n\
         stats = \"127.0.0.1:9180\"\n\
         state_dir = \"{state}\"\n\
         bpffs = \"{bpffs}\"\n\n\
         [limits]\n\
         flows = 65_536\n\
         pins = 65_536\n",
        api = place.api().display(),
        state = place.agent_state().display(),
        bpffs = place.bpffs().join("balancer").display(),
    );
    for service in Service::ALL {
        text += &service_text(service);
    }
    text
}

fn service_text(service: Service) -> String {
    let (name, port, proto) = (service.name(), service.port(), service.proto());
    let mut text = format!(
        "\n[[service]]\n\
         name = \"{name}\"\n\
         listen = [\"{VIP_V4}:{port}/{proto}\", \"[{VIP_V6}]:{port}/{proto}\"]\n\
         mode = \"l2dsr\"\n\n\
         [service.health]\n\
         {check}\n\
         interval = \"{interval}ms\"\n\
         timeout = \"{timeout}ms\"\n\
         rise = 2\n\
         fall = {FALL}\n",
        check = service.check(),
        interval = INTERVAL.as_millis(),
        timeout = TIMEOUT.as_millis(),
    );
    for backend in Host::backends().take(CONFIGURED.into()) {
        let (v4, v6) = (backend.v4(), backend.v6());
        let _ = write!(text, "\n[[service.backend]]\nname = \"{backend}\"\naddress = [\"{v4}\", \"{v6}\"]\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_accepts_it() {
        let place = Place::new("bl-".parse().unwrap());
        let loaded =
            balancer_user::config::parse(&text(&place), "lab.toml").map_err(|problems| problems.to_string());
        let config = loaded.unwrap().config;
        assert_eq!(config.services.len(), Service::ALL.len());
        assert!(config.services.iter().all(|service| service.backends.len() == usize::from(CONFIGURED)));
    }

    #[test]
    fn a_dead_backend_is_noticed_after_fall_checks() {
        assert_eq!(failover_bound(), Duration::from_millis(2 * (1000 + 500) + 2000));
    }
}

//! What a backend may do, decided from the words of the operator and of the checks.
//!
//! This is the table of states in `docs/operations.md`: the agent computes it for every backend of a service
//! at once, and the packet path asks nothing but the resulting bits.

use crate::state::{Admin, Health};

/// What a backend may do; 8 bits of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Serving(pub u8);

impl Serving {
    /// Its existing flows are forwarded.
    pub const FLOWS: u8 = 1;
    /// New connections of its pinned clients are served.
    pub const PINNED: u8 = 2;
    /// New clients are placed on it.
    pub const NEW: u8 = 4;
    /// Its pins are kept although their clients are served elsewhere.
    pub const KEEPS_PINS: u8 = 8;

    /// Whether existing flows are forwarded.
    #[inline(always)]
    #[must_use]
    pub const fn flows(self) -> bool {
        self.0 & Self::FLOWS != 0
    }

    /// Whether pinned clients' new connections are served.
    #[inline(always)]
    #[must_use]
    pub const fn pinned(self) -> bool {
        self.0 & Self::PINNED != 0
    }

    /// Whether new clients are placed.
    #[inline(always)]
    #[must_use]
    pub const fn new_clients(self) -> bool {
        self.0 & Self::NEW != 0
    }

    /// Whether pins are kept although their clients are served elsewhere.
    #[inline(always)]
    #[must_use]
    pub const fn keeps_pins(self) -> bool {
        self.0 & Self::KEEPS_PINS != 0
    }
}

/// One backend as the decision sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What the operator wants.
    pub admin: Admin,
    /// What the checks say.
    pub health: Health,
    /// Weight; 0 takes no new clients and keeps its pins.
    pub weight: u32,
    /// Whether its MAC address is known.
    pub reachable: bool,
}

/// How a service decides about its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// By admin state and health.
    Normal,
    /// Nobody was judged yet: those that are being checked serve.
    Unjudged,
    /// Nobody is up: health is ignored, loudly.
    Panic,
}

impl Regime {
    /// The regime of a service with these backends.
    #[must_use]
    pub fn of(candidates: &[Candidate]) -> Self {
        let ready = || candidates.iter().filter(|one| one.admin == Admin::Ready && one.reachable);
        if ready().any(|one| one.health == Health::Up) {
            Self::Normal
        } else if ready().any(|one| one.health == Health::Checking) {
            Self::Unjudged
        } else if ready().next().is_some() {
            Self::Panic
        } else {
            Self::Normal
        }
    }
}

/// What one backend may do under its service's regime.
#[must_use]
pub fn serving(regime: Regime, one: &Candidate) -> Serving {
    let new = |yes: bool| if yes && one.weight > 0 { Serving::NEW } else { 0 };
    let bits = match (one.admin, one.health) {
        (Admin::Maint | Admin::Gone, _) => 0,
        (Admin::Drain, Health::Down) | (Admin::Ready, Health::Down) if regime != Regime::Panic => 0,
        (Admin::Drain, _) => Serving::FLOWS,
        (Admin::Ready, Health::Draining) if regime != Regime::Panic => Serving::FLOWS,
        (Admin::Ready, Health::Checking) if regime == Regime::Normal => Serving::FLOWS | Serving::KEEPS_PINS,
        (Admin::Ready, _) => Serving::FLOWS | Serving::PINNED | new(true),
    };
    // Without a MAC address nothing can be sent; its flows wait for the neighbour rather than move.
    Serving(if one.reachable { bits } else { bits & !(Serving::NEW | Serving::PINNED) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(admin: Admin, health: Health) -> Candidate {
        Candidate { admin, health, weight: 100, reachable: true }
    }

    #[test]
    fn the_table_of_states_holds() {
        use Admin::{Drain, Gone, Maint, Ready};
        use Health::{Checking, Down, Draining, Up};
        let all = Serving::FLOWS | Serving::PINNED | Serving::NEW;
        for (admin, health, bits) in [
            (Ready, Up, all),
            (Ready, Checking, Serving::FLOWS | Serving::KEEPS_PINS),
            (Ready, Down, 0),
            (Ready, Draining, Serving::FLOWS),
            (Drain, Up, Serving::FLOWS),
            (Drain, Down, 0),
            (Maint, Up, 0),
            (Gone, Up, 0),
        ] {
            assert_eq!(serving(Regime::Normal, &one(admin, health)).0, bits, "{admin} / {health}");
        }
    }

    #[test]
    fn checking_backends_serve_when_nobody_was_judged() {
        let candidates = [one(Admin::Ready, Health::Checking), one(Admin::Ready, Health::Down)];
        let regime = Regime::of(&candidates);
        assert_eq!(regime, Regime::Unjudged);
        assert!(serving(regime, &candidates[0]).new_clients());
        assert!(!serving(regime, &candidates[1]).flows());
    }

    #[test]
    fn nobody_up_means_health_is_ignored_but_the_operator_is_not() {
        let candidates = [one(Admin::Ready, Health::Down), one(Admin::Maint, Health::Down)];
        let regime = Regime::of(&candidates);
        assert_eq!(regime, Regime::Panic);
        assert!(serving(regime, &candidates[0]).new_clients());
        assert_eq!(serving(regime, &candidates[1]).0, 0);
    }

    #[test]
    fn weight_zero_keeps_pins_and_takes_no_new_clients() {
        let idle = Candidate { weight: 0, ..one(Admin::Ready, Health::Up) };
        let bits = serving(Regime::Normal, &idle);
        assert!(bits.pinned() && !bits.new_clients());
    }

    #[test]
    fn a_backend_without_a_mac_address_keeps_its_flows_and_takes_nothing_new() {
        let lost = Candidate { reachable: false, ..one(Admin::Ready, Health::Up) };
        let bits = serving(Regime::Normal, &lost);
        assert!(bits.flows() && !bits.pinned() && !bits.new_clients());
    }
}

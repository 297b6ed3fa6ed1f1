//! What a backend may do, decided from the words of the operator and of the checks.
//!
//! This is the table of states in `docs/operations.md`: the agent computes it for every backend of a service
//! at once, and the packet path asks nothing but the resulting bits.

use crate::state::{Admin, Health, OnDown};

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
    /// Its TCP flows are reset, each at its turn (see [`Schedule`](crate::table::schedule::Schedule)); only where they
    /// are not forwarded.
    pub const RESETS: u8 = 16;

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

    /// Whether TCP flows are reset rather than sent elsewhere.
    #[inline(always)]
    #[must_use]
    pub const fn resets(self) -> bool {
        self.0 & Self::RESETS != 0
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
    /// It serves only when no other may.
    pub backup: bool,
    /// While it drains, its pinned clients' new connections still come to it.
    pub keeps_pins: bool,
    /// The deadline of its drain has passed, and what is left is to be reset.
    pub overdue: bool,
    /// Its last check says otherwise than its verdict: it may be about to go down, or to come up.
    pub unsure: bool,
}

/// What a service does about backends that are not up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of the flows of one that goes down.
    pub on_down: OnDown,
    /// With fewer up than this many in a thousand, and always with none, health is ignored; `None`: never.
    pub panic_below: Option<u16>,
}

/// How a service decides about its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// By admin state and health.
    Normal,
    /// Nobody was judged yet: those that are being checked serve.
    Unjudged,
    /// Too few are up: health is ignored, loudly.
    Panic,
}

/// What all backends of a service together come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// How the service decides.
    pub regime: Regime,
    /// Those that are only a backup serve.
    pub backups: bool,
    /// Somebody surely takes new clients: nobody is reset while nobody could take him.
    pub takers: bool,
    policy: Policy,
}

/// Backends of one kind that the operator wants to serve.
#[derive(Clone, Copy, Default)]
struct Tally {
    all: u64,
    up: u64,
    checking: u64,
}

impl Tally {
    fn of(candidates: &[Candidate], backup: bool) -> Self {
        let mut tally = Self::default();
        let ready = |one: &&Candidate| one.admin == Admin::Ready && one.reachable && one.backup == backup;
        for one in candidates.iter().filter(ready) {
            tally.all += 1;
            tally.up += u64::from(one.health == Health::Up);
            tally.checking += u64::from(one.health == Health::Checking);
        }
        tally
    }

    /// Whether fewer than this many in a thousand are up, or may be.
    fn below(self, thousandths: u16) -> bool {
        (self.up + self.checking) * 1_000 < self.all * u64::from(thousandths)
    }
}

impl Situation {
    /// The situation of a service with these backends.
    #[must_use]
    pub fn of(policy: Policy, candidates: &[Candidate]) -> Self {
        let [primaries, backups] = [false, true].map(|backup| Tally::of(candidates, backup));
        // A panic of the primaries does not wait for the last of them; backups stand in only for all of them.
        let stand_in = primaries.up + primaries.checking == 0 && backups.all > 0;
        let who = if stand_in && (backups.up > 0 || primaries.all == 0) { backups } else { primaries };
        let regime = match policy.panic_below {
            Some(below) if who.up + who.checking == 0 && who.all > 0 || who.below(below) => Regime::Panic,
            _ if who.up == 0 && who.checking > 0 => Regime::Unjudged,
            _ => Regime::Normal,
        };
        let backups = stand_in && (backups.up > 0 || primaries.all == 0);
        let situation = Self { regime, backups, takers: false, policy };
        // Where all checks fail at once, verdicts fall one after another: one that is about to go down is no refuge.
        let takers = candidates.iter().any(|one| !one.unsure && situation.serving(one).new_clients());
        Self { takers, ..situation }
    }

    /// What one of these backends may do.
    #[must_use]
    pub fn serving(&self, one: &Candidate) -> Serving {
        let bits = match one.admin {
            Admin::Maint | Admin::Gone => self.cut_off(OnDown::Reset),
            Admin::Drain if one.overdue => self.cut_off(OnDown::Reset),
            // And where they all pass again, one that is about to come up has lost nothing yet.
            Admin::Drain | Admin::Ready if self.is_down(one) && one.unsure => Serving::FLOWS,
            Admin::Drain | Admin::Ready if self.is_down(one) => self.cut_off(self.policy.on_down),
            Admin::Drain => Serving::FLOWS | if one.keeps_pins { Serving::PINNED } else { 0 },
            Admin::Ready => self.ready(one),
        };
        // Without a MAC address nothing can be sent; its flows wait for the neighbour rather than move.
        Serving(if one.reachable { bits } else { bits & !(Serving::NEW | Serving::PINNED) })
    }

    fn is_down(&self, one: &Candidate) -> bool {
        one.health == Health::Down && self.regime != Regime::Panic
    }

    /// One whose flows are not to go on: they do all the same while nobody could take their clients.
    fn cut_off(&self, how: OnDown) -> u8 {
        match how {
            OnDown::Hold => Serving::FLOWS,
            _ if !self.takers => Serving::FLOWS,
            OnDown::Reset => Serving::RESETS,
            OnDown::Rehash => 0,
        }
    }

    /// One that the operator wants to serve, and that is not down.
    fn ready(&self, one: &Candidate) -> u8 {
        match one.health {
            Health::Draining if self.regime != Regime::Panic && one.overdue => self.cut_off(OnDown::Reset),
            Health::Draining if self.regime != Regime::Panic => Serving::FLOWS,
            Health::Checking if self.regime == Regime::Normal => Serving::FLOWS | Serving::KEEPS_PINS,
            _ if one.backup && !self.backups => Serving::FLOWS,
            _ => Serving::FLOWS | Serving::PINNED | if one.weight > 0 { Serving::NEW } else { 0 },
        }
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;

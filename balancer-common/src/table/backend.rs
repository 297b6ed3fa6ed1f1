//! Backends by number: all that a packet needs, in one line.

use super::{TableId, line::Line, schedule::Schedule};
use crate::{
    env::Env,
    serve::Serving,
    state::{Admin, Health, Mode},
};

/// Backends that there can be, the number 0 included, which names none.
pub const MAX_BACKENDS: u32 = 4096;

/// The first word of a backend's line: serving 8 · admin 8 · health 8 · mode 8 · service 16 · weight 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendState {
    /// What it may do: all that the packet path asks.
    pub serving: Serving,
    /// What the operator wants; kept here so that a restarted agent adopts it.
    pub admin: Admin,
    /// What the checks said last; kept here so that a restarted agent adopts it.
    pub health: Health,
    /// How packets reach it.
    pub mode: Mode,
    /// Number of its service.
    pub service: u16,
}

impl BackendState {
    /// The word.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.serving.0 as u64
            | (self.admin as u64) << 8
            | (self.health as u64) << 16
            | (self.mode as u64) << 24
            | (self.service as u64) << 32
    }

    /// From the word; `None` where no backend was ever written.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let (Some(admin), Some(health), Some(mode)) = (
            Admin::from_code((bits >> 8) as u8),
            Health::from_code((bits >> 16) as u8),
            Mode::from_code((bits >> 24) as u8),
        ) else {
            return None;
        };
        Some(Self { serving: Serving(bits as u8), admin, health, mode, service: (bits >> 32) as u16 })
    }
}

/// The next hop: MAC address 48 (memory order) · interface line 8 · mode 8 (0: `l2dsr`). Written whole; 0 = not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NextHop(pub u64);

impl NextHop {
    /// From a MAC address and the line of the interface behind which it is, which is below
    /// [`interface::LINES`](super::interface::LINES).
    #[must_use]
    pub const fn new(mac: [u8; 6], interface: u16) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self(u64::from_le_bytes([a, b, c, d, e, f, interface as u8, 0]))
    }

    /// The same for a backend that packets reach in this mode: what is to be done then stands in its
    /// [`Way`](super::way::Way).
    #[must_use]
    pub const fn by(self, mode: Mode) -> Self {
        let mode = match mode {
            Mode::L2dsr => 0,
            other => other as u64,
        };
        Self(self.0 & 0x00ff_ffff_ffff_ffff | mode << 56)
    }

    /// Whether it leaves by the interface in this line with nothing but its MAC addresses changed: told by one
    /// comparison, for the fast path.
    #[inline(always)]
    #[must_use]
    pub const fn is_plain_at(self, line: u16) -> bool {
        (self.0 >> 48) as u16 == line
    }

    /// Code of the [`Mode`]; 0 = `l2dsr`.
    #[inline(always)]
    #[must_use]
    pub const fn mode(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// The MAC address: the low 48 bits, in memory order.
    #[inline(always)]
    #[must_use]
    pub const fn mac(self) -> u64 {
        self.0 & 0xffff_ffff_ffff
    }

    /// Line of the interface.
    #[inline(always)]
    #[must_use]
    pub const fn interface(self) -> u16 {
        (self.0 >> 48) as u16 & 0xff
    }
}

/// Word of a backend's line that holds its [`BackendState`].
pub const WORD_STATE: usize = 0;
/// Word of a backend's line that holds its [`NextHop`].
pub const WORD_NEXT_HOP: usize = 1;
/// Word of a backend's line that holds its [`Schedule`]; counts only while it resets its flows.
pub const WORD_SCHEDULE: usize = 3;
/// Word of a backend's line that holds the hash of its name: who the number belongs to.
pub const WORD_IDENTITY: usize = 2;

/// What a backend may do; nothing for a number that leads nowhere.
#[inline(always)]
pub fn serving<E: Env>(env: &E, backend: u16) -> Serving {
    Serving(env.line(TableId::Backends, backend as u32).map_or(0, |line| line.load(WORD_STATE) as u8))
}

/// What a backend may do, and its next hop, by one look at its line.
#[inline(always)]
pub fn serving_and_hop<E: Env>(env: &E, backend: u16) -> (Serving, NextHop) {
    match env.line(TableId::Backends, backend as u32) {
        Some(line) => (Serving(line.load(WORD_STATE) as u8), NextHop(line.load(WORD_NEXT_HOP))),
        None => (Serving(0), NextHop(0)),
    }
}

/// When the flows of a backend that resets them have their turn.
#[inline(always)]
pub fn schedule<E: Env>(env: &E, backend: u16) -> Schedule {
    Schedule(env.line(TableId::Backends, backend as u32).map_or(0, |line| line.load(WORD_SCHEDULE)))
}

/// The backend's next hop.
#[inline(always)]
pub fn next_hop<E: Env>(env: &E, backend: u16) -> NextHop {
    NextHop(env.line(TableId::Backends, backend as u32).map_or(0, |line| line.load(WORD_NEXT_HOP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_from_its_word() {
        let state = BackendState {
            serving: Serving(Serving::FLOWS | Serving::NEW),
            admin: Admin::Drain,
            health: Health::Up,
            mode: Mode::L2dsr,
            service: 513,
        };
        assert_eq!(BackendState::from_bits(state.bits()), Some(state));
        assert_eq!(BackendState::from_bits(0), None);
    }

    #[test]
    fn a_next_hop_keeps_the_order_of_the_wire() {
        let hop = NextHop::new([2, 0, 0, 0, 0, 9], 3);
        assert_eq!((hop.mac().to_le_bytes()[0], hop.mac().to_le_bytes()[5], hop.interface()), (2, 9, 3));
        assert!(hop.is_plain_at(3) && !hop.is_plain_at(2) && hop.mode() == 0);
        let tunnelled = hop.by(Mode::Ipip);
        assert_eq!(
            (tunnelled.mac(), tunnelled.interface(), tunnelled.mode()),
            (hop.mac(), 3, Mode::Ipip as u8)
        );
        assert!(!tunnelled.is_plain_at(3) && tunnelled.by(Mode::L2dsr) == hop);
    }
}

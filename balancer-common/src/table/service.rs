//! Services by number: the word that names their Maglev tables, and the timeout of their pins.

use super::{NUMBERS_PER_LINE, TableId, line::Line, packed_number};
use crate::env::Env;

/// Services that there can be, the number 0 included, which names none.
pub const MAX_SERVICES: u32 = 1024;

/// First lines of a service's current and previous Maglev table in the pool; 0 = none. Written whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MaglevRoot {
    /// First line of the current table.
    pub current: u32,
    /// First line of the table before.
    pub previous: u32,
}

impl MaglevRoot {
    /// The word.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.current as u64 | (self.previous as u64) << 32
    }

    /// From the word.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self { current: bits as u32, previous: (bits >> 32) as u32 }
    }
}

/// Word of a service's line that holds its [`MaglevRoot`].
pub const WORD_ROOT: usize = 0;
/// Word of a service's line that holds the timeout of its pins, in pin ticks.
pub const WORD_AFFINITY: usize = 1;
/// Word of a service's line that holds the hash of its name: who the number belongs to.
pub const WORD_IDENTITY: usize = 2;

/// The Maglev tables of a service.
#[inline(always)]
pub fn maglev_root<E: Env>(env: &E, service: u16) -> MaglevRoot {
    MaglevRoot::from_bits(env.line(TableId::Services, service as u32).map_or(0, |line| line.load(WORD_ROOT)))
}

/// Timeout of a service's pins, in pin ticks; 0 for a service that is no more.
#[inline(always)]
pub fn affinity_timeout<E: Env>(env: &E, service: u16) -> u32 {
    env.line(TableId::Services, service as u32).map_or(0, |line| line.load(WORD_AFFINITY) as u32)
}

/// Backend number in slot `slot` of the Maglev table that begins at line `first`; 0 = none.
#[inline(always)]
pub fn maglev_slot<E: Env>(env: &E, first: u32, slot: u32) -> u16 {
    if first == 0 {
        return 0;
    }
    env.line(TableId::Maglev, first + slot / NUMBERS_PER_LINE).map_or(0, |line| packed_number(line, slot))
}

/// Lines of one Maglev table.
#[must_use]
pub const fn maglev_lines(size: u32) -> u32 {
    size.div_ceil(NUMBERS_PER_LINE)
}

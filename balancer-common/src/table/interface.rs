//! Interfaces, by a hash of their index: the own MAC address that a frame must be for, and the root of the listeners.

use super::{TableId, backend::NextHop, line::Line, listener::Root};
use crate::env::Env;

/// Lines of the table; an interface stands at its index modulo this, or within [`PROBES`] lines behind.
pub const LINES: u32 = 64;
/// Lines that a search looks at.
pub const PROBES: u32 = 4;
/// Word that holds the interface's index; 0 = free line.
pub const WORD_INDEX: usize = 0;
/// Word that holds its MAC address: low 48 bits, memory order.
pub const WORD_MAC: usize = 1;
/// Word that holds the [`Root`], the same in every line and in the table of the root: a packet looks at its interface's
/// line anyway, and is spared another one.
pub const WORD_ROOT: usize = 2;

/// An attached interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its line in the table.
    pub line: u16,
    /// Its MAC address: low 48 bits, memory order.
    pub mac: u64,
    /// Which half of the listeners is current.
    pub root: Root,
}

impl Interface {
    /// Its line and its own MAC address, as a next hop has them: one register where both are handed on.
    #[inline(always)]
    #[must_use]
    pub const fn end(self) -> NextHop {
        NextHop(self.mac | (self.line as u64) << 48)
    }
}

/// The interface with this index.
#[inline(always)]
pub fn find<E: Env>(env: &E, index: u32) -> Option<Interface> {
    for probe in 0..PROBES {
        let at = (index + probe) % LINES;
        let line = env.line(TableId::Interfaces, at)?;
        if line.load(WORD_INDEX) as u32 == index {
            let root = Root(line.load(WORD_ROOT));
            return Some(Interface { line: at as u16, mac: line.load(WORD_MAC), root });
        }
    }
    None
}

/// Index and MAC address of the interface in this line.
#[inline(always)]
pub fn at<E: Env>(env: &E, line: u16) -> Option<(u32, u64)> {
    let line = env.line(TableId::Interfaces, line as u32)?;
    Some((line.load(WORD_INDEX) as u32, line.load(WORD_MAC)))
}

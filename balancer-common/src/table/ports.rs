//! Ports of translated flows: which are taken, and which rest.
//!
//! A flow's port is a bit. Two words of a line are eight of these: a word of 64 ports that are taken, two words of those
//! that rest, and the turn in which they were last looked at. A port that a flow gave back rests for a whole turn at
//! least (65 s): so long the backend may remember the connection (`TIME_WAIT`). Whoever looks at the word in a later turn
//! sets those free that rested; nobody else has to.

use super::{TableId, line::Line};
use crate::env::Env;

/// Ports of a word.
pub const PORTS_A_WORD: u32 = 64;
/// Words of ports that a search looks at.
pub const SEARCHED: u32 = 16;
const WORDS_A_LINE: u32 = 2;
/// Words of a line that one word of ports takes.
const PARTS: usize = 4;
const TAKEN: usize = 0;
const RESTING: usize = 1;
const TURN: usize = 3;
/// Tries to take one of the ports that a word has left, before the next word is looked at.
const TRIES: u32 = 2;

/// The entries of a backend's translated flows, one a port, source address after source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Block {
    /// Number of its first entry, a multiple of [`PORTS_A_WORD`].
    pub base: u32,
    /// The first port.
    pub first: u16,
    /// Ports of each source address, in words of [`PORTS_A_WORD`]; 0 = no block.
    pub words: u16,
}

impl Block {
    /// The word: base 32 · first port 16 · words 16.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.base as u64 | (self.first as u64) << 32 | (self.words as u64) << 48
    }

    /// From the word.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self { base: bits as u32, first: (bits >> 32) as u16, words: (bits >> 48) as u16 }
    }

    /// Ports of each source address.
    #[inline(always)]
    #[must_use]
    pub const fn ports(self) -> u32 {
        self.words as u32 * PORTS_A_WORD
    }

    /// The entry of a port of source address number `source`; `None` if the port is not one of them.
    #[inline(always)]
    #[must_use]
    pub const fn entry(self, source: u32, port: u16) -> Option<u32> {
        let place = (port as u32).wrapping_sub(self.first as u32);
        if place < self.ports() { Some(self.base + source * self.ports() + place) } else { None }
    }
}

/// Lines that this many entries take.
#[must_use]
pub const fn lines(entries: u32) -> u32 {
    entries.div_ceil(PORTS_A_WORD * WORDS_A_LINE)
}

/// A word of ports: where its parts stand.
struct Word<'a, L> {
    line: &'a L,
    part: usize,
}

impl<L: Line> Word<'_, L> {
    /// Sets free what has rested, if a turn has passed. One who looks does it, by exchanging the turn.
    #[inline(always)]
    fn turn(&self, now: u32) {
        let seen = self.line.load(self.part + TURN);
        let passed = now.wrapping_sub(seen as u32);
        // A clock that is a moment behind.
        if passed == 0 || passed > u32::MAX / 2 {
            return;
        }
        if !self.line.compare_exchange(self.part + TURN, seen, now as u64) {
            return;
        }
        self.set_free(now & 1);
        if passed > 1 {
            self.set_free(!now & 1);
        }
    }

    /// Sets one half of the resting ports free.
    #[inline(always)]
    fn set_free(&self, half: u32) {
        let part = self.part + RESTING + half as usize;
        let resting = self.line.load(part);
        // All of them are set in both words, so that a difference clears them and nothing else.
        self.line.add(part, resting.wrapping_neg());
        self.line.add(self.part + TAKEN, resting.wrapping_neg());
    }

    /// Takes a free port, the first from bit `from` on.
    #[inline(always)]
    fn take(&self, from: u32) -> Option<u32> {
        for _ in 0..TRIES {
            let taken = self.line.load(self.part + TAKEN);
            if taken == u64::MAX {
                return None;
            }
            let bit = (from + lowest(!taken.rotate_right(from))) % PORTS_A_WORD;
            if self.line.compare_exchange(self.part + TAKEN, taken, taken | 1 << bit) {
                return Some(bit);
            }
        }
        None
    }

    #[inline(always)]
    fn give_back(&self, bit: u32, now: u32) {
        self.turn(now);
        // One who has the port sets its bit, once: so that it is clear before.
        self.line.add(self.part + RESTING + (now & 1) as usize, 1 << bit);
    }
}

/// Place of the lowest bit that is set; some is.
#[inline(always)]
const fn lowest(bits: u64) -> u32 {
    // No instruction counts zeros on the packet path: of the lowest bit alone, six masks tell the place.
    // Written out, as a table of them would take room on the stack.
    let one = bits & bits.wrapping_neg();
    (one & 0xaaaa_aaaa_aaaa_aaaa != 0) as u32
        | ((one & 0xcccc_cccc_cccc_cccc != 0) as u32) << 1
        | ((one & 0xf0f0_f0f0_f0f0_f0f0 != 0) as u32) << 2
        | ((one & 0xff00_ff00_ff00_ff00 != 0) as u32) << 3
        | ((one & 0xffff_0000_ffff_0000 != 0) as u32) << 4
        | ((one & 0xffff_ffff_0000_0000 != 0) as u32) << 5
}

#[inline(always)]
fn word<E: Env>(env: &E, table: TableId, number: u32) -> Option<Word<'_, E::Line>> {
    let line = env.line(table, number / WORDS_A_LINE)?;
    // Told apart by a branch, so that the verifier sees two places that lie within the line.
    Some(if number.is_multiple_of(WORDS_A_LINE) {
        Word { line, part: 0 }
    } else {
        Word { line, part: PARTS }
    })
}

/// The turn of resting ports.
#[inline(always)]
fn turn<E: Env>(env: &E) -> u32 {
    (env.jiffies() >> env.settings().port_rest_shift) as u32
}

/// Takes a port of a block with this many source addresses: its entry. `None` if all that were looked at are taken.
/// `take_in` is [`take_in`] on the block's table.
#[inline(always)]
pub fn take(block: Block, sources: u32, hash: u64, take_in: impl Fn(u32, u32) -> Option<u32>) -> Option<u32> {
    let words = block.words as u32 * sources;
    let first = block.base / PORTS_A_WORD;
    let mut at = crate::hash::reduce((hash >> 32) as u32, words);
    for _ in 0..SEARCHED {
        if let Some(entry) = take_in(first + at, hash as u32 % PORTS_A_WORD) {
            return Some(entry);
        }
        at = if at + 1 < words { at + 1 } else { 0 };
    }
    None
}

/// Takes a free port of word `number`, the first from bit `from` (below 64) on: its entry.
#[inline(always)]
pub fn take_in<E: Env>(env: &E, table: TableId, number: u32, from: u32) -> Option<u32> {
    let word = word(env, table, number)?;
    word.turn(turn(env));
    Some(number * PORTS_A_WORD + word.take(from)?)
}

/// Gives the port of an entry back: it rests.
#[inline(always)]
pub fn give_back<E: Env>(env: &E, table: TableId, entry: u32) {
    if let Some(word) = word(env, table, entry / PORTS_A_WORD) {
        word.give_back(entry % PORTS_A_WORD, turn(env));
    }
}

/// How many ports of a word are taken by flows, and how many rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Taken by flows.
    pub taken: u64,
    /// Resting.
    pub resting: u64,
}

/// The use of the 64 ports of word `number`, as bits; for the agent. What has rested long enough counts as free.
pub fn uses<E: Env>(env: &E, table: TableId, number: u32) -> Use {
    let Some(word) = word(env, table, number) else { return Use::default() };
    word.turn(turn(env));
    let part = |at: usize| word.line.load(word.part + at);
    let resting = part(RESTING) | part(RESTING + 1);
    Use { taken: part(TAKEN) & !resting, resting }
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;

//! The protocol of the buckets: find, claim, publish, free. The same code on every CPU and in the agent.
//!
//! 1. Readers take only published words, compare the key, and read the word again: with the same version it is
//!    still the same key's.
//! 2. Every change of a published word is a compare-and-swap of the whole word.
//! 3. A claim raises the slot's version, and bears 16 bits of its key's hash.
//! 4. Between claim and publication the claimer looks through the key's buckets again. A published entry with the
//!    same key stays, and so does a claim with the same bits in a lower place: the claimer gives its own up. A claim
//!    with the same bits in a higher place is doomed by it: it will not be published.
//!
//! So of all CPUs that insert one key at once exactly one publishes it. Whoever claims later sees the earlier claim,
//! and one of the two gives up; the lowest claim is doomed by nobody. (To look only after publication is not enough:
//! then the earlier one has looked, and gone on, before the later one stands in a lower place.)

use super::{
    TableId,
    key::Slots,
    line::Line,
    words::{Phase, SlotWord},
};
use crate::{
    env::Env,
    hash::reduce,
    settings::{Settings, Sizes},
};

/// Number of the first line of a key that is in the overflow.
pub(super) const OVERFLOW: u32 = 2;
/// An odd factor without a pattern: 2^64 divided by the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// A table of buckets.
pub trait Table {
    /// How its lines hold slots.
    type Slots: Slots;
    /// Which array its lines stand in.
    const ID: TableId;
    /// A small table: no overflow, and the oldest of a bucket gives way.
    const SMALL: bool;
    /// Its sizes.
    fn sizes(settings: &Settings) -> &Sizes;

    /// Buckets that a key has two of.
    #[inline(always)]
    fn main(settings: &Settings) -> u32 {
        let sizes = Self::sizes(settings);
        if Self::SMALL { sizes.small } else { sizes.main }
    }

    /// All its lines.
    fn lines(settings: &Settings) -> u32 {
        let sizes = Self::sizes(settings);
        if Self::SMALL { sizes.small } else { sizes.main + sizes.overflow }
    }

    /// Lines that a key may stand in.
    const PLACES: u32 = if Self::SMALL { OVERFLOW } else { OVERFLOW + 3 };

    /// Line number `which` (0: first, 1: second, from 2 on: overflow) of a key with this hash.
    #[inline(always)]
    fn index(settings: &Settings, hash: u64, which: u32) -> u32 {
        let main = Self::main(settings);
        match which {
            0 => reduce(hash as u32, main),
            1 => reduce((hash >> 32) as u32, main),
            // Mixed once more: keys that share their first bucket meet nowhere else.
            _ => {
                let mixed = hash.rotate_left(16 * which).wrapping_mul(MIX);
                main + reduce((mixed >> 32) as u32, Self::sizes(settings).overflow)
            }
        }
    }
}

/// Key of a table.
pub type KeyOf<T> = <<T as Table>::Slots as Slots>::Key;
/// Word of a table.
pub type WordOf<T> = <<T as Table>::Slots as Slots>::Word;

/// A published slot, and its word when it was read.
#[derive(Debug)]
pub struct Place<'a, L, W> {
    /// Its line.
    pub line: &'a L,
    /// Its slot in the line.
    pub slot: usize,
    /// Its word as it was read.
    pub word: W,
}

impl<L: Line, W: SlotWord> Place<'_, L, W> {
    /// Writes `new` where the word that was read still stands; whether it did.
    #[inline(always)]
    pub fn change<S: Slots<Word = W>>(&mut self, new: W) -> bool {
        let changed = self.line.compare_exchange(S::word(self.slot), self.word.bits(), new.bits());
        if changed {
            self.word = new;
        }
        changed
    }

    /// Reads the word anew after a lost exchange; false if the slot has been given to another key.
    #[inline(always)]
    pub fn reload<S: Slots<Word = W>>(&mut self) -> bool {
        let word = W::from_bits(self.line.load(S::word(self.slot)));
        let same = word.phase() == Phase::Published && word.version() == self.word.version();
        self.word = word;
        same
    }
}

/// Slot `slot` of a line if it is published with this key; its word.
#[inline(always)]
pub(super) fn probe<S: Slots, L: Line>(line: &L, slot: usize, key: &S::Key) -> Option<S::Word> {
    let word = S::Word::from_bits(line.load(S::word(slot)));
    if word.phase() != Phase::Published || !S::matches(line, slot, word, key) {
        return None;
    }
    // A refresh or a change of state meanwhile is no matter: a slot gets another key only with another version.
    let again = S::Word::from_bits(line.load(S::word(slot)));
    (again.phase() == Phase::Published && again.version() == word.version()).then_some(again)
}

/// The slot of a line that is published with this key.
#[inline(always)]
fn find_in<'a, S: Slots, L: Line>(line: &'a L, key: &S::Key) -> Option<Place<'a, L, S::Word>> {
    for slot in 0..S::COUNT {
        if let Some(word) = probe::<S, L>(line, slot, key) {
            return Some(Place { line, slot, word });
        }
    }
    None
}

/// Whether a key whose first bucket this is stands in the overflow.
#[inline(always)]
fn overflowed<S: Slots, L: Line>(line: &L) -> bool {
    S::Word::from_bits(line.load(S::word(0))).overflowed()
}

/// Looks a key up: its two buckets, and its overflow buckets if the first one says so.
#[inline(always)]
pub fn find<'a, T: Table, E: Env>(
    env: &'a E,
    hash: u64,
    key: &KeyOf<T>,
) -> Option<Place<'a, E::Line, WordOf<T>>> {
    let settings = env.settings();
    let first = env.line(T::ID, T::index(settings, hash, 0))?;
    if let Some(place) = find_in::<T::Slots, _>(first, key) {
        return Some(place);
    }
    find_beyond::<T, E>(env, hash, key, first)
}

#[inline(always)]
fn find_beyond<'a, T: Table, E: Env>(
    env: &'a E,
    hash: u64,
    key: &KeyOf<T>,
    first: &'a E::Line,
) -> Option<Place<'a, E::Line, WordOf<T>>> {
    let settings = env.settings();
    let second = env.line(T::ID, T::index(settings, hash, 1))?;
    if let Some(place) = find_in::<T::Slots, _>(second, key) {
        return Some(place);
    }
    if T::SMALL || !overflowed::<T::Slots, _>(first) {
        return None;
    }
    for which in OVERFLOW..T::PLACES {
        let line = env.line(T::ID, T::index(settings, hash, which))?;
        if let Some(place) = find_in::<T::Slots, _>(line, key) {
            return Some(place);
        }
    }
    None
}

/// Frees a published slot whose word was `word`; whether it was still so.
#[inline(always)]
pub fn free<S: Slots, L: Line>(line: &L, slot: usize, word: S::Word) -> bool {
    line.compare_exchange(S::word(slot), word.bits(), word.release().bits())
}

//! The protocol of the buckets: find, claim, publish, free. The same code on every CPU and in the agent.
//!
//! 1. Readers take only published words, compare the key, and read the word again.
//! 2. Every change of a published word is a compare-and-swap of the whole word.
//! 3. A claim raises the slot's version.
//! 4. After publication the claimer looks through the key's buckets again: of two equal keys the one in the
//!    lowest place stays.

use super::{
    TableId,
    key::Slots,
    line::Line,
    words::{Phase, SlotWord},
};
use crate::{
    env::Env,
    hash::reduce,
    settings::{Now, Settings, Sizes},
};

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

    /// Line number `which` (0: first, 1: second, 2: overflow) of a key with this hash.
    #[inline(always)]
    fn index(settings: &Settings, hash: u64, which: u32) -> u32 {
        let main = Self::main(settings);
        match which {
            0 => reduce(hash as u32, main),
            1 => reduce((hash >> 32) as u32, main),
            _ => main + reduce((hash >> 16) as u32, Self::sizes(settings).overflow),
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
fn probe<S: Slots, L: Line>(line: &L, slot: usize, key: &S::Key) -> Option<S::Word> {
    let word = S::Word::from_bits(line.load(S::word(slot)));
    if word.phase() != Phase::Published || !S::matches(line, slot, word, key) {
        return None;
    }
    let again = S::Word::from_bits(line.load(S::word(slot)));
    if again.bits() == word.bits() {
        return Some(again);
    }
    // It changed under the comparison: one more look at what stands there now.
    (again.phase() == Phase::Published && S::matches(line, slot, again, key)).then_some(again)
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

/// Looks a key up: its two buckets, and its overflow bucket if the first one says so.
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
    find_in::<T::Slots, _>(env.line(T::ID, T::index(settings, hash, 2))?, key)
}

/// Says which published slots an insert may take, and hears of each that it took.
pub trait Evict<S: Slots, E: Env> {
    /// Whether the slot has run out.
    fn may_take(&self, env: &E, line: &E::Line, slot: usize, word: S::Word) -> bool;
    /// The slot was taken: counts what ended. The old key still stands in the line.
    fn taken(&self, env: &E, line: &E::Line, slot: usize, word: S::Word);
}

/// What an insert came to.
#[derive(Debug)]
pub enum Inserted<'a, L, W> {
    /// The key stands in a slot of its own.
    New(Place<'a, L, W>),
    /// Another CPU inserted the same key at the same time, in a lower place: its slot.
    Existing(Place<'a, L, W>),
    /// No room.
    Full,
}

/// Inserts a key that was not found.
#[inline(always)]
pub fn insert<'a, T: Table, E: Env, V: Evict<T::Slots, E>>(
    env: &'a E,
    hash: u64,
    key: &KeyOf<T>,
    word: WordOf<T>,
    hint: u32,
    evict: &V,
) -> Inserted<'a, E::Line, WordOf<T>> {
    let Some((line, slot, claimed)) = claim_any::<T, E, V>(env, hash, evict) else {
        return Inserted::Full;
    };
    T::Slots::write_key(line, slot, key);
    T::Slots::write_hint(line, slot, hint);
    let word = publish::<T::Slots, _>(line, slot, claimed, word);
    let mine = Place { line, slot, word };
    match settle::<T, E>(env, hash, key, &mine) {
        Some(other) => Inserted::Existing(other),
        None => Inserted::New(mine),
    }
}

/// Claims a slot for a key with this hash: a free one of its two buckets, else one that has run out, else the
/// overflow; in a small table the oldest.
#[inline(always)]
fn claim_any<'a, T: Table, E: Env, V: Evict<T::Slots, E>>(
    env: &'a E,
    hash: u64,
    evict: &V,
) -> Option<(&'a E::Line, usize, WordOf<T>)> {
    let settings = env.settings();
    let first = env.line(T::ID, T::index(settings, hash, 0))?;
    let second = env.line(T::ID, T::index(settings, hash, 1))?;
    if let Some((slot, word)) = claim_free::<T::Slots, _>(first) {
        return Some((first, slot, word));
    }
    if let Some((slot, word)) = claim_free::<T::Slots, _>(second) {
        return Some((second, slot, word));
    }
    if T::SMALL {
        let (slot, word) = claim_oldest::<T::Slots, E>(env, first)?;
        return Some((first, slot, word));
    }
    if let Some((slot, word)) = claim_expired::<T::Slots, E, V>(env, first, evict) {
        return Some((first, slot, word));
    }
    if let Some((slot, word)) = claim_expired::<T::Slots, E, V>(env, second, evict) {
        return Some((second, slot, word));
    }
    let beyond = env.line(T::ID, T::index(settings, hash, 2))?;
    let claimed = match claim_free::<T::Slots, _>(beyond) {
        Some(claimed) => Some(claimed),
        None => claim_expired::<T::Slots, E, V>(env, beyond, evict),
    };
    let (slot, word) = claimed?;
    if !set_overflowed::<T::Slots, _>(first, true) {
        unclaim::<T::Slots, _>(beyond, slot);
        return None;
    }
    Some((beyond, slot, word))
}

#[inline(always)]
fn claim<S: Slots, L: Line>(line: &L, slot: usize, word: S::Word) -> Option<S::Word> {
    let claimed = word.claim();
    line.compare_exchange(S::word(slot), word.bits(), claimed.bits()).then_some(claimed)
}

#[inline(always)]
fn claim_free<S: Slots, L: Line>(line: &L) -> Option<(usize, S::Word)> {
    for slot in 0..S::COUNT {
        let word = S::Word::from_bits(line.load(S::word(slot)));
        if word.phase() == Phase::Free
            && let Some(claimed) = claim::<S, L>(line, slot, word)
        {
            return Some((slot, claimed));
        }
    }
    None
}

#[inline(always)]
fn claim_expired<S: Slots, E: Env, V: Evict<S, E>>(
    env: &E,
    line: &E::Line,
    evict: &V,
) -> Option<(usize, S::Word)> {
    for slot in 0..S::COUNT {
        let word = S::Word::from_bits(line.load(S::word(slot)));
        if word.phase() == Phase::Published
            && evict.may_take(env, line, slot, word)
            && let Some(claimed) = claim::<S, _>(line, slot, word)
        {
            evict.taken(env, line, slot, word);
            return Some((slot, claimed));
        }
    }
    None
}

/// The oldest slot of a line; of equally old ones the one that was claimed least often, so that a burst
/// within one tick goes round instead of hitting one slot.
#[inline(always)]
fn claim_oldest<S: Slots, E: Env>(env: &E, line: &E::Line) -> Option<(usize, S::Word)> {
    let now = env.now();
    // Plain values rather than an `Option`: its unwritten half is a register that the verifier refuses to see copied.
    let (mut found, mut at, mut oldest) = (false, 0, S::Word::from_bits(0));
    for slot in 0..S::COUNT {
        let word = S::Word::from_bits(line.load(S::word(slot)));
        if word.phase() == Phase::Published && (!found || is_older(word, oldest, now)) {
            (found, at, oldest) = (true, slot, word);
        }
    }
    if !found {
        return None;
    }
    Some((at, claim::<S, _>(line, at, oldest)?))
}

/// Whether `a` was seen longer ago than `b`, or as long ago and its slot was claimed less often.
#[inline(always)]
fn is_older<W: SlotWord>(a: W, b: W, now: Now) -> bool {
    let (age, other) = (a.age(now), b.age(now));
    age > other || age == other && younger_version(b, a)
}

/// Whether `b`'s slot was claimed less often than `a`'s, in 8 bits that wrap.
#[inline(always)]
fn younger_version<W: SlotWord>(a: W, b: W) -> bool {
    (a.version().wrapping_sub(b.version()) as i8) > 0
}

/// Puts the word into a claimed slot. Others may change only the bucket's flag meanwhile, so this succeeds at
/// the second try at the latest in practice; it is bounded all the same.
#[inline(always)]
fn publish<S: Slots, L: Line>(line: &L, slot: usize, claimed: S::Word, word: S::Word) -> S::Word {
    let mut at = claimed;
    for _ in 0..3 {
        let word = word.in_slot_of(at);
        if line.compare_exchange(S::word(slot), at.bits(), word.bits()) {
            return word;
        }
        at = S::Word::from_bits(line.load(S::word(slot)));
    }
    let word = word.in_slot_of(at);
    line.store(S::word(slot), word.bits());
    word
}

/// Gives a claimed slot back.
#[inline(always)]
fn unclaim<S: Slots, L: Line>(line: &L, slot: usize) {
    for _ in 0..3 {
        let word = S::Word::from_bits(line.load(S::word(slot)));
        if line.compare_exchange(S::word(slot), word.bits(), word.release().bits()) {
            return;
        }
    }
}

/// Looks for the same key in a lower place than one's own; if it is there, frees one's own and returns it.
#[inline(always)]
fn settle<'a, T: Table, E: Env>(
    env: &'a E,
    hash: u64,
    key: &KeyOf<T>,
    mine: &Place<'a, E::Line, WordOf<T>>,
) -> Option<Place<'a, E::Line, WordOf<T>>> {
    let settings = env.settings();
    let places = if T::SMALL { 2 } else { 3 };
    for which in 0..places {
        let line = env.line(T::ID, T::index(settings, hash, which))?;
        for slot in 0..T::Slots::COUNT {
            if core::ptr::eq(line, mine.line) && slot == mine.slot {
                return None;
            }
            if let Some(word) = probe::<T::Slots, _>(line, slot, key) {
                free::<T::Slots, _>(mine.line, mine.slot, mine.word);
                return Some(Place { line, slot, word });
            }
        }
    }
    None
}

/// Frees a published slot whose word was `word`; whether it was still so.
#[inline(always)]
pub fn free<S: Slots, L: Line>(line: &L, slot: usize, word: S::Word) -> bool {
    line.compare_exchange(S::word(slot), word.bits(), word.release().bits())
}

/// Sets or clears the bucket's overflow flag; whether it stands as wished.
#[inline(always)]
pub fn set_overflowed<S: Slots, L: Line>(line: &L, overflowed: bool) -> bool {
    for _ in 0..4 {
        let word = S::Word::from_bits(line.load(S::word(0)));
        if word.overflowed() == overflowed {
            return true;
        }
        let new = word.with_overflowed(overflowed);
        if line.compare_exchange(S::word(0), word.bits(), new.bits()) {
            return true;
        }
    }
    false
}

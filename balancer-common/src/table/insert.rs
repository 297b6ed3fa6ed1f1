//! Inserts a key: claim, look for rivals, publish. What makes it safe is told in [`bucket`](super::bucket).

use super::{
    bucket::{KeyOf, OVERFLOW, Place, Table, WordOf, free, probe},
    key::Slots,
    line::Line,
    overflow::set_overflowed,
    words::{Phase, SlotWord},
};
use crate::{env::Env, settings::Now};

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
    /// Another CPU inserted the same key at the same time: its slot.
    Existing(Place<'a, L, W>),
    /// Another CPU is about to publish the same key.
    Busy,
    /// No room.
    Full,
}

/// A slot that was claimed for a key and is not published yet.
#[derive(Debug)]
struct Claim<'a, L, W> {
    place: Place<'a, L, W>,
    /// Number of its line in the table.
    index: u32,
}

/// What a claim says of the key that it is for. Buckets are chosen by the upper bits of the hash's halves.
#[inline(always)]
const fn tag(hash: u64) -> u16 {
    hash as u16
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
    let Some(mut claim) = claim_any::<T, E, V>(env, hash, evict) else {
        return Inserted::Full;
    };
    let (line, slot) = (claim.place.line, claim.place.slot);
    T::Slots::write_key(line, slot, key);
    T::Slots::write_hint(line, slot, hint);
    let (rival, place) = rival::<T, E>(env, hash, key, &claim);
    if rival == Rival::None && publish::<T::Slots, _>(&mut claim.place, word) {
        return Inserted::New(claim.place);
    }
    unclaim::<T::Slots, _>(line, slot);
    match rival {
        Rival::Published => Inserted::Existing(place),
        Rival::None | Rival::Claimed => Inserted::Busy,
    }
}

/// Claims a slot for a key with this hash: a free one of its two buckets, else one that has run out, else the
/// overflow; in a small table the oldest.
#[inline(always)]
fn claim_any<'a, T: Table, E: Env, V: Evict<T::Slots, E>>(
    env: &'a E,
    hash: u64,
    evict: &V,
) -> Option<Claim<'a, E::Line, WordOf<T>>> {
    let settings = env.settings();
    let tag = tag(hash);
    let (index, other) = (T::index(settings, hash, 0), T::index(settings, hash, 1));
    let first = env.line(T::ID, index)?;
    let second = env.line(T::ID, other)?;
    if let Some((slot, word)) = claim_free::<T::Slots, _>(first, tag) {
        return Some(Claim { place: Place { line: first, slot, word }, index });
    }
    if let Some((slot, word)) = claim_free::<T::Slots, _>(second, tag) {
        return Some(Claim { place: Place { line: second, slot, word }, index: other });
    }
    if T::SMALL {
        let (slot, word, old) = claim_oldest::<T::Slots, E>(env, first, tag)?;
        evict.taken(env, first, slot, old);
        return Some(Claim { place: Place { line: first, slot, word }, index });
    }
    if let Some((slot, word)) = claim_expired::<T::Slots, E, V>(env, first, tag, evict) {
        return Some(Claim { place: Place { line: first, slot, word }, index });
    }
    if let Some((slot, word)) = claim_expired::<T::Slots, E, V>(env, second, tag, evict) {
        return Some(Claim { place: Place { line: second, slot, word }, index: other });
    }
    claim_beyond::<T, E, V>(env, hash, first, evict)
}

/// Claims a slot in the overflow for a key whose first bucket is `first`.
#[inline(always)]
fn claim_beyond<'a, T: Table, E: Env, V: Evict<T::Slots, E>>(
    env: &'a E,
    hash: u64,
    first: &E::Line,
    evict: &V,
) -> Option<Claim<'a, E::Line, WordOf<T>>> {
    let claim = match claim_emptiest::<T, E>(env, hash) {
        Some(claim) => claim,
        None => claim_expired_beyond::<T, E, V>(env, hash, evict)?,
    };
    if !set_overflowed::<T::Slots, _>(first) {
        unclaim::<T::Slots, _>(claim.place.line, claim.place.slot);
        return None;
    }
    Some(claim)
}

/// Claims a free slot of the emptiest overflow bucket: so few of them fill up.
#[inline(always)]
fn claim_emptiest<'a, T: Table, E: Env>(env: &'a E, hash: u64) -> Option<Claim<'a, E::Line, WordOf<T>>> {
    let (mut most, mut index) = (0, 0);
    for which in OVERFLOW..T::PLACES {
        let at = T::index(env.settings(), hash, which);
        let free = count_free::<T::Slots, _>(env.line(T::ID, at)?);
        if free > most {
            (most, index) = (free, at);
        }
    }
    if most == 0 {
        return None;
    }
    let line = env.line(T::ID, index)?;
    let (slot, word) = claim_free::<T::Slots, _>(line, tag(hash))?;
    Some(Claim { place: Place { line, slot, word }, index })
}

#[inline(always)]
fn count_free<S: Slots, L: Line>(line: &L) -> u32 {
    let mut free = 0;
    for slot in 0..S::COUNT {
        free += S::Word::from_bits(line.load(S::word(slot))).free_bit();
    }
    free
}

#[inline(always)]
fn claim_expired_beyond<'a, T: Table, E: Env, V: Evict<T::Slots, E>>(
    env: &'a E,
    hash: u64,
    evict: &V,
) -> Option<Claim<'a, E::Line, WordOf<T>>> {
    for which in OVERFLOW..T::PLACES {
        let index = T::index(env.settings(), hash, which);
        let line = env.line(T::ID, index)?;
        if let Some((slot, word)) = claim_expired::<T::Slots, E, V>(env, line, tag(hash), evict) {
            return Some(Claim { place: Place { line, slot, word }, index });
        }
    }
    None
}

#[inline(always)]
fn claim<S: Slots, L: Line>(line: &L, slot: usize, word: S::Word, tag: u16) -> Option<S::Word> {
    let claimed = word.claim(tag);
    line.compare_exchange(S::word(slot), word.bits(), claimed.bits()).then_some(claimed)
}

#[inline(always)]
fn claim_free<S: Slots, L: Line>(line: &L, tag: u16) -> Option<(usize, S::Word)> {
    for slot in 0..S::COUNT {
        let word = S::Word::from_bits(line.load(S::word(slot)));
        if word.phase() == Phase::Free
            && let Some(claimed) = claim::<S, L>(line, slot, word, tag)
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
    tag: u16,
    evict: &V,
) -> Option<(usize, S::Word)> {
    for slot in 0..S::COUNT {
        let word = S::Word::from_bits(line.load(S::word(slot)));
        if word.phase() == Phase::Published
            && evict.may_take(env, line, slot, word)
            && let Some(claimed) = claim::<S, _>(line, slot, word, tag)
        {
            evict.taken(env, line, slot, word);
            return Some((slot, claimed));
        }
    }
    None
}

/// The oldest slot of a line, with its word and the one before; of equally old ones the one that was claimed least often, so that a burst
/// within one tick goes round instead of hitting one slot.
#[inline(always)]
fn claim_oldest<S: Slots, E: Env>(env: &E, line: &E::Line, tag: u16) -> Option<(usize, S::Word, S::Word)> {
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
    Some((at, claim::<S, _>(line, at, oldest, tag)?, oldest))
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

/// Puts the word into a claimed slot; false if the claim is doomed. Else others may change only the bucket's flags
/// meanwhile, so this succeeds at the second try at the latest in practice; it is bounded all the same.
#[inline(always)]
fn publish<S: Slots, L: Line>(claim: &mut Place<'_, L, S::Word>, word: S::Word) -> bool {
    for _ in 0..3 {
        let word = word.in_slot_of(claim.word);
        if claim.change::<S>(word) {
            return true;
        }
        claim.word = S::Word::from_bits(claim.line.load(S::word(claim.slot)));
        if claim.word.doomed() {
            return false;
        }
    }
    false
}

/// Gives a claimed slot back.
#[inline(always)]
fn unclaim<S: Slots, L: Line>(line: &L, slot: usize) {
    for _ in 0..4 {
        let word = S::Word::from_bits(line.load(S::word(slot)));
        if free::<S, L>(line, slot, word) {
            return;
        }
    }
}

/// Who else has the key of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rival {
    /// Nobody.
    None,
    /// A published slot.
    Published,
    /// A claim that outranks one's own.
    Claimed,
}

/// Looks through the places of a claimed key for the same one, and dooms the claims in higher places. The place is a
/// published rival's, and one's own if there is none: the verifier wants it written either way.
#[inline(always)]
fn rival<'a, T: Table, E: Env>(
    env: &'a E,
    hash: u64,
    key: &KeyOf<T>,
    mine: &Claim<'a, E::Line, WordOf<T>>,
) -> (Rival, Place<'a, E::Line, WordOf<T>>) {
    let own = Place { ..mine.place };
    for which in 0..T::PLACES {
        let index = T::index(env.settings(), hash, which);
        let Some(line) = env.line(T::ID, index) else { return (Rival::Claimed, own) };
        for slot in 0..T::Slots::COUNT {
            let lower = index < mine.index || index == mine.index && slot < mine.place.slot;
            if index == mine.index && slot == mine.place.slot {
                continue;
            }
            let (rival, word) = rival_in::<T::Slots, _>(line, slot, key, tag(hash), lower);
            if rival != Rival::None {
                return (rival, Place { line, slot, word });
            }
        }
    }
    (Rival::None, own)
}

/// Whether a slot has the key of one's own claim, which is in a lower place or not; and the slot's word.
#[inline(always)]
fn rival_in<S: Slots, L: Line>(
    line: &L,
    slot: usize,
    key: &S::Key,
    tag: u16,
    lower: bool,
) -> (Rival, S::Word) {
    let mut word = S::Word::from_bits(line.load(S::word(slot)));
    if lower && is_claim_for(word, tag) {
        return (Rival::Claimed, word);
    }
    for _ in 0..2 {
        if !is_claim_for(word, tag) {
            break;
        }
        if line.compare_exchange(S::word(slot), word.bits(), word.doom().bits()) {
            return (Rival::None, word);
        }
        // It was published or given up meanwhile; or the bucket's flags changed.
        word = S::Word::from_bits(line.load(S::word(slot)));
    }
    if is_claim_for(word, tag) {
        return (Rival::Claimed, word);
    }
    match probe::<S, L>(line, slot, key) {
        Some(word) => (Rival::Published, word),
        None => (Rival::None, word),
    }
}

#[inline(always)]
fn is_claim_for<W: SlotWord>(word: W, tag: u16) -> bool {
    word.phase() == Phase::Claimed && word.tag() == tag && !word.doomed()
}

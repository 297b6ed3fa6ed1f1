//! Numbers of services, listeners and backends: 16 bits, 0 names none.
//!
//! A table entry names a backend by its number alone, so a number may change hands only when nothing names it
//! any more. One that is given up is *retired*: it stays taken until a whole sweep of the tables, begun after
//! that, saw no entry with it, and no Maglev table names it. Its owner may take it back meanwhile.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    time::{Duration, Instant},
};

/// A packet that was decided just before a number was retired has published its entry by then.
pub const GRACE: Duration = Duration::from_secs(1);

/// The numbers of one kind, each with its owner's key.
#[derive(Clone, Debug)]
pub struct Numbers<K> {
    max: u16,
    holders: BTreeMap<u16, Holder<K>>,
    by_key: HashMap<K, u16>,
}

#[derive(Clone, Debug)]
struct Holder<K> {
    key: K,
    retired: Option<Instant>,
}

impl<K: Copy + Eq + Hash> Numbers<K> {
    /// All numbers from 1 to `max`, free.
    #[must_use]
    pub fn up_to(max: u16) -> Self {
        Self { max, holders: BTreeMap::new(), by_key: HashMap::new() }
    }

    /// Takes over what stands in the tables. Of two numbers with one key the first stays its own; the other
    /// can only be retired.
    pub fn adopt(&mut self, number: u16, key: K) {
        self.holders.insert(number, Holder { key, retired: None });
        self.by_key.entry(key).or_insert(number);
    }

    /// The number of `key`, retired or not.
    #[must_use]
    pub fn of(&self, key: &K) -> Option<u16> {
        self.by_key.get(key).copied()
    }

    /// The key that owns a number, retired or not.
    #[must_use]
    pub fn owner(&self, number: u16) -> Option<K> {
        self.holders.get(&number).map(|holder| holder.key)
    }

    /// The number of `key`, which is its own from now on; `None` when all are taken.
    pub fn take(&mut self, key: K) -> Option<u16> {
        let number = self.of(&key).or_else(|| self.lowest_free())?;
        self.holders.insert(number, Holder { key, retired: None });
        self.by_key.insert(key, number);
        Some(number)
    }

    fn lowest_free(&self) -> Option<u16> {
        let mut free = 1;
        for taken in self.holders.keys() {
            if *taken != free {
                break;
            }
            free += 1;
        }
        (free <= self.max).then_some(free)
    }

    /// How many are free.
    #[must_use]
    pub fn free(&self) -> usize {
        usize::from(self.max) - self.holders.len()
    }

    /// Its owner needs the number no more; the first moment counts.
    pub fn retire(&mut self, number: u16, now: Instant) {
        if let Some(holder) = self.holders.get_mut(&number) {
            holder.retired.get_or_insert(now);
        }
    }

    /// Every number in use or retired.
    pub fn taken(&self) -> impl Iterator<Item = u16> {
        self.holders.keys().copied()
    }

    /// The retired ones.
    pub fn retired(&self) -> impl Iterator<Item = u16> {
        self.holders.iter().filter(|(_, holder)| holder.retired.is_some()).map(|(number, _)| *number)
    }

    /// Whether a number is retired.
    #[must_use]
    pub fn is_retired(&self, number: u16) -> bool {
        self.holders.get(&number).is_some_and(|holder| holder.retired.is_some())
    }

    /// Frees what was retired before a whole sweep began (by [`GRACE`]) and that nothing names; what it freed.
    pub fn swept(&mut self, began: Instant, is_named: impl Fn(u16) -> bool) -> Vec<u16> {
        let over = |holder: &Holder<K>| holder.retired.is_some_and(|retired| retired + GRACE <= began);
        let freed: Vec<u16> = self
            .holders
            .iter()
            .filter(|(number, holder)| over(holder) && !is_named(**number))
            .map(|(number, _)| *number)
            .collect();
        for number in &freed {
            if let Some(holder) = self.holders.remove(number)
                && self.by_key.get(&holder.key) == Some(number)
            {
                self.by_key.remove(&holder.key);
            }
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_number_is_not_reused_while_anything_names_it() {
        let mut numbers = Numbers::up_to(10);
        let first = numbers.take("a").unwrap();
        numbers.retire(first, Instant::now());
        assert!(numbers.swept(later(5), |number| number == first).is_empty(), "an entry names it");
        assert_ne!(numbers.take("b"), Some(first));
        assert_eq!(numbers.swept(later(6), |_| false), [first]);
        assert_eq!(numbers.take("c"), Some(first));
    }

    #[test]
    fn a_sweep_that_began_before_the_retirement_frees_nothing() {
        let mut numbers = Numbers::up_to(10);
        let first = numbers.take("a").unwrap();
        let began = Instant::now();
        numbers.retire(first, later(10));
        assert!(numbers.swept(began, |_| false).is_empty());
        assert!(numbers.swept(later(10), |_| false).is_empty(), "an entry may still be on its way");
        assert_eq!(numbers.swept(later(12), |_| false), [first]);
    }

    #[test]
    fn the_owner_takes_a_retired_number_back() {
        let mut numbers = Numbers::up_to(10);
        let first = numbers.take("a").unwrap();
        numbers.retire(first, Instant::now());
        assert_eq!(numbers.take("a"), Some(first));
        assert!(!numbers.is_retired(first));
        assert!(numbers.swept(later(60), |_| false).is_empty());
    }

    #[test]
    fn adopted_numbers_stay_with_their_keys() {
        let mut numbers = Numbers::up_to(10);
        numbers.adopt(7, "a");
        numbers.adopt(1, "b");
        assert_eq!(numbers.take("a"), Some(7));
        assert_eq!(numbers.take("c"), Some(2));
        assert_eq!(numbers.owner(7), Some("a"));
    }

    #[test]
    fn all_numbers_can_be_taken_and_no_more() {
        let mut numbers = Numbers::up_to(2);
        assert_eq!((numbers.take(10), numbers.take(20), numbers.take(30)), (Some(1), Some(2), None));
    }
}

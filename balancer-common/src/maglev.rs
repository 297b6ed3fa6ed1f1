//! Weighted Maglev (Eisenbud et al., "Maglev: A fast and reliable software network load balancer", NSDI 2016).
//!
//! Every backend walks its own permutation of the slots, keyed by the seed and its name, and takes the next free
//! one in turn; a backend of half the weight takes half as many turns. The same inputs give the same table on
//! every host, bit for bit.

use crate::hash::sip;

/// One backend that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entrant<'a> {
    /// Its name: what the permutation is made from.
    pub name: &'a str,
    /// Its number, written into the slots.
    pub number: u16,
    /// Its weight; 0 gets no slot.
    pub weight: u32,
}

/// State of one entrant while a table is filled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    at: u32,
    step: u32,
    credit: u64,
}

/// Fills `slots` (a prime number of them) with backend numbers; all 0 when nobody has weight.
///
/// `walks` is working memory, one for each entrant. Entrants must come in an order that is the same on every
/// host: sorted by name.
///
/// # Panics
/// If `walks` is shorter than `entrants`, or there are fewer than two slots.
pub fn fill(slots: &mut [u16], walks: &mut [Walk], entrants: &[Entrant<'_>], seed: &[u8; 16]) {
    slots.fill(0);
    let size = slots.len() as u32;
    let heaviest = u64::from(entrants.iter().map(|one| one.weight).max().unwrap_or(0));
    if heaviest == 0 {
        return;
    }
    for (walk, one) in walks.iter_mut().zip(entrants) {
        *walk = start(one.name, seed, size);
    }
    let mut free = size;
    loop {
        for (walk, one) in walks.iter_mut().zip(entrants) {
            // The heaviest takes a turn every round, the others in proportion.
            walk.credit += u64::from(one.weight);
            if walk.credit < heaviest {
                continue;
            }
            walk.credit -= heaviest;
            take(slots, walk, one.number, size);
            free -= 1;
            if free == 0 {
                return;
            }
        }
    }
}

fn start(name: &str, seed: &[u8; 16], size: u32) -> Walk {
    let hash = sip(seed, name.as_bytes());
    let (high, low) = ((hash >> 32) as u32, hash as u32);
    Walk { at: high % size, step: low % (size - 1) + 1, credit: 0 }
}

fn take(slots: &mut [u16], walk: &mut Walk, number: u16, size: u32) {
    while slots[walk.at as usize] != 0 {
        walk.at = next(walk, size);
    }
    slots[walk.at as usize] = number;
    walk.at = next(walk, size);
}

const fn next(walk: &Walk, size: u32) -> u32 {
    let at = walk.at as u64 + walk.step as u64;
    (if at >= size as u64 { at - size as u64 } else { at }) as u32
}

/// Whether `n` is prime, by trial division: sizes are small.
#[must_use]
pub const fn is_prime(n: u32) -> bool {
    if n < 4 {
        return n > 1;
    }
    if n.is_multiple_of(2) {
        return false;
    }
    let mut divisor = 3;
    while divisor as u64 * divisor as u64 <= n as u64 {
        if n.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::String, vec, vec::Vec};

    const SIZE: usize = 65_537;

    fn names(count: u16) -> Vec<String> {
        (1..=count).map(|i| format!("backend-{i:03}")).collect()
    }

    fn table(names: &[String], weight: impl Fn(u16) -> u32) -> Vec<u16> {
        let entrants: Vec<_> = names
            .iter()
            .zip(1..)
            .map(|(name, number)| Entrant { name, number, weight: weight(number) })
            .collect();
        let mut slots = vec![0; SIZE];
        fill(&mut slots, &mut vec![Walk::default(); entrants.len()], &entrants, &[7; 16]);
        slots
    }

    fn share(table: &[u16], number: u16) -> f64 {
        table.iter().filter(|slot| **slot == number).count() as f64 / SIZE as f64
    }

    #[test]
    fn every_backend_gets_its_share_within_two_percent() {
        let names = names(100);
        let table = table(&names, |number| if number <= 50 { 100 } else { 50 });
        for number in 1..=100u16 {
            let fair = if number <= 50 { 100.0 / 7500.0 } else { 50.0 / 7500.0 };
            assert!((share(&table, number) / fair - 1.0).abs() < 0.02, "backend {number}");
        }
    }

    #[test]
    fn one_of_a_hundred_leaving_moves_at_most_one_percent_more() {
        let names = names(100);
        let before = table(&names, |_| 100);
        let after = table(&names, |number| if number == 42 { 0 } else { 100 });
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count() as f64 / SIZE as f64;
        let must = share(&before, 42);
        assert!(moved - must < 0.01, "moved {moved}, of which {must} had to");
        assert_eq!(share(&after, 42), 0.0);
    }

    /// The weight of a backend.
    type Weight = fn(u16) -> u32;

    /// Weights as an operator writes them: equal ones, a few big ones among small ones, all different.
    const WEIGHTS: [(&str, Weight); 4] = [
        ("equal", |_| 100),
        ("two sizes", |number| if number % 4 == 0 { 200 } else { 50 }),
        ("one giant", |number| if number == 42 { 1000 } else { 100 }),
        ("all different", |number| 50 + u32::from(number)),
    ];

    #[test]
    fn whatever_the_weights_every_backend_gets_its_share_within_two_percent() {
        let names = names(100);
        for (kind, weight) in WEIGHTS {
            let table = table(&names, weight);
            let sum: u32 = (1..=100).map(weight).sum();
            for number in 1..=100 {
                let fair = f64::from(weight(number)) / f64::from(sum);
                let share = share(&table, number);
                assert!((share / fair - 1.0).abs() < 0.02, "{kind}: backend {number} has {share} for {fair}");
            }
        }
    }

    #[test]
    fn whatever_the_weights_one_of_a_hundred_leaving_moves_at_most_one_percent_more() {
        let names = names(100);
        for (kind, weight) in WEIGHTS {
            let before = table(&names, weight);
            for leaving in [1, 42, 77, 100] {
                let after = table(&names, |number| if number == leaving { 0 } else { weight(number) });
                let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count() as f64 / SIZE as f64;
                let must = share(&before, leaving);
                // A giant leaves more than a hundredth behind, and disturbs in proportion.
                assert!(
                    moved - must < must.max(0.01),
                    "{kind}, without {leaving}: {moved} moved, of which {must} had to"
                );
            }
        }
    }

    #[test]
    fn the_seed_decides_the_order() {
        let names = names(2);
        let entrants: Vec<_> =
            names.iter().zip(1..).map(|(name, number)| Entrant { name, number, weight: 1 }).collect();
        let mut tables = [vec![0u16; 101], vec![0u16; 101]];
        for (i, slots) in tables.iter_mut().enumerate() {
            fill(slots, &mut [Walk::default(); 2], &entrants, &[i as u8; 16]);
        }
        assert_ne!(tables[0], tables[1]);
    }

    #[test]
    fn nobody_with_weight_leaves_the_table_empty() {
        assert!(table(&names(3), |_| 0).iter().all(|slot| *slot == 0));
    }

    #[test]
    fn primes_are_known() {
        assert!(is_prime(2) && is_prime(3) && is_prime(65_537) && is_prime(251));
        assert!(!is_prime(1) && !is_prime(9) && !is_prime(65_536) && !is_prime(65_535));
    }
}

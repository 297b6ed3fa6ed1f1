//! What a Maglev table is made of.

use balancer_common::{
    hash::sip,
    maglev::{Entrant, Walk, fill},
};

/// The inputs of one service's table: the same on every host give the same table, but for the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaglevInputs {
    size: u32,
    /// Name, number and weight, sorted by name.
    entrants: Vec<(String, u16, u32)>,
}

impl MaglevInputs {
    /// A table of `size` slots over these backends; `None` if nobody takes part. The table that stands is then
    /// left alone: it names nobody who takes new clients, and segments of unknown connections still follow it.
    #[must_use]
    pub fn new(size: u32, mut entrants: Vec<(String, u16, u32)>) -> Option<Self> {
        entrants.retain(|(_, _, weight)| *weight > 0);
        entrants.sort();
        (!entrants.is_empty()).then_some(Self { size, entrants })
    }

    /// The slots.
    #[must_use]
    pub fn slots(&self, seed: &[u8; 16]) -> Vec<u16> {
        let entrants: Vec<_> = self
            .entrants
            .iter()
            .map(|(name, number, weight)| Entrant { name, number: *number, weight: *weight })
            .collect();
        let mut slots = vec![0; self.size as usize];
        fill(&mut slots, &mut vec![Walk::default(); entrants.len()], &entrants, seed);
        slots
    }

    /// A hash of the table that does not depend on this host's numbers: equal on two hosts if each client goes
    /// to the same backend on both.
    #[must_use]
    pub fn fingerprint(&self, slots: &[u16]) -> u64 {
        let mut bytes = Vec::with_capacity(slots.len() * 2);
        for (name, _, _) in &self.entrants {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
        }
        for slot in slots {
            let rank = self.entrants.iter().position(|(_, number, _)| number == slot).unwrap_or(usize::MAX);
            bytes.extend_from_slice(&(rank as u16).to_le_bytes());
        }
        sip(&[0; 16], &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(numbers: [u16; 3]) -> MaglevInputs {
        let entrants = ["c", "a", "b"].into_iter().zip(numbers);
        let entrants = entrants.map(|(name, number)| (name.to_owned(), number, 100)).collect();
        MaglevInputs::new(251, entrants).unwrap()
    }

    #[test]
    fn the_same_backends_under_other_numbers_have_the_same_fingerprint() {
        let print = |inputs: &MaglevInputs, seed| inputs.fingerprint(&inputs.slots(&[seed; 16]));
        assert_eq!(print(&inputs([1, 2, 3]), 7), print(&inputs([30, 20, 10]), 7));
        assert_ne!(print(&inputs([1, 2, 3]), 7), print(&inputs([1, 2, 3]), 8));
    }

    #[test]
    fn a_table_without_weight_is_none() {
        assert_eq!(MaglevInputs::new(251, vec![("a".to_owned(), 1, 0)]), None);
    }
}

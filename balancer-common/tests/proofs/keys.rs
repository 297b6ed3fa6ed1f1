//! Without the key nobody can aim at a bucket or a backend: inputs that someone would choose spread like random ones
//! under every key, and what he found under one key says nothing about another.

use balancer_common::{
    hash::{HashKey, reduce},
    table::{
        bucket::Table,
        key::{FlowKey4, FlowKey6, PinKey4, PinKey6, Slots},
    },
    walk::family::{Family, Flows4, Flows6, Pins4, Pins6, V4, V6},
};

use crate::world::{Shape, World, sizes};

/// Keys that each pattern is tried under.
const KEYS: u8 = 24;
/// Buckets, or backends' shares, that are counted.
const BINS: usize = 256;
/// Inputs of a pattern: 32 a bin.
const INPUTS: u32 = 8192;

fn key(number: u8) -> HashKey {
    HashKey::from_seed(&[number ^ 0xa5; 16])
}

/// Pearson's statistic of hashes over the bins, in standard deviations beyond its mean. Runs of neighbours may spread
/// more evenly than random inputs; that is no fault.
fn excess(places: impl Iterator<Item = usize>, bins: usize) -> f64 {
    let mut counts = vec![0_u32; bins];
    let mut total = 0;
    for place in places {
        counts[place] += 1;
        total += 1;
    }
    let fair = f64::from(total) / bins as f64;
    let statistic: f64 = counts.iter().map(|count| (f64::from(*count) - fair).powi(2) / fair).sum();
    let degrees = (bins - 1) as f64;
    (statistic - degrees) / (2.0 * degrees).sqrt()
}

/// Makes the input of a number.
type Pattern = fn(u32) -> u32;

/// What someone would try: numbers in a row at each place of the word, with gaps, counted from the other end, with
/// few bits set, and all of them at once.
const PATTERNS: [(&str, Pattern); 10] = [
    ("in a row", |i| i),
    ("in a row, from the other end of the word", u32::swap_bytes),
    ("/24s in a row", |i| i << 8),
    ("/16s in a row", |i| i.rotate_right(16)),
    ("multiples of 257", |i| i.wrapping_mul(257)),
    ("multiples of 65,537", |i| i.wrapping_mul(65_537)),
    ("with the bits reversed", u32::reverse_bits),
    ("Gray code", |i| i ^ i >> 1),
    ("with every other bit", |i| (0..16).fold(0, |sum, bit| sum | (i >> bit & 1) << (2 * bit))),
    ("multiples of the golden ratio", |i| i.wrapping_mul(0x9e37_79b9)),
];

/// Checks one kind of place under every key and pattern: none is far out, and together they are as random ones.
fn spreads(what: &str, bins: usize, place: impl Fn(&HashKey, u32) -> usize) {
    for (name, pattern) in PATTERNS {
        let mut sum = 0.0;
        for number in 0..KEYS {
            let key = key(number);
            let excess = excess((0..INPUTS).map(|i| place(&key, pattern(i))), bins);
            assert!(excess < 7.0, "{what}, {name}: {excess:.1} standard deviations under key {number}");
            sum += excess;
        }
        let mean = sum / f64::from(KEYS).sqrt();
        assert!(mean < 5.0, "{what}, {name}: {mean:.1} standard deviations over all keys");
    }
}

/// Each line that a key may stand in, by the upper bits of its number.
fn lines_spread<T: Table>(what: &str, key_of: impl Fn(u32) -> <T::Slots as Slots>::Key) {
    // As many buckets of each kind as there are bins, so that a bin is a bucket.
    let sizes = sizes(BINS as u32, BINS as u32, BINS as u32);
    let world = World::<balancer_common::table::line::HostLine>::new(Shape {
        flows: sizes,
        pins: sizes,
        ..Shape::TINY
    });
    for which in 0..T::PLACES {
        spreads(&format!("{what}, line {which}"), BINS, |key, input| {
            let hash = T::Slots::hash(&key_of(input), key);
            T::index(world.settings(), hash, which) as usize % BINS
        });
    }
}

#[test]
fn chosen_flows_spread_over_the_buckets_like_random_ones() {
    lines_spread::<Flows4>("v4 clients", |i| FlowKey4::new(i, 4000, 1, 0));
    lines_spread::<Flows4>("ports of a v4 client", |i| FlowKey4::new(0x0a00_0001 ^ i >> 16, i as u16, 1, 0));
    lines_spread::<Flows6>("v6 prefixes", |i| {
        FlowKey6::new([u64::from(i) << 32 | 0xb80d_0120, 1], 4000, 1, 0)
    });
    lines_spread::<Flows6>("hosts of a v6 prefix", |i| {
        FlowKey6::new([0xb80d_0120, u64::from(i)], 4000, 1, 0)
    });
    lines_spread::<Flows6>("ports of v6 hosts", |i| FlowKey6::new([1, u64::from(i >> 16)], i as u16, 1, 0));
}

#[test]
fn chosen_clients_spread_over_the_pins_like_random_ones() {
    lines_spread::<Pins4>("v4 clients", |i| PinKey4::new(i, 1));
    lines_spread::<Pins6>("v6 prefixes", |i| PinKey6::new([u64::from(i) << 32 | 0xb80d_0120, 0], 1));
}

/// Slot of a client in a Maglev table, as a share of the table.
fn maglev_place<F: Family>(key: &HashKey, address: F::Address, bins: usize) -> usize {
    let hash = F::hash(key.start(), address).piece::<5>(77).finish();
    reduce((hash >> 32) as u32, bins as u32) as usize
}

#[test]
fn chosen_clients_spread_over_the_backends_like_random_ones() {
    for backends in [3, 10, 100] {
        spreads("v4 clients", backends, |key, i| maglev_place::<V4>(key, i, backends));
        spreads("v6 prefixes", backends, |key, i| {
            maglev_place::<V6>(key, [u64::from(i) << 32 | 0xb80d_0120, 0], backends)
        });
    }
}

/// Pairs of inputs that meet in a bucket under one key.
fn meeting(key: &HashKey, inputs: u32, difference: u32) -> Vec<(u32, u32)> {
    let place = |i: u32| reduce(V4::hash(key.start(), i).finish() as u32, BINS as u32);
    (0..inputs).map(|i| (i, i ^ difference)).filter(|(a, b)| place(*a) == place(*b)).collect()
}

/// Who learned one key, and collected what meets under it, gains nothing against another.
#[test]
fn what_meets_under_one_key_meets_under_another_by_chance_alone() {
    let mut again = 0;
    let mut pairs = 0;
    for difference in [1, 2, 1 << 8, 1 << 24, 0x0101_0101, 0xffff_ffff, 0x5555_5555, 12_345] {
        let learned = meeting(&key(0), 100_000, difference);
        // Half the pairs are the other half the other way round for some differences; either way hundreds are left.
        assert!(learned.len() > 200, "{} pairs with the difference {difference:#x}", learned.len());
        for number in 1..=KEYS {
            let key = key(number);
            let place = |i: u32| reduce(V4::hash(key.start(), i).finish() as u32, BINS as u32);
            let met = learned.iter().filter(|(a, b)| place(*a) == place(*b)).count();
            // One pair in 256 by chance, and no key for which a whole class of pairs meets again.
            assert!(met < learned.len() / 20, "{met} of {} pairs meet under key {number} too", learned.len());
            again += met;
            pairs += learned.len();
        }
    }
    let share = again as f64 / pairs as f64;
    assert!(share < 1.5 / BINS as f64, "{again} of {pairs} pairs that met under one key meet under others");
}

use super::*;
use crate::table::line::HostLine;

/// Whether one of this many seeds gives every key a place of its own.
fn separable(keys: &[ListenerKey], index_key: &HashKey, log2_places: u32, seeds: u32) -> bool {
    (0..seeds).map(|seed| Root::new(0, false, log2_places, seed)).any(|root| {
        let mut taken = std::vec![false; 1 << log2_places];
        keys.iter().all(|key| !core::mem::replace(&mut taken[key.place(index_key, root) as usize], true))
    })
}

#[test]
fn a_seed_keeps_all_listeners_apart_whatever_the_key_of_the_index() {
    // 8 keys on 64 places, 200 on 8,192: two seeds in three, and one in eleven, are good by chance.
    for (hosts, ports, log2_places) in [(4, 2, 6), (20, 10, 13)] {
        let keys: std::vec::Vec<ListenerKey> = (0..hosts * ports)
            .map(|i| ListenerKey {
                address: wide4(u32::to_be(0xc000_0200 + i / ports)),
                port: 443 + (i % ports) as u16,
                proto: 6,
            })
            .collect();
        for index_seed in 0..200 {
            let index_key = HashKey::from_seed(&[index_seed; 16]);
            assert!(separable(&keys, &index_key, log2_places, 4096), "index key {index_seed}, {hosts} hosts");
        }
    }
}

#[test]
fn a_line_gives_back_what_was_written() {
    let entry = ListenerEntry {
        key: ListenerKey { address: wide4(0x0100_a8c0), port: 443, proto: 6 },
        listener: 7,
        service: 9,
        by: AffinityBy::Client,
        salt: 0xdead_beef,
        maglev_size: 65_537,
        affinity_timeout: 43_200,
        v4_prefix: 24,
        v6_prefix: 64,
        timeouts: TimeoutTicks { syn: 15, established: 1758, closing: 8, udp: 30 },
        on_none: OnNone::Reset,
        on_expire: OnExpire::Forget,
        nat: true,
        echo: Echo::Drop,
    };
    let line = HostLine::default();
    line.restore(&entry.words());
    let read = Listener(&line);
    assert!(read.is_for(&entry.key) && read.by_client() && !read.wildcard());
    assert!(read.refuses() && !read.resets_expired() && read.nat() && read.echo() == Echo::Drop);
    assert!(!read.is_for(&ListenerKey { port: 444, ..entry.key }));
    assert!(!read.is_for(&ListenerKey { proto: 17, ..entry.key }));
    assert_eq!((read.number(), read.service(), read.salt()), (7, 9, 0xdead_beef));
    assert_eq!((read.maglev_size(), read.affinity_timeout()), (65_537, 43_200));
    assert_eq!(read.v4_mask().to_ne_bytes(), [255, 255, 255, 0]);
    assert_eq!(read.v6_mask(), [u64::MAX, 0]);
    assert_eq!(read.timeouts(), entry.timeouts);
    assert_eq!(read.key(), entry.key);
}

use super::*;

const WORDS: u16 = 2;

fn shape(sources: Option<&str>) -> PoolShape {
    let sources = sources.map(|text| text.parse().unwrap());
    PoolShape { sources, first: 1024, words: WORDS, keep_words: 4 }
}

/// Room for four blocks of two words, or of one that keeps and two of these.
fn blocks(sources: Option<&str>) -> Blocks {
    Blocks::new([shape(sources), shape(None)], [512, 512])
}

fn claim(number: u16, endpoint: &str, source: Source) -> Claim {
    Claim { number, endpoint: endpoint.parse().unwrap(), source }
}

fn pool(number: u16, endpoint: &str) -> Claim {
    claim(number, endpoint, Source::Pool)
}

fn base(blocks: &Blocks, number: u16) -> Option<u32> {
    blocks.of(number, true).map(|held| held.block.base)
}

fn bases(blocks: &Blocks, numbers: &[u16]) -> Vec<Option<u32>> {
    numbers.iter().map(|number| base(blocks, *number)).collect()
}

#[test]
fn each_place_has_a_block_and_who_is_at_one_place_shares_it() {
    let mut blocks = blocks(None);
    let claims =
        [pool(1, "10.0.0.1:81"), pool(2, "10.0.0.1:82"), pool(3, "10.0.0.2"), pool(4, "10.0.0.1:81")];
    assert!(blocks.assign(&claims).is_empty());
    assert_eq!(bases(&blocks, &[1, 2, 3, 4]), [Some(0), Some(128), Some(256), Some(0)]);
    assert_eq!(blocks.of(1, true).unwrap().block, Block { base: 0, first: 1024, words: WORDS });
    assert_eq!(blocks.of(1, false), None);
}

#[test]
fn an_open_port_makes_all_at_that_address_share() {
    let mut blocks = blocks(None);
    assert!(blocks.assign(&[pool(1, "10.0.0.1:81"), pool(2, "10.0.0.1"), pool(3, "10.0.0.1:82")]).is_empty());
    assert_eq!(bases(&blocks, &[1, 2, 3]), [Some(0); 3]);
    blocks.release(2);
    assert!(blocks.assign(&[pool(1, "10.0.0.1:81"), pool(3, "10.0.0.1:82")]).is_empty());
    assert_eq!(bases(&blocks, &[1, 3]), [Some(0); 2], "flows hold what they have");
}

#[test]
fn a_block_moves_with_its_number_and_not_before_it_is_free_to_another() {
    let mut blocks = blocks(None);
    blocks.assign(&[pool(1, "10.0.0.1"), pool(2, "10.0.0.2")]);
    // Number 1 has another address now, and number 3 comes where it was.
    blocks.assign(&[pool(1, "10.0.0.9"), pool(2, "10.0.0.2"), pool(3, "10.0.0.1")]);
    assert_eq!(bases(&blocks, &[1, 2, 3]), [Some(0), Some(128), Some(256)]);
    // Number 1 leaves; its flows are there until its number is free.
    blocks.assign(&[pool(4, "10.0.0.4")]);
    assert_eq!(base(&blocks, 4), Some(384));
    blocks.release(1);
    blocks.assign(&[pool(5, "10.0.0.5")]);
    assert_eq!(base(&blocks, 5), Some(0));
}

#[test]
fn what_has_no_room_is_refused_and_served_when_there_is() {
    let mut blocks = blocks(Some("192.0.2.64/31"));
    let claims = [pool(1, "10.0.0.1"), pool(2, "10.0.0.2"), pool(3, "10.0.0.3")];
    assert_eq!(blocks.assign(&claims), BTreeMap::from([((3, true), Refusal::NoRoom)]));
    assert_eq!(bases(&blocks, &[1, 2, 3]), [Some(0), Some(256), None], "two sources take twice as much");
    blocks.release(1);
    assert!(blocks.assign(&claims[1..]).is_empty());
    assert_eq!(base(&blocks, 3), Some(0));
}

#[test]
fn who_comes_between_two_blocks_is_refused_and_nobodys_flows_move() {
    let mut blocks = blocks(None);
    let two = [pool(1, "10.0.0.1:81"), pool(2, "10.0.0.1:82")];
    blocks.assign(&two);
    let refused = blocks.assign(&[two[0], two[1], pool(3, "10.0.0.1")]);
    assert_eq!(refused, BTreeMap::from([((3, true), Refusal::Apart)]));
    assert_eq!(bases(&blocks, &[1, 2, 3]), [Some(0), Some(128), None]);
    // Number 2 moves to where number 1 is, and has its own flows.
    let refused = blocks.assign(&[two[0], pool(2, "10.0.0.1:81")]);
    assert_eq!(refused, BTreeMap::from([((2, true), Refusal::Apart)]));
    assert_eq!(bases(&blocks, &[1, 2]), [Some(0), None]);
    // And back.
    assert!(blocks.assign(&two).is_empty());
    assert_eq!(bases(&blocks, &[1, 2]), [Some(0), Some(128)]);
}

#[test]
fn all_that_keep_their_clients_addresses_have_one_block() {
    let mut blocks = blocks(Some("192.0.2.64/32"));
    let claims = [
        claim(1, "10.0.0.1", Source::Keep),
        pool(2, "10.0.0.1"),
        claim(3, "10.0.0.3:81", Source::Keep),
        claim(4, "2001:db8::4", Source::Keep),
    ];
    assert!(blocks.assign(&claims).is_empty());
    assert_eq!(bases(&blocks, &[1, 2, 3]), [Some(0), Some(256), Some(0)]);
    let held = blocks.of(1, true).unwrap();
    assert_eq!((held.block.first, held.block.words, held.sources, held.keep), (0, 4, None, true));
    assert_eq!(blocks.of(4, false).unwrap().block.base, 0);
}

#[test]
fn what_was_adopted_stays_also_where_the_file_says_otherwise() {
    let mut blocks = blocks(Some("192.0.2.64/32"));
    let wished = Sources { first: words_of("192.0.2.64".parse().unwrap()), host_bits: 0 };
    let other = Sources { first: words_of("192.0.2.99".parse().unwrap()), host_bits: 0 };
    let block = |base| Block { base, first: 1024, words: WORDS };
    assert!(blocks.adopt(1, true, block(128), wished, false));
    assert!(!blocks.adopt(2, true, block(256), other, false));
    assert!(!blocks.adopt(3, true, Block { first: 2048, ..block(384) }, wished, false));
    assert!(
        blocks
            .assign(&[pool(1, "10.0.0.1"), pool(2, "10.0.0.2"), pool(3, "10.0.0.3"), pool(4, "10.0.0.4")])
            .is_empty()
    );
    assert_eq!(bases(&blocks, &[1, 2, 3, 4]), [Some(128), Some(256), Some(384), Some(0)]);
    assert_eq!(blocks.of(2, true).unwrap().sources, Some(other));
}

#[test]
fn this_hosts_own_address_follows_the_route() {
    let mut blocks = blocks(None);
    let own = Sources { first: words_of("10.0.0.1".parse().unwrap()), host_bits: 0 };
    assert!(blocks.adopt(1, true, Block { base: 0, first: 1024, words: WORDS }, own, false));
    assert_eq!(blocks.of(1, true).unwrap().sources, None);
}

//! Nothing is read that does not lie within what was checked; whatever the bytes are, a packet has one fate.

use super::{
    cases,
    frames::{mutated, valid},
};
use crate::{
    reading::fate::{aimed, one_fate},
    world::{INGRESS, OWN},
};
use balancer_common::{
    packet::SlicePacket,
    parse::link::{self, ETHERTYPE_IPV4},
    walk::decision::Verdict,
};
use proptest::{collection::vec, prelude::*};

/// Where the packet in a valid frame ends; behind it is what pads the frame.
fn end(frame: &mut [u8]) -> usize {
    let link = link::parse(&SlicePacket::new(frame, INGRESS)).expect("a valid frame");
    let at = link.next as usize;
    let be16 = |at: usize| usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    if link.ethertype == ETHERTYPE_IPV4 { at + be16(at + 2) } else { at + 40 + be16(at + 4) }
}

fn fate(frame: &[u8]) -> Result<Verdict, TestCaseError> {
    one_fate(frame).map_err(TestCaseError::fail)
}

/// Bytes behind a header that is looked at: the address of this host, and an ethertype, perhaps behind tags.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let ethertype = prop_oneof![
        Just(vec![0x08, 0x00]),
        Just(vec![0x86, 0xdd]),
        Just(vec![0x81, 0x00, 0, 7, 0x08, 0x00]),
        Just(vec![0x88, 0xa8, 0, 7, 0x81, 0x00, 0, 8, 0x86, 0xdd]),
        vec(any::<u8>(), 0..3),
    ];
    let first = prop_oneof![Just(0x45), Just(0x60), any::<u8>()];
    (ethertype, first, vec(any::<u8>(), 0..200))
        .prop_map(|(ethertype, first, bytes)| [&OWN[..], &[2; 6], &ethertype, &[first], &bytes].concat())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn arbitrary_bytes_have_one_fate_and_nothing_is_read_beyond_a_view(frame in noise()) {
        fate(&frame)?;
        fate(&aimed(frame))?;
    }

    #[test]
    fn damaged_packets_have_one_fate_and_nothing_is_read_beyond_a_view(frame in mutated()) {
        fate(&frame)?;
        fate(&aimed(frame))?;
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn a_packet_that_is_cut_anywhere_is_never_forwarded(frame in valid()) {
        let mut frame = aimed(frame);
        let end = end(&mut frame);
        for length in 0..end {
            prop_assert_ne!(fate(&frame[..length])?, Verdict::TX, "cut after {} of {} bytes", length, end);
        }
        for length in end..=frame.len() {
            prop_assert_eq!(fate(&frame[..length])?, Verdict::TX, "whole, and {} bytes of padding", length - end);
        }
    }
}

//! What is read of a packet is what another parser reads.

use super::{
    cases,
    frames::{mutated, valid},
};
use crate::reading::{
    agreement::{agrees, theirs},
    ours,
};
use balancer_common::packet::SlicePacket;
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_valid_packet_is_read_as_another_parser_reads_it(mut frame in valid()) {
        let expected = theirs(&frame);
        prop_assert!(expected.is_some(), "the other parser reads it");
        prop_assert_eq!(ours(&SlicePacket::new(&mut frame, 1)).ok(), expected);
    }

    #[test]
    fn what_is_read_of_a_damaged_packet_another_parser_reads_too(frame in mutated()) {
        agrees(&frame).map_err(TestCaseError::fail)?;
    }
}

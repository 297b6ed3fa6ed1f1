//! What comes out of a tunnel.

use anyhow::{Context as _, Result};
use balancer_common::decap::{Event, ecn};
use etherparse::IpNumber;

use crate::{
    Test,
    frames::{FROM, OWN, Outer, QINQ, VLAN, frame, inner, with_tos},
    programs::Programs,
};

pub(crate) const TESTS: &[Test] = &[
    (
        "all_four_pairs_of_versions_come_out_whole_with_their_vlan_tags",
        all_four_pairs_of_versions_come_out_whole_with_their_vlan_tags,
    ),
    ("options_and_extensions_of_the_outer_header_go_too", options_and_extensions_of_the_outer_header_go_too),
    ("congestion_marks_come_out_as_rfc_6040_says", congestion_marks_come_out_as_rfc_6040_says),
    ("only_allowed_sources_may_send_into_a_tunnel", only_allowed_sources_may_send_into_a_tunnel),
    ("what_pads_a_frame_is_no_part_of_the_inner_packet", what_pads_a_frame_is_no_part_of_the_inner_packet),
];

const BOTH: [bool; 2] = [false, true];
const TAGS: [&[[u8; 4]]; 3] = [&[], &[VLAN], &[QINQ, VLAN]];

fn all_four_pairs_of_versions_come_out_whole_with_their_vlan_tags() -> Result<()> {
    let programs = Programs::load(&OWN, &[], 0)?;
    for (outer, is_v6) in BOTH.into_iter().flat_map(|outer| BOTH.map(|inner| (outer, inner))) {
        for (tags, payload) in TAGS.into_iter().flat_map(|tags| [0, 1, 1400].map(|payload| (tags, payload))) {
            let inner = inner(is_v6, 0, payload);
            let wrapped = frame(tags, &Outer::new(outer).around(&inner));
            programs.becomes(&wrapped, &frame(tags, &inner), Event::Unwrapped)?;
        }
    }
    Ok(())
}

fn options_and_extensions_of_the_outer_header_go_too() -> Result<()> {
    const DESTINATION_OPTIONS: u8 = 60;
    let programs = Programs::load(&OWN, &[], 0)?;
    for is_v6 in BOTH {
        let inner = inner(is_v6, 0, 700);
        for words in 1..=10 {
            let outer = Outer { more: vec![1; 4 * words], ..Outer::new(false) };
            programs.becomes(
                &frame(&[VLAN], &outer.around(&inner)),
                &frame(&[VLAN], &inner),
                Event::Unwrapped,
            )?;
        }
        // The limit of encapsulations that a tunnel of Linux sends (RFC 2473, 4.1.1), once and twice.
        let limit = [DESTINATION_OPTIONS, 0, 4, 1, 4, 1, 1, 0];
        for times in 1..=2 {
            let (more, extension) = (limit.repeat(times), Some(DESTINATION_OPTIONS));
            let outer = Outer { more, extension, ..Outer::new(true) };
            programs.becomes(&frame(&[], &outer.around(&inner)), &frame(&[], &inner), Event::Unwrapped)?;
        }
    }
    Ok(())
}

fn congestion_marks_come_out_as_rfc_6040_says() -> Result<()> {
    let programs = Programs::load(&OWN, &[], 0)?;
    for (outer_v6, inner_v6) in BOTH.into_iter().flat_map(|outer| BOTH.map(|inner| (outer, inner))) {
        for (is, mark) in (0..4).flat_map(|is| (0..4).map(move |mark| (is, mark))) {
            // Other bits of the inner ToS stay, whatever the outer ones are.
            let inner = inner(inner_v6, 0x48 | is, 33);
            let outer = Outer { tos: 0xb4 | mark, ..Outer::new(outer_v6) };
            let wrapped = frame(&[], &outer.around(&inner));
            match ecn::decapsulated(is, mark) {
                Some(ecn) => {
                    let mut expected = inner.clone();
                    with_tos(&mut expected, 0x48 | ecn);
                    programs.becomes(&wrapped, &frame(&[], &expected), Event::Unwrapped)
                }
                None => programs.drops(&wrapped, Event::Congested),
            }
            .with_context(|| format!("inner {is}, outer {mark}"))?;
        }
    }
    Ok(())
}

fn only_allowed_sources_may_send_into_a_tunnel() -> Result<()> {
    let sources = [("192.0.2.64".parse()?, 28), ("2001:db8::40".parse()?, 124)];
    let programs = Programs::load(&OWN, &sources, 0)?;
    let foreign = ["192.0.2.80".parse()?, "2001:db8::50".parse()?];
    for is_v6 in BOTH {
        let inner = inner(is_v6, 0, 10);
        let allowed = Outer { from: FROM, ..Outer::new(is_v6) }.around(&inner);
        programs.becomes(&frame(&[], &allowed), &frame(&[], &inner), Event::Unwrapped)?;
        let forged = Outer { from: foreign, ..Outer::new(is_v6) }.around(&inner);
        programs.lets_go(&frame(&[], &forged), Some(Event::ForeignSource))?;
    }
    Ok(())
}

fn what_pads_a_frame_is_no_part_of_the_inner_packet() -> Result<()> {
    let programs = Programs::load(&OWN, &[], 0)?;
    for is_v6 in BOTH {
        let inner = inner(false, 0, 0);
        let mut wrapped = frame(&[], &Outer::new(is_v6).around(&inner));
        wrapped.extend([0xee; 6]);
        let mut expected = frame(&[], &inner);
        expected.extend([0xee; 6]);
        programs.becomes(&wrapped, &expected, Event::Unwrapped)?;
        // An inner packet that reaches into the padding is not whole.
        let mut long = inner.clone();
        long[3] += 6;
        let mut wrapped = frame(&[], &Outer::new(is_v6).around_proto(&long, IpNumber::IPV4));
        wrapped.extend([0xee; 6]);
        programs.drops(&wrapped, Event::BadInner)?;
    }
    Ok(())
}

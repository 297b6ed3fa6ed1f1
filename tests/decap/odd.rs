//! What stays in its tunnel, or was in none.

use anyhow::{Context as _, Result};
use balancer_common::decap::Event;
use etherparse::IpNumber;

use crate::{
    Test,
    frames::{FROM, OWN, Outer, SERVICE, VLAN, frame, inner},
    programs::Programs,
};

pub(crate) const TESTS: &[Test] = &[
    ("what_is_not_ours_passes_untouched", what_is_not_ours_passes_untouched),
    (
        "fragments_of_a_tunnels_packet_are_left_to_the_stack",
        fragments_of_a_tunnels_packet_are_left_to_the_stack,
    ),
    (
        "an_inner_packet_that_contradicts_itself_is_dropped",
        an_inner_packet_that_contradicts_itself_is_dropped,
    ),
    (
        "an_outer_header_that_contradicts_itself_is_left_to_the_stack",
        an_outer_header_that_contradicts_itself_is_left_to_the_stack,
    ),
    ("a_frame_that_is_cut_off_never_comes_out", a_frame_that_is_cut_off_never_comes_out),
];

const BOTH: [bool; 2] = [false, true];

fn what_is_not_ours_passes_untouched() -> Result<()> {
    let programs = Programs::load(&OWN, &[], 0)?;
    for is_v6 in BOTH {
        let plain = inner(is_v6, 0, 100);
        programs.lets_go(&frame(&[], &plain), None)?;
        programs.lets_go(&frame(&[VLAN], &plain), None)?;
        for to in [SERVICE, FROM] {
            let elsewhere = Outer { to, ..Outer::new(is_v6) }.around(&plain);
            programs.lets_go(&frame(&[], &elsewhere), None)?;
        }
        for proto in [IpNumber::TCP, IpNumber::UDP, IpNumber::GRE, IpNumber::ICMP] {
            programs.lets_go(&frame(&[], &Outer::new(is_v6).around_proto(&plain, proto)), None)?;
        }
        // Behind three tags, and of an unknown ethertype.
        programs.lets_go(&frame(&[VLAN; 3], &Outer::new(is_v6).around(&plain)), None)?;
        let mut arp = frame(&[], &Outer::new(is_v6).around(&plain));
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        programs.lets_go(&arp, None)?;
    }
    let nobody = Programs::load(&[], &[], 0)?;
    nobody.lets_go(&frame(&[], &Outer::new(false).around(&inner(false, 0, 9))), None)
}

fn fragments_of_a_tunnels_packet_are_left_to_the_stack() -> Result<()> {
    const FRAGMENT: u8 = 44;
    let programs = Programs::load(&OWN, &[], 0)?;
    let plain = inner(false, 0, 800);
    for fragment in [0x2000, 0x2001, 1] {
        let first = Outer { fragment, ..Outer::new(false) };
        programs.lets_go(&frame(&[], &first.around(&plain)), Some(Event::Fragment))?;
        let udp = first.around_proto(&plain, IpNumber::UDP);
        programs.lets_go(&frame(&[], &udp), None)?;
    }
    for offset in [[0, 1], [0, 8], [0, 9]] {
        let more = vec![0, 0, offset[0], offset[1], 1, 2, 3, 4];
        let outer = Outer { more, extension: Some(FRAGMENT), ..Outer::new(true) };
        programs.lets_go(&frame(&[], &outer.around(&plain)), Some(Event::Fragment))?;
        programs.lets_go(&frame(&[], &outer.around_proto(&plain, IpNumber::UDP)), None)?;
    }
    // A fragment header that does not fragment (RFC 6946).
    let whole = Outer { more: vec![0; 8], extension: Some(FRAGMENT), ..Outer::new(true) };
    programs.becomes(&frame(&[], &whole.around(&plain)), &frame(&[], &plain), Event::Unwrapped)
}

fn an_inner_packet_that_contradicts_itself_is_dropped() -> Result<()> {
    let programs = Programs::load(&OWN, &[], 0)?;
    for outer in BOTH.map(Outer::new) {
        let drops = |packet: &[u8], proto, what: &str| {
            programs
                .drops(&frame(&[], &outer.around_proto(packet, proto)), Event::BadInner)
                .context(what.to_owned())
        };
        let (four, six) = (inner(false, 0, 100), inner(true, 0, 100));
        drops(&four, IpNumber::IPV6, "v4 where v6 is said")?;
        drops(&six, IpNumber::IPV4, "v6 where v4 is said")?;
        let bent = |packet: &[u8], at: usize, byte: u8| {
            let mut packet = packet.to_vec();
            packet[at] = byte;
            packet
        };
        drops(&bent(&four, 0, 0x44), IpNumber::IPV4, "a header of 16 bytes")?;
        drops(&bent(&four, 0, 0x54), IpNumber::IPV4, "version 5")?;
        drops(&bent(&four, 3, four[3] + 1), IpNumber::IPV4, "one byte more than there is")?;
        drops(&bent(&bent(&four, 2, 0), 3, 19), IpNumber::IPV4, "shorter than its header")?;
        drops(&bent(&six, 5, six[5] + 1), IpNumber::IPV6, "one byte more than there is")?;
        drops(&bent(&six, 0, 0x45), IpNumber::IPV6, "version 4")?;
        drops(&four[..19], IpNumber::IPV4, "half a v4 header")?;
        drops(&six[..39], IpNumber::IPV6, "half a v6 header")?;
        drops(&[], IpNumber::IPV4, "nothing")?;
    }
    Ok(())
}

fn an_outer_header_that_contradicts_itself_is_left_to_the_stack() -> Result<()> {
    let programs = Programs::load(&OWN, &[], 0)?;
    let plain = inner(false, 0, 100);
    let four = frame(&[], &Outer::new(false).around(&plain));
    for (at, byte) in [(14, 0x44), (14, 0x65), (16, 0xff), (17, 10)] {
        let mut bent = four.clone();
        bent[at] = byte;
        if at == 17 {
            bent[16] = 0;
        }
        programs.lets_go(&bent, None)?;
    }
    let mut six = frame(&[], &Outer::new(true).around(&plain));
    six[18] = 0xff;
    programs.lets_go(&six, None)
}

fn a_frame_that_is_cut_off_never_comes_out() -> Result<()> {
    let programs = Programs::load(&OWN, &[], 0)?;
    for (outer, is_v6) in BOTH.into_iter().flat_map(|outer| BOTH.map(|inner| (outer, inner))) {
        let whole = frame(&[VLAN], &Outer::new(outer).around(&inner(is_v6, 0, 30)));
        // The kernel runs no program on less than an Ethernet header.
        for length in 14..whole.len() {
            programs.lets_go(&whole[..length], None).with_context(|| format!("{length} bytes"))?;
        }
    }
    Ok(())
}

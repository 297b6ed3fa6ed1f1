//! Headers that are unusual, cut off or contradict themselves.

use crate::{
    fixture::{Fixture, Outcome, PORT, VIP4, VIP6},
    frames::{
        IP, Seg, TRANSPORT4, TRANSPORT6, cut, elsewhere, extended, is_v4, tcp, udp, with_byte, with_options,
        with16,
    },
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::reason::Reason;
use std::net::{Ipv4Addr, Ipv6Addr};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);
/// Where the flags of a TCP header are.
const FLAGS: usize = 13;

fn tcp4() -> Vec<u8> {
    tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: 20, ..Seg::ack(1001) })
}

fn tcp6() -> Vec<u8> {
    tcp(CLIENT6, 4000, VIP6, PORT, Seg { payload: 20, ..Seg::ack(1001) })
}

/// Both TCP frames, and where their TCP header is.
fn tcp_frames() -> [(Vec<u8>, usize); 2] {
    [(tcp4(), TRANSPORT4), (tcp6(), TRANSPORT6)]
}

/// Both UDP frames, and where their UDP header is.
fn udp_frames() -> [(Vec<u8>, usize); 2] {
    [(udp(CLIENT, 4000, VIP4, PORT), TRANSPORT4), (udp(CLIENT6, 4000, VIP6, PORT), TRANSPORT6)]
}

/// The frame must be dropped for this reason, and pass if it is for no service address.
fn refused(fixture: &mut Fixture, frame: &[u8], reason: Reason) -> Result<()> {
    fixture.expect(frame, Outcome::Drop(reason))?;
    fixture.expect(&elsewhere(frame), Outcome::Pass)
}

fn forwarded(fixture: &mut Fixture, frame: &[u8]) -> Result<()> {
    let outcome = fixture.run(frame)?;
    ensure!(matches!(outcome, Outcome::To(..)), "{outcome:?} for {frame:02x?}");
    fixture.expect(&elsewhere(frame), Outcome::Pass)
}

pub(crate) fn ipv4_options_of_every_length_are_skipped() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for words in 0..=10 {
        // The handshake's second half without options: both halves must have been read alike.
        let port = 4000 + words as u16;
        let syn = tcp(CLIENT, port, VIP4, PORT, Seg::syn(1000));
        forwarded(&mut fixture, &with_options(&syn, words))?;
        fixture.forwarded(&tcp(CLIENT, port, VIP4, PORT, Seg::ack(1001)), Reason::Promoted)?;
    }
    Ok(())
}

pub(crate) fn an_ip_header_that_contradicts_itself_is_refused() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for words in 0..5 {
        refused(&mut fixture, &with_byte(&tcp4(), IP, 0x40 | words), Reason::BadIpHeader)?;
    }
    refused(&mut fixture, &with_byte(&tcp4(), IP, 0x65), Reason::BadIpHeader)?;
    refused(&mut fixture, &with_byte(&tcp6(), IP, 0x40), Reason::BadIpHeader)
}

pub(crate) fn an_ip_length_that_cannot_be_is_refused() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let (v4, v6) = (tcp4(), tcp6());
    for beyond in [1, 2, 1000, 0xff00] {
        refused(&mut fixture, &with16(&v4, IP + 2, v4.len() - IP + beyond), Reason::BadIpLength)?;
        refused(&mut fixture, &with16(&v6, IP + 4, v6.len() - TRANSPORT6 + beyond), Reason::BadIpLength)?;
    }
    for total in [0, 1, 19] {
        refused(&mut fixture, &with16(&v4, IP + 2, total), Reason::BadIpLength)?;
    }
    refused(&mut fixture, &with16(&with_options(&v4, 1), IP + 2, 23), Reason::BadIpLength)
}

pub(crate) fn a_tcp_header_that_contradicts_itself_is_refused() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for (frame, at) in tcp_frames() {
        for words in (0..5).chain(11..=15) {
            refused(&mut fixture, &with_byte(&frame, at + 12, words << 4), Reason::BadTcpHeader)?;
        }
        for words in 5..=10 {
            forwarded(&mut fixture, &with_byte(&frame, at + 12, words << 4 | 1))?;
        }
        for length in at..at + 20 {
            refused(&mut fixture, &cut(&frame, length), Reason::BadTcpHeader)?;
        }
        forwarded(&mut fixture, &cut(&frame, at + 20))?;
    }
    Ok(())
}

pub(crate) fn tcp_flags_that_no_connection_sends_are_refused() -> Result<()> {
    let (fin, syn, rst) = (1, 2, 4);
    let mut fixture = Fixture::new()?;
    for (frame, at) in tcp_frames() {
        for flags in 0..64 {
            let bent = with_byte(&frame, at + FLAGS, flags);
            if flags & syn != 0 && flags & (fin | rst) != 0 {
                refused(&mut fixture, &bent, Reason::BadTcpFlags)?;
            } else {
                forwarded(&mut fixture, &bent)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn a_udp_header_that_contradicts_itself_is_refused() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for (frame, at) in udp_frames() {
        let whole = frame.len() - at;
        for length in (0..8).chain([whole + 1, 0xffff]) {
            refused(&mut fixture, &with16(&frame, at + 4, length), Reason::BadUdpHeader)?;
        }
        for length in at..at + 8 {
            refused(&mut fixture, &cut(&frame, length), Reason::BadUdpHeader)?;
        }
        for length in 8..=whole {
            forwarded(&mut fixture, &with16(&frame, at + 4, length))?;
        }
    }
    Ok(())
}

/// Whatever a frame is cut to, it passes while nobody can say whose it is, and is dropped from there on.
pub(crate) fn a_frame_that_is_cut_off_is_never_forwarded() -> Result<()> {
    let mut fixture = Fixture::new()?;
    for (frame, transport) in tcp_frames().into_iter().chain(udp_frames()) {
        // The kernel refuses to test a frame without an Ethernet header.
        for length in 14..frame.len() {
            let told = if length < transport { Outcome::Pass } else { Outcome::Drop(Reason::BadIpLength) };
            fixture.expect(&frame[..length], told).with_context(|| format!("cut to {length} bytes"))?;
            if length >= transport {
                fixture.expect(&elsewhere(&frame[..length]), Outcome::Pass)?;
            }
        }
        forwarded(&mut fixture, &frame)?;
    }
    Ok(())
}

pub(crate) fn what_pads_a_frame_is_no_part_of_the_packet() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    // Had the padding been data, the last ACK would lie beyond the end that the bare FIN announced, and revive the flow.
    for (seg, padded, live) in
        [(Seg::ack(1001), true, 1), (Seg::fin(1001), false, 0), (Seg::ack(1002), true, 0)]
    {
        let mut frame = tcp(CLIENT, 4000, VIP4, PORT, seg);
        frame.resize(if padded { 60 } else { frame.len() }, 0);
        fixture.expect(&frame, Outcome::To(backend, Reason::Flow))?;
        ensure!(fixture.live(backend)? == live, "after {seg:?}");
    }
    Ok(())
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// An extension header of this many eight-byte words.
fn extension(number: u8, words: u8) -> (u8, Vec<u8>) {
    let length = match number {
        AUTHENTICATION => words * 2 - 2,
        FRAGMENT => 0,
        _ => words - 1,
    };
    let mut header = vec![0; usize::from(words) * 8];
    header[1] = length;
    (number, header)
}

/// A fragment header: the offset in eight-byte units, and whether more follow.
fn fragment(offset: u16, more: bool) -> (u8, Vec<u8>) {
    let [a, b] = (offset << 3 | u16::from(more)).to_be_bytes();
    (FRAGMENT, vec![0, 0, a, b, 0, 0, 0, 9])
}

pub(crate) fn ipv6_extension_headers_are_skipped() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let chains = [
        vec![extension(HOP_BY_HOP, 1)],
        vec![extension(ROUTING, 3)],
        vec![extension(DESTINATION_OPTIONS, 32)],
        vec![extension(AUTHENTICATION, 3)],
        vec![fragment(0, false)],
        vec![extension(HOP_BY_HOP, 2), extension(ROUTING, 1), extension(DESTINATION_OPTIONS, 4)],
        vec![
            extension(HOP_BY_HOP, 1),
            extension(DESTINATION_OPTIONS, 1),
            extension(ROUTING, 3),
            fragment(0, false),
            extension(AUTHENTICATION, 3),
            extension(DESTINATION_OPTIONS, 2),
        ],
    ];
    for (port, chain) in (4000..).zip(chains) {
        // The handshake's second half without extensions: both halves must have been read alike.
        let syn = extended(&tcp(CLIENT6, port, VIP6, PORT, Seg::syn(1000)), &chain);
        forwarded(&mut fixture, &syn)?;
        fixture.forwarded(&tcp(CLIENT6, port, VIP6, PORT, Seg::ack(1001)), Reason::Promoted)?;
    }
    Ok(())
}

pub(crate) fn an_extension_chain_that_is_too_long_or_cut_is_refused() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let chain = vec![extension(DESTINATION_OPTIONS, 1); 7];
    forwarded(&mut fixture, &extended(&tcp6(), &chain[..6]))?;
    refused(&mut fixture, &extended(&tcp6(), &chain), Reason::BadExtension)?;
    let long = extended(&tcp6(), &[extension(DESTINATION_OPTIONS, 1)]);
    refused(&mut fixture, &with_byte(&long, TRANSPORT6 + 1, 200), Reason::BadExtension)?;
    for length in TRANSPORT6..TRANSPORT6 + 8 {
        refused(&mut fixture, &cut(&long, length), Reason::BadExtension)?;
    }
    Ok(())
}

pub(crate) fn fragments_are_refused_the_first_one_too() -> Result<()> {
    let (more, offset) = (0x2000, 185);
    let mut fixture = Fixture::new()?;
    for frame in tcp_frames().into_iter().chain(udp_frames()).map(|(frame, _)| frame) {
        for (offset, follow) in [(0, true), (offset, true), (offset, false)] {
            let bent = if is_v4(&frame) {
                with16(&frame, IP + 6, offset | if follow { more } else { 0 })
            } else {
                extended(&frame, &[fragment(offset as u16, follow)])
            };
            refused(&mut fixture, &bent, Reason::Fragment)?;
        }
    }
    // "Don't fragment" is no fragment.
    forwarded(&mut fixture, &with16(&tcp4(), IP + 6, 0x4000))
}

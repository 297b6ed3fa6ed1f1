//! Nothing is read that does not lie within what was checked; whatever the bytes are, a packet has one fate.

use super::{
    cases,
    frames::{mutated, valid},
};
use crate::world::{Addresses as _, Cpu, INGRESS, OWN, PORT, Shape, World};
use balancer_common::{
    packet::{Packet, SlicePacket, View},
    parse::{
        ipv4, ipv6,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    },
    reason::Reason,
    table::line::HostLine,
    walk::{
        self,
        decision::Verdict,
        family::{V4, V6},
    },
};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;

/// A frame that insists on what is promised: a view lies within the frame, a read within its view.
struct Guarded {
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
struct GuardedView<'a>(&'a [u8]);

impl GuardedView<'_> {
    fn read<const N: usize>(self, at: usize) -> [u8; N] {
        let length = self.0.len();
        let bytes = self.0.get(at..at + N);
        let Some(bytes) = bytes else { panic!("{N} bytes at {at} of a view of {length}") };
        std::array::from_fn(|i| bytes[i])
    }
}

impl View for GuardedView<'_> {
    fn u8(self, at: usize) -> u8 {
        self.read::<1>(at)[0]
    }

    fn be16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.read(at))
    }

    fn u32(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.read(at))
    }

    fn u64(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.read(at))
    }
}

impl Packet for Guarded {
    type View<'a> = GuardedView<'a>;

    fn length(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn ingress(&self) -> u32 {
        INGRESS
    }

    fn view<const N: usize>(&self, at: u32) -> Option<GuardedView<'_>> {
        self.bytes.get(at as usize..at as usize + N).map(GuardedView)
    }

    fn store_macs(&mut self, destination: u64, source: u64) -> bool {
        if self.bytes.len() < 12 {
            return false;
        }
        self.bytes[..6].copy_from_slice(&destination.to_le_bytes()[..6]);
        self.bytes[6..12].copy_from_slice(&source.to_le_bytes()[..6]);
        true
    }
}

/// Sends the frame through the whole walk: one fate, one reason, and an untouched frame where it passes.
fn one_fate(frame: &[u8]) -> Result<Verdict, TestCaseError> {
    let world = Arc::new(World::<HostLine>::new(Shape::TINY));
    let cpu = Cpu::new(&world);
    let mut packet = Guarded { bytes: frame.to_vec() };
    let verdict = walk::walk(&cpu, &mut packet);
    let counted: u64 = Reason::ALL.iter().map(|reason| cpu.counts().reason(*reason)).sum();
    prop_assert_eq!(counted, u64::from(verdict != Verdict::Pass), "reasons counted for {:?}", verdict);
    if !matches!(verdict, Verdict::Tx | Verdict::Redirect(_)) {
        prop_assert!(packet.bytes == frame, "{:?}, and the frame was changed", verdict);
    } else {
        prop_assert!(packet.bytes[12..] == frame[12..], "more than the MAC addresses changed");
    }
    Ok(verdict)
}

/// Turns a frame towards the service, so that it is not passed for its address.
fn aimed(mut frame: Vec<u8>) -> Vec<u8> {
    let mut parts = vec![];
    {
        let packet = SlicePacket::new(&mut frame, INGRESS);
        let Some(link) = link::parse(&packet) else { return frame };
        let at = link.next as usize;
        let payload = match link.ethertype {
            ETHERTYPE_IPV4 => {
                parts.push((at + 16, V4::VIP.to_ne_bytes().to_vec()));
                ipv4::parse(&packet, link.next).and_then(|ip| ip.payload.ok())
            }
            ETHERTYPE_IPV6 => {
                parts.push((at + 24, V6::VIP.map(u64::to_ne_bytes).concat()));
                ipv6::parse(&packet, link.next).and_then(|ip| ip.payload.ok())
            }
            _ => None,
        };
        parts.extend(payload.map(|payload| (payload.at as usize + 2, PORT.to_be_bytes().to_vec())));
    }
    for (at, bytes) in parts {
        if let Some(place) = frame.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
    }
    frame
}

/// Where the packet in a valid frame ends; behind it is what pads the frame.
fn end(frame: &mut [u8]) -> usize {
    let link = link::parse(&SlicePacket::new(frame, INGRESS)).expect("a valid frame");
    let at = link.next as usize;
    let be16 = |at: usize| usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    if link.ethertype == ETHERTYPE_IPV4 { at + be16(at + 2) } else { at + 40 + be16(at + 4) }
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
        one_fate(&frame)?;
        one_fate(&aimed(frame))?;
    }

    #[test]
    fn damaged_packets_have_one_fate_and_nothing_is_read_beyond_a_view(frame in mutated()) {
        one_fate(&frame)?;
        one_fate(&aimed(frame))?;
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn a_packet_that_is_cut_anywhere_is_never_forwarded(frame in valid()) {
        let mut frame = aimed(frame);
        let end = end(&mut frame);
        for length in 0..end {
            prop_assert_ne!(one_fate(&frame[..length])?, Verdict::Tx, "cut after {} of {} bytes", length, end);
        }
        for length in end..=frame.len() {
            prop_assert_eq!(one_fate(&frame[..length])?, Verdict::Tx, "whole, and {} bytes of padding", length - end);
        }
    }
}

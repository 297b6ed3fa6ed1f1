//! Frames that nobody's kernel sent: whole and with right checksums, from sources that no route leads to.

use std::net::Ipv6Addr;

use anyhow::{Result, ensure};
use balancer_common::checksum::ChecksumUpdate;
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use lab::topology::{VIP_V4, VIP_V6};

use crate::Test;

pub(crate) const TESTS: &[Test] =
    &[("forged_frames_are_whole_and_their_checksums_right", templates_are_true)];

/// Where in a frame the bytes stand that tell one source from another: in v4 the address, in v6 the second 32 bits of
/// it, so that each is a client of its own.
const SOURCE: usize = 26;
/// The first forged v4 source; the lowest 22 bits vary.
const SOURCES_V4: u32 = u32::from_be_bytes([100, 64, 0, 0]);
/// The first forged v6 source.
const SOURCES_V6: u128 = 0xfd99 << 112 | 1;
/// Bits of a v4 source that vary.
const BITS: u32 = 22;

/// What kind of packet is forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A SYN.
    Syn,
    /// The ACK that answers the server's SYN-ACK: with direct server return nothing but its sequence number tells.
    Ack,
    /// The end of the connection.
    Fin,
    /// A segment with data in the middle of a connection.
    Data,
    /// A datagram.
    Datagram,
}

/// Hardware addresses of sender and receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// The client host's.
    pub(crate) from: [u8; 6],
    /// The balancer's.
    pub(crate) to: [u8; 6],
}

/// A frame, and where its checksums stand.
#[derive(Debug)]
pub(crate) struct Template {
    frame: Vec<u8>,
    v4: bool,
    sport: usize,
    checksum: usize,
}

impl Template {
    /// A frame to this port of the service's v4 or v6 address.
    pub(crate) fn new(link: Link, v4: bool, port: u16, kind: Kind) -> Self {
        let sport = if v4 { 34 } else { 54 };
        let checksum = sport + if kind == Kind::Datagram { 6 } else { 16 };
        Self { frame: built(link, v4, kind, 0, (port_of(0), port)), v4, sport, checksum }
    }

    /// The frame itself.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Makes a copy of the frame the one from source `number`.
    pub(crate) fn address(&self, frame: &mut [u8], number: u32) {
        let source = if self.v4 { source_v4(number) } else { number };
        let (old, new) = (word(frame, SOURCE), u32::from_ne_bytes(source.to_be_bytes()));
        let (old_port, new_port) =
            (half(frame, self.sport), u16::from_ne_bytes(port_of(number).to_be_bytes()));
        let sum = ChecksumUpdate::new(half(frame, self.checksum)).remove_u32(old).add_u32(new);
        let sum = sum.remove_u16(old_port).add_u16(new_port).finish();
        if self.v4 {
            let header = ChecksumUpdate::new(half(frame, 24)).remove_u32(old).add_u32(new).finish();
            frame[24..26].copy_from_slice(&header.to_ne_bytes());
        }
        frame[self.checksum..self.checksum + 2].copy_from_slice(&sum.to_ne_bytes());
        frame[SOURCE..SOURCE + 4].copy_from_slice(&new.to_ne_bytes());
        frame[self.sport..self.sport + 2].copy_from_slice(&new_port.to_ne_bytes());
    }
}

/// Initial sequence number of every forged connection.
const INITIAL: u32 = 1_000_000;

/// A frame from source `number` and this port, built from nothing.
fn built(link: Link, v4: bool, kind: Kind, number: u32, ports: (u16, u16)) -> Vec<u8> {
    let step = PacketBuilder::ethernet2(link.from, link.to);
    if v4 {
        return filled(step.ipv4(source_v4(number).to_be_bytes(), VIP_V4.octets(), 64), kind, ports);
    }
    let source = Ipv6Addr::from(SOURCES_V6 | u128::from(number) << 64);
    filled(step.ipv6(source.octets(), VIP_V6.octets(), 64), kind, ports)
}

fn filled(ip: PacketBuilderStep<IpHeaders>, kind: Kind, (sport, dport): (u16, u16)) -> Vec<u8> {
    let payload: &[u8] = if matches!(kind, Kind::Data | Kind::Datagram) { b"forged" } else { b"" };
    let tcp = |ip: PacketBuilderStep<IpHeaders>, seq| ip.tcp(sport, dport, seq, 64_000);
    let mut frame = Vec::new();
    let written = match kind {
        Kind::Datagram => ip.udp(sport, dport).write(&mut frame, payload),
        Kind::Syn => tcp(ip, INITIAL).syn().write(&mut frame, payload),
        Kind::Ack | Kind::Data => tcp(ip, INITIAL + 1).ack(7).write(&mut frame, payload),
        Kind::Fin => tcp(ip, INITIAL + 1).ack(7).fin().write(&mut frame, payload),
    };
    written.expect("a Vec takes every frame");
    frame
}

const fn source_v4(number: u32) -> u32 {
    SOURCES_V4 | number & ((1 << BITS) - 1)
}

/// Another port each: what differs in one field alone might spread by accident.
const fn port_of(number: u32) -> u16 {
    1024 + (number.wrapping_mul(0x9e37_79b9) >> 16) as u16 % 64_000
}

fn word(frame: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|i| frame[at + i]))
}

fn half(frame: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([frame[at], frame[at + 1]])
}

/// A frame made from a template is the one that is built from nothing: its checksums, too.
fn templates_are_true() -> Result<()> {
    let link = Link { from: [2, 0, 0, 0, 0, 1], to: [2, 0, 0, 0, 0, 2] };
    for (v4, kind) in [(true, Kind::Syn), (true, Kind::Datagram), (false, Kind::Fin), (false, Kind::Datagram)]
    {
        let template = Template::new(link, v4, 7000, kind);
        for number in [1, 255, 65_535, 65_536, 1_234_567, (1 << BITS) - 1] {
            let mut frame = template.frame().to_vec();
            template.address(&mut frame, number);
            let wanted = built(link, v4, kind, number, (port_of(number), 7000));
            ensure!(frame == wanted, "{kind:?} {number}: {frame:02x?}, not {wanted:02x?}");
        }
    }
    Ok(())
}

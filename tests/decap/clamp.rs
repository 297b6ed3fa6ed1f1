//! The MSS of SYNs that leave.

use anyhow::{Result, ensure};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TcpOptionElement, TransportSlice};

use crate::{Test, programs::Programs};

pub(crate) const TESTS: &[Test] = &[
    ("the_mss_of_a_syn_that_leaves_is_clamped", the_mss_of_a_syn_that_leaves_is_clamped),
    ("other_segments_leave_as_they_are", other_segments_leave_as_they_are),
];

const LIMIT: u16 = 1400;

/// A segment with these options.
fn segment(v6: bool, flags: &str, options: &[TcpOptionElement]) -> Result<Vec<u8>> {
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let ip = match v6 {
        false => link.ipv4([203, 0, 113, 10], [198, 51, 100, 7], 64),
        true => link.ipv6([0x20; 16], [0x30; 16], 64),
    };
    let mut tcp = ip.tcp(443, 40_000, 7, 64_000);
    for flag in flags.chars() {
        tcp = match flag {
            'S' => tcp.syn(),
            'A' => tcp.ack(9),
            'F' => tcp.fin(),
            _ => tcp.rst(),
        };
    }
    let mut frame = Vec::new();
    tcp.options(options)?.write(&mut frame, &[])?;
    Ok(frame)
}

/// The MSS of a segment whose checksum holds.
fn mss_of(frame: &[u8]) -> Result<Option<u16>> {
    let packet = SlicedPacket::from_ethernet(frame)?;
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { anyhow::bail!("no TCP") };
    let sum = match packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            tcp.to_header().calc_checksum_ipv4(&ip.header().to_header(), tcp.payload())?
        }
        Some(NetSlice::Ipv6(ip)) => {
            tcp.to_header().calc_checksum_ipv6(&ip.header().to_header(), tcp.payload())?
        }
        _ => anyhow::bail!("no IP"),
    };
    ensure!(sum == tcp.checksum(), "the checksum is {:#x}, not {sum:#x}", tcp.checksum());
    let mut options = tcp.options_iterator().flatten();
    Ok(options.find_map(|option| match option {
        TcpOptionElement::MaximumSegmentSize(mss) => Some(mss),
        _ => None,
    }))
}

fn the_mss_of_a_syn_that_leaves_is_clamped() -> Result<()> {
    use TcpOptionElement::{
        MaximumSegmentSize, Noop, SelectiveAcknowledgementPermitted, Timestamp, WindowScale,
    };
    let programs = Programs::load(&[], &[], LIMIT)?;
    let befores: [&[TcpOptionElement]; 4] = [
        &[],
        &[Noop],
        &[WindowScale(7), SelectiveAcknowledgementPermitted],
        &[SelectiveAcknowledgementPermitted, Timestamp(1, 2), Noop, WindowScale(9)],
    ];
    for (v6, flags) in [false, true].into_iter().flat_map(|v6| ["S", "SA"].map(|flags| (v6, flags))) {
        for before in befores {
            for (mss, expected) in [(1460, LIMIT), (1401, LIMIT), (65_535, LIMIT), (1400, 1400), (536, 536)] {
                let options = [before, &[MaximumSegmentSize(mss), Noop, Noop, Noop]].concat();
                let frame = segment(v6, flags, &options)?;
                let out = programs.clamp(&frame)?;
                ensure!(mss_of(&out)? == Some(expected), "{options:?} came to {:?}", mss_of(&out)?);
                let changed = frame.iter().zip(&out).filter(|(a, b)| a != b).count();
                ensure!(out.len() == frame.len() && changed <= 4, "{changed} bytes changed");
            }
        }
    }
    Ok(())
}

fn other_segments_leave_as_they_are() -> Result<()> {
    use TcpOptionElement::{MaximumSegmentSize, WindowScale};
    let programs = Programs::load(&[], &[], LIMIT)?;
    let off = Programs::load(&[], &[], 0)?;
    for v6 in [false, true] {
        let high = [MaximumSegmentSize(1460)];
        for flags in ["A", "FA", "R"] {
            let frame = segment(v6, flags, &high)?;
            ensure!(programs.clamp(&frame)? == frame, "{flags}");
        }
        let without = segment(v6, "S", &[WindowScale(7)])?;
        ensure!(programs.clamp(&without)? == without, "no such option");
        let syn = segment(v6, "SA", &high)?;
        ensure!(off.clamp(&syn)? == syn, "no limit is set");
        let mut udp = syn.clone();
        udp[14 + if v6 { 6 } else { 9 }] = 17;
        ensure!(programs.clamp(&udp)? == udp, "UDP");
    }
    Ok(())
}

//! Whatever the bytes are, a packet has one fate.

use super::{
    answered::{is_rst_to, is_unreachable_to},
    guarded::Guarded,
};
use crate::world::{Addresses as _, Cpu, INGRESS, OWN, PORT, Shape, World};
use balancer_common::{
    packet::SlicePacket,
    parse::{
        ipv4, ipv6,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    },
    reason::{self, Reason},
    table::line::{HostLine, Line},
    walk::{
        self,
        decision::Verdict,
        family::{V4, V6},
    },
};
use std::sync::Arc;

/// What came of a frame.
#[derive(Debug)]
pub(crate) struct Fate {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// What it was counted under, unless it passed.
    pub(crate) reason: Option<Reason>,
    /// The frame as it left.
    pub(crate) frame: Vec<u8>,
}

/// Sends a frame through the whole walk of a world without connections.
///
/// # Errors
/// As [`walked`]; if it was counted as what it did not come to, or sent on by another than the balancer.
pub(crate) fn one_fate(frame: &[u8]) -> Result<Verdict, String> {
    let world = Arc::new(World::<HostLine>::new(Shape::TINY));
    let Fate { verdict, reason, frame } = walked(&Cpu::new(&world), frame)?;
    let sent = verdict == Verdict::TX || verdict.redirects();
    if reason.is_some_and(|reason| (reason.fate() != reason::Fate::Dropped) != sent) {
        return Err(format!("{verdict:?} was counted as {reason:?}"));
    }
    if sent && frame[6..12] != OWN {
        return Err(format!("sent on with the source MAC address {:02x?}", &frame[6..12]));
    }
    Ok(verdict)
}

/// Sends a frame through the whole walk of a world whose backends are reached by their MAC addresses.
///
/// # Errors
/// As [`counted`] and [`by_macs`].
fn walked<L: Line>(cpu: &Cpu<L>, frame: &[u8]) -> Result<Fate, String> {
    let fate = counted(cpu, frame)?;
    by_macs(&fate, frame)?;
    Ok(fate)
}

/// What may come of a frame where backends are reached by their MAC addresses.
///
/// # Errors
/// If it was changed where it is not sent on, or more of it than its MAC addresses; or if it was answered by something else
/// than a RST to it.
pub(crate) fn by_macs(fate: &Fate, frame: &[u8]) -> Result<(), String> {
    match fate.reason {
        Some(Reason::NoBackendUnreachable) => return is_unreachable_to(&fate.frame, frame),
        Some(reason) if reason.fate() == reason::Fate::Answered => return is_rst_to(&fate.frame, frame),
        _ => {}
    }
    let sent = fate.verdict == Verdict::TX || fate.verdict.redirects();
    let may_change = if sent { 12 } else { 0 };
    match fate.frame.get(may_change..) == frame.get(may_change..) {
        true => Ok(()),
        false => Err(format!("{:?}, and the frame was changed", fate.verdict)),
    }
}

/// Sends a frame through the whole walk.
///
/// # Errors
/// If it was not counted under exactly one reason, or none where it passes; or if it passes and was changed.
pub(crate) fn counted<L: Line>(cpu: &Cpu<L>, frame: &[u8]) -> Result<Fate, String> {
    let counts = || Reason::ALL.iter().map(|reason| cpu.counts().reason(*reason)).collect::<Vec<_>>();
    let before = counts();
    let mut packet = Guarded { bytes: frame.to_vec() };
    let verdict = walk::walk(cpu, &mut packet);
    let counted: Vec<Reason> = (0..)
        .zip(counts().into_iter().zip(before))
        .flat_map(|(index, (now, then))| {
            std::iter::repeat_n(Reason::from_index(index), (now - then) as usize).flatten()
        })
        .collect();
    if counted.len() != usize::from(verdict != Verdict::PASS) {
        return Err(format!("{verdict:?} was counted as {counted:?}"));
    }
    if verdict == Verdict::PASS && packet.bytes != frame {
        return Err("it passes, and was changed".to_owned());
    }
    Ok(Fate { verdict, reason: counted.first().copied(), frame: packet.bytes })
}

/// Turns a frame towards the service, so that it is not passed for its address.
pub(crate) fn aimed(mut frame: Vec<u8>) -> Vec<u8> {
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

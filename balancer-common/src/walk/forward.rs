//! Sends a packet to its backend, and counts it.

use super::{
    decision::{Decision, Verdict},
    family::Family,
    steps::Steps,
    tunnel,
};
use crate::{
    env::Env,
    packet::Packet,
    parse::{link, transport::Segment},
    reason::Reason,
    state::Mode,
    table::{
        backend::{self, NextHop},
        interface::{self, Interface},
        way,
    },
};

/// Carries a decision out for a packet that is no segment.
#[inline(always)]
pub fn carry_out<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    decision: Decision,
) -> Verdict {
    let number = decision.backend();
    if number == 0 {
        env.count_index(decision.reason_index());
        return Verdict::DROP;
    }
    send::<F, E, P>(env, packet, None, ingress, decision, backend::next_hop(env, number))
}

/// Sends a packet, which holds `segment` if it holds one, to a backend whose next hop is known already.
#[inline(always)]
pub fn send<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    segment: Option<&Segment<F::Address>>,
    ingress: Interface,
    decision: Decision,
    hop: NextHop,
) -> Verdict {
    if hop.mac() == 0 {
        return dropped(env, Reason::NoNeighbour);
    }
    if !hop.is_plain_at(ingress.line) {
        let verdict = env.by_way::<F, P>(packet, segment, decision, hop, ingress.end());
        return told::<F, E, P>(env, packet, verdict);
    }
    let bytes = packet.length();
    if !packet.store_macs(hop.mac(), ingress.mac) {
        return dropped(env, Reason::TableError);
    }
    env.forwarded(decision.backend(), decision.reason_index(), bytes);
    Verdict::TX
}

/// Tells a packet's sender if it was too big.
#[inline(always)]
pub(super) fn told<F: Family, E: Steps, P: Packet>(env: &E, packet: &mut P, verdict: Verdict) -> Verdict {
    match verdict.mtu() {
        0 => verdict,
        mtu if env.notice::<F, P>(packet, mtu) => {
            env.count(Reason::TooBig);
            Verdict::TX
        }
        _ => dropped(env, Reason::TooBigDropped),
    }
}

/// Sends a packet, which holds `segment` if it holds one, to a backend that is not reached by other MAC addresses alone:
/// behind another interface, or in a tunnel. [`Verdict::too_big`] if it does not fit there.
#[inline(always)]
pub fn by_way<F: Family, E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    segment: Option<&Segment<F::Address>>,
    decision: Decision,
    hop: NextHop,
    ingress: NextHop,
) -> Verdict {
    let Some(way) = way::find(env, decision.backend(), F::IS_V4) else {
        return dropped(env, Reason::TableError);
    };
    let Some(at) = segment.map_or_else(|| behind_link(packet), |segment| Some(segment.ip.into())) else {
        return dropped(env, Reason::TableError);
    };
    // A packet that is to be translated does not come here.
    if hop.mode() != Mode::Ipip as u8 {
        return over::<F, E, P>(env, packet, decision, (ingress, hop), (at, way.facts().mtu()));
    }
    if way.hop().mac() == 0 {
        return dropped(env, Reason::NoNeighbour);
    }
    let ports = segment.map_or(0, |segment| u32::from(segment.sport) | u32::from(segment.dport) << 16);
    tunnel::wrap::<F, E, P>(env, packet, (at, ports), decision, way, ingress)
}

/// Where the IP header of a packet is.
#[inline(always)]
fn behind_link<P: Packet>(packet: &P) -> Option<u32> {
    link::parse(packet).map(|link| link.next)
}

/// Sends a packet out of another interface, where an IP packet may have so many bytes (0: not known).
#[inline(always)]
fn over<F: Family, E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    decision: Decision,
    (ingress, hop): (NextHop, NextHop),
    (at, mtu): (u32, u16),
) -> Verdict {
    let bytes = packet.length();
    if mtu != 0 && F::size(packet, at).is_none_or(|size| size > u32::from(mtu)) {
        return Verdict::too_big(u32::from(mtu));
    }
    match egress(env, ingress, hop) {
        Some((verdict, own)) if packet.store_macs(hop.mac(), own) => {
            env.forwarded(decision.backend(), decision.reason_index(), bytes);
            verdict
        }
        _ => dropped(env, Reason::TableError),
    }
}

/// How a frame leaves for a next hop, and the MAC address of the interface that it leaves by. `ingress` is the
/// [end](Interface::end) that it came in by.
#[inline(always)]
pub(super) fn egress<E: Env>(env: &E, ingress: NextHop, hop: NextHop) -> Option<(Verdict, u64)> {
    if hop.interface() == ingress.interface() {
        return Some((Verdict::TX, ingress.mac()));
    }
    match interface::at(env, hop.interface())? {
        (0, _) => None,
        (index, mac) => Some((Verdict::redirect(index), mac)),
    }
}

/// Counts a packet that was to be answered, and was or was not.
#[inline(always)]
pub fn answered<E: Env>(env: &E, decision: Decision, done: bool) -> Verdict {
    let (reason, verdict) = if done {
        (decision.reason_index(), Verdict::TX)
    } else {
        (Reason::TableError.index(), Verdict::DROP)
    };
    env.count_index(reason);
    verdict
}

/// Counts a dropped packet.
#[inline(always)]
pub fn dropped<E: Env>(env: &E, reason: Reason) -> Verdict {
    env.count(reason);
    Verdict::DROP
}

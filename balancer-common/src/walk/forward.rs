//! Sends a packet to its backend, and counts it.

use super::decision::{Decision, Verdict};
use crate::{
    env::Env,
    packet::Packet,
    reason::Reason,
    table::{
        backend::{self, NextHop},
        interface::{self, Interface},
    },
};

/// Carries a decision out.
#[inline(always)]
pub fn carry_out<E: Env, P: Packet>(
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
    send(env, packet, ingress, decision, backend::next_hop(env, number))
}

/// Sends a packet to a backend whose next hop is known already.
#[inline(always)]
pub fn send<E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    decision: Decision,
    hop: NextHop,
) -> Verdict {
    if hop.mac() == 0 {
        return dropped(env, Reason::NoNeighbour);
    }
    let (verdict, own) = if hop.interface() == ingress.line {
        (Verdict::TX, ingress.mac)
    } else {
        match interface::at(env, hop.interface()) {
            Some((index, mac)) if index != 0 => (Verdict::redirect(index), mac),
            _ => return dropped(env, Reason::TableError),
        }
    };
    let bytes = packet.length();
    if !packet.store_macs(hop.mac(), own) {
        return dropped(env, Reason::TableError);
    }
    env.forwarded(decision.backend(), decision.reason_index(), bytes);
    verdict
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

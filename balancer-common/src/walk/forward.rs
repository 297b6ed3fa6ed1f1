//! Sends a packet to its backend, and counts it.

use super::decision::{Decision, Verdict};
use crate::{
    env::Env,
    packet::Packet,
    reason::Reason,
    table::{
        backend,
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
        return dropped(env, decision.reason());
    }
    let hop = backend::next_hop(env, number);
    if hop.mac() == 0 {
        return dropped(env, Some(Reason::NoNeighbour));
    }
    let (verdict, own) = if hop.interface() == ingress.line {
        (Verdict::Tx, ingress.mac)
    } else {
        match interface::at(env, hop.interface()) {
            Some((index, mac)) if index != 0 => (Verdict::Redirect(index), mac),
            _ => return dropped(env, Some(Reason::TableError)),
        }
    };
    let bytes = packet.length();
    if !packet.store_macs(hop.mac(), own) {
        return dropped(env, Some(Reason::TableError));
    }
    env.traffic(number, bytes);
    if let Some(reason) = decision.reason() {
        env.count(reason);
    }
    verdict
}

/// Counts a dropped packet.
#[inline(always)]
pub fn dropped<E: Env>(env: &E, reason: Option<Reason>) -> Verdict {
    env.count(reason.unwrap_or(Reason::TableError));
    Verdict::Drop
}

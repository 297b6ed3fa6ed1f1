//! The packet's way: parse → service → flow → pin → choose → record → count → forward.
//!
//! [`walk`] is the whole of it. The XDP program calls it with the frame that the driver hands over; the tests
//! call it with a slice of bytes.

pub mod answer;
pub mod choose;
pub mod decision;
pub mod embryonic;
pub mod family;
pub mod forward;
pub mod icmp;
pub mod known;
pub mod notice;
pub mod place;
pub mod reset;
pub mod steps;
pub mod tunnel;

use crate::{
    packet::Packet,
    parse::{
        IpHeader, PROTO_ICMP, PROTO_ICMPV6, PROTO_UDP, Refusal, ipv4, ipv6,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
        transport::{self, Segment},
    },
    reason::Reason,
    table::{
        backend::NextHop,
        bucket,
        interface::{self, Interface},
        key::Slots,
        listener::{self, ListenerKey, Root, WideAddress},
    },
};
use decision::{Decision, Verdict};
use family::{Family, V4, V6};
use steps::Steps;

/// Decides for one frame, writes what is to be remembered, and readies the frame for its way.
#[inline(always)]
pub fn walk<E: Steps, P: Packet>(env: &E, packet: &mut P) -> Verdict {
    let Some(link) = link::parse(packet) else { return Verdict::PASS };
    let Some(ingress) = interface::find(env, packet.ingress()) else { return Verdict::PASS };
    if link.destination != ingress.mac {
        return Verdict::PASS;
    }
    match link.ethertype {
        ETHERTYPE_IPV4 => walk4(env, packet, ingress, link.next),
        ETHERTYPE_IPV6 => walk6(env, packet, ingress, link.next),
        _ => Verdict::PASS,
    }
}

#[inline(always)]
fn walk4<E: Steps, P: Packet>(env: &E, packet: &mut P, ingress: Interface, at: u32) -> Verdict {
    let Some(ip) = ipv4::parse(packet, at) else { return Verdict::PASS };
    match ip.payload {
        Ok(payload) if payload.proto == PROTO_ICMP => {
            let decision = env.icmp::<V4, P>(packet);
            carry_out::<V4, E, P>(env, packet, ingress, decision)
        }
        _ => segment::<V4, E, P>(env, packet, ingress, ip),
    }
}

#[inline(always)]
fn walk6<E: Steps, P: Packet>(env: &E, packet: &mut P, ingress: Interface, at: u32) -> Verdict {
    let Some(ip) = ipv6::parse(packet, at) else { return Verdict::PASS };
    match ip.payload {
        Ok(payload) if payload.proto == PROTO_ICMPV6 => {
            let decision = env.icmp::<V6, P>(packet);
            carry_out::<V6, E, P>(env, packet, ingress, decision)
        }
        _ => segment::<V6, E, P>(env, packet, ingress, ip),
    }
}

/// A TCP or UDP packet, or one that cannot be read.
#[inline(always)]
fn segment<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    ip: IpHeader<F::Address>,
) -> Verdict {
    let parsed = match ip.payload {
        Ok(payload) => transport::parse(packet, payload, ip.source, ip.destination),
        Err(refusal) => Err(refusal),
    };
    let segment = match parsed {
        Ok(segment) => segment,
        Err(refusal) => return refused(env, ingress.root, refusal, F::wide(ip.destination)),
    };
    match route::<F, E>(env, ingress.root, &segment) {
        Route::Settled(decision, hop) => forward::send::<F, E, P>(env, packet, ingress, decision, hop),
        Route::Decided(decision) if decision.answered() && segment.proto == PROTO_UDP => {
            match env.notice::<F, P>(packet, 0) {
                true => forward::answered(env, decision, true),
                false => forward::dropped(env, Reason::NoBackend),
            }
        }
        Route::Decided(decision) if decision.answered() => {
            let done = env.reset::<F, P>(packet, &segment);
            forward::answered(env, decision, done)
        }
        Route::Decided(decision) => carry_out::<F, E, P>(env, packet, ingress, decision),
    }
}

/// Where a segment goes.
enum Route {
    /// By the fast path: the next hop is known.
    Settled(Decision, NextHop),
    /// By any other.
    Decided(Decision),
}

#[inline(always)]
fn carry_out<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    decision: Decision,
) -> Verdict {
    match decision {
        Decision::PASS => Verdict::PASS,
        decision => forward::carry_out::<F, E, P>(env, packet, ingress, decision),
    }
}

/// A packet that cannot be read: dropped and counted if it is for a service address, otherwise the host's.
#[inline(always)]
fn refused<E: Steps>(env: &E, root: Root, refusal: Refusal, destination: WideAddress) -> Verdict {
    match refusal {
        Refusal::Drop(reason) if listener::is_service_address(env, root, destination) => {
            forward::dropped(env, reason)
        }
        Refusal::Drop(_) | Refusal::Pass => Verdict::PASS,
    }
}

/// Where a segment goes; [`Decision::PASS`] if it is for no service.
#[inline(always)]
pub fn decide<F: Family, E: Steps>(env: &E, segment: &Segment<F::Address>) -> Decision {
    match route::<F, E>(env, listener::root(env), segment) {
        Route::Settled(decision, _) | Route::Decided(decision) => decision,
    }
}

#[inline(always)]
fn route<F: Family, E: Steps>(env: &E, root: Root, segment: &Segment<F::Address>) -> Route {
    let wanted =
        ListenerKey { address: F::wide(segment.destination), port: segment.dport, proto: segment.proto };
    let Some((number, listener)) = listener::find_for_packet(env, root, &wanted) else {
        return Route::Decided(Decision::PASS);
    };
    // The number out of the index: the look-up of the flow need not wait for the listener's line.
    let key = F::numbered_key(segment, listener, number);
    let hash = F::FlowSlots::hash(&key, &env.settings().index_key);
    if let Some(place) = bucket::find::<F::Flows, E>(env, hash, &key) {
        if let Some((decision, hop)) = known::settled::<F, E>(env, segment, listener, place) {
            return Route::Settled(decision, hop);
        }
        match env.unsteady::<F>(segment, listener.0) {
            Decision::UNKNOWN => {}
            Decision::REROUTE => return Route::Decided(env.reroute::<F>(segment, listener.0)),
            Decision::FAIL => return Route::Decided(env.fail::<F>(segment, listener.0)),
            decision => return Route::Decided(decision),
        }
    }
    Route::Decided(match env.unknown::<F>(segment, listener.0) {
        Decision::PROMOTE => env.promote::<F>(segment, listener.0),
        Decision::PLACE => embryonic::place::<F, E>(env, segment, listener),
        decision => decision,
    })
}

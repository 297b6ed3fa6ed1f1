//! The packet's way: parse → service → flow → pin → choose → record → count → forward.
//!
//! [`walk`] is the whole of it. The XDP program calls it with the frame that the driver hands over; the tests
//! call it with a slice of bytes.

pub mod answer;
pub mod back;
pub mod choose;
pub mod clamp;
pub mod decision;
pub mod echo;
pub mod embryonic;
pub mod errors;
pub mod family;
pub mod forward;
pub mod icmp;
pub mod known;
pub mod notice;
pub mod place;
pub mod reset;
pub mod rewrite;
pub mod steps;
pub mod translate;
pub mod tunnel;

use crate::{
    packet::Packet,
    parse::{
        IpHeader, PROTO_ICMP, PROTO_ICMPV6, PROTO_UDP, Refusal, ipv4, ipv6,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
        transport::{self, Segment, TcpFlags},
    },
    reason::Reason,
    state::Mode,
    table::{
        backend::{self, NextHop},
        bucket,
        interface::{self, Interface},
        key::Slots,
        listener::{self, ListenerKey, Root, WideAddress},
        nat,
    },
};
use decision::{Decision, Verdict};
use errors::{About, Towards};
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
        Ok(payload) if payload.proto == PROTO_ICMP => icmp::<V4, E, P>(env, packet, ingress),
        _ => segment::<V4, E, P>(env, packet, ingress, ip, at),
    }
}

#[inline(always)]
fn walk6<E: Steps, P: Packet>(env: &E, packet: &mut P, ingress: Interface, at: u32) -> Verdict {
    let Some(ip) = ipv6::parse(packet, at) else { return Verdict::PASS };
    match ip.payload {
        Ok(payload) if payload.proto == PROTO_ICMPV6 => icmp::<V6, E, P>(env, packet, ingress),
        _ => segment::<V6, E, P>(env, packet, ingress, ip, at),
    }
}

/// An ICMP packet.
#[inline(always)]
fn icmp<F: Family, E: Steps, P: Packet>(env: &E, packet: &mut P, ingress: Interface) -> Verdict {
    let towards = match env.icmp::<F, P>(packet) {
        Decision::ECHO => return env.echo::<F, P>(packet),
        Decision::ERROR_FORTH => Towards::Backend,
        Decision::ERROR_BACK => Towards::Client,
        decision => return carry_out::<F, E, P>(env, packet, ingress, decision),
    };
    let at = env.parts::<F, P>(packet);
    match env.about::<F, P>(packet, at, towards) {
        About::NOTHING => Verdict::PASS,
        about if towards == Towards::Client => env.error_back::<F, P>(packet, at, about),
        about => env.error_forth::<F, P>(packet, at, about),
    }
}

/// A TCP or UDP packet, or one that cannot be read.
#[inline(always)]
fn segment<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    ip: IpHeader<F::Address>,
    at: u32,
) -> Verdict {
    let parsed = match ip.payload {
        Ok(payload) => transport::parse(packet, at, payload, ip.source, ip.destination),
        Err(refusal) => Err(refusal),
    };
    let segment = match parsed {
        Ok(segment) => segment,
        Err(refusal) => return refused(env, ingress.root, refusal, F::wide(ip.destination)),
    };
    match route::<F, E>(env, ingress.root, &segment) {
        Route::Settled(decision, hop, entry) if hop.mode() == Mode::Nat as u8 => {
            translated::<F, E, P>(env, packet, ingress, &segment, decision, entry)
        }
        Route::Settled(decision, hop, _) => {
            forward::send::<F, E, P>(env, packet, Some(&segment), ingress, decision, hop)
        }
        Route::Decided(Decision::PASS) if ingress.root.origins() => {
            answer::<F, E, P>(env, packet, ingress, &segment)
        }
        Route::Decided(decision) if decision.answered() => refuse::<F, E, P>(env, packet, &segment, decision),
        Route::Decided(decision) if decision.backend() == 0 => {
            carry_out::<F, E, P>(env, packet, ingress, decision)
        }
        Route::Decided(decision) => {
            if segment.flags.any(TcpFlags::SYN) {
                env.clamp::<F, P>(packet, segment.at, decision.backend());
            }
            let hop = backend::next_hop(env, decision.backend());
            if hop.mode() == Mode::Nat as u8 {
                let entry = env.entry_of::<F>(&segment, decision.backend());
                return translated::<F, E, P>(env, packet, ingress, &segment, decision, entry);
            }
            forward::send::<F, E, P>(env, packet, Some(&segment), ingress, decision, hop)
        }
    }
}

/// Sends a packet on to its backend, translated; refused if its connection has no entry.
#[inline(always)]
fn translated<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    segment: &Segment<F::Address>,
    decision: Decision,
    entry: u32,
) -> Verdict {
    if entry != nat::NONE {
        let verdict = env.forth::<F, P>(packet, segment, decision, entry, ingress.end());
        return forward::told::<F, E, P>(env, packet, verdict);
    }
    if segment.flags.any(TcpFlags::RST) {
        return forward::dropped(env, Reason::NatStray);
    }
    refuse::<F, E, P>(env, packet, segment, Decision::answer(Reason::NatExhausted))
}

/// What is for no service: a backend's answer to a client, or nothing of ours.
#[inline(always)]
fn answer<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    segment: &Segment<F::Address>,
) -> Verdict {
    match env.answer_of::<F>(segment, ingress.root) {
        back::answer::NONE => Verdict::PASS,
        back::answer::STRAY => forward::dropped(env, Reason::NatStray),
        back::answer::REFUSE => {
            let done = env.reset::<F, P>(packet, segment);
            forward::answered(env, Decision::answer(Reason::NatStrayReset), done)
        }
        entry => {
            if segment.flags.any(TcpFlags::SYN) {
                env.clamp_answer::<F, P>(packet, segment);
            }
            env.back::<F, P>(packet, segment, entry, ingress.end())
        }
    }
}

/// Answers in the place of a backend: a datagram by an ICMP message, a segment by a RST.
#[inline(always)]
fn refuse<F: Family, E: Steps, P: Packet>(
    env: &E,
    packet: &mut P,
    segment: &Segment<F::Address>,
    decision: Decision,
) -> Verdict {
    if segment.proto != PROTO_UDP {
        let done = env.reset::<F, P>(packet, segment);
        return forward::answered(env, decision, done);
    }
    match env.notice::<F, P>(packet, 0) {
        true => forward::answered(env, decision, true),
        false => forward::dropped(env, Reason::NoBackend),
    }
}

/// Where a segment goes.
enum Route {
    /// By the fast path: the next hop is known, and the entry if it is translated.
    Settled(Decision, NextHop, u32),
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
        Route::Settled(decision, ..) | Route::Decided(decision) => decision,
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
        if let Some((decision, hop, entry)) = known::settled::<F, E>(env, segment, listener, place) {
            return Route::Settled(decision, hop, entry);
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

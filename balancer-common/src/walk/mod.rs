//! The packet's way: parse → service → flow → pin → choose → record → count → forward.
//!
//! [`walk`] is the whole of it. The XDP program calls it with the frame that the driver hands over; the tests
//! call it with a slice of bytes.

pub mod choose;
pub mod decision;
pub mod embryonic;
pub mod family;
pub mod forward;
pub mod icmp;
pub mod known;
pub mod place;

use crate::{
    env::Env,
    packet::Packet,
    parse::{
        IpPayload, PROTO_ICMP, PROTO_ICMPV6, Refusal, ipv4, ipv6,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
        transport::{self, Segment},
    },
    table::{
        bucket,
        interface::{self, Interface},
        key::Slots,
        listener::{self, ListenerKey, WideAddress},
    },
};
use decision::{Decision, Verdict};
use family::{Family, V4, V6};

/// Decides for one frame, writes what is to be remembered, and readies the frame for its way.
#[inline(always)]
pub fn walk<E: Env, P: Packet>(env: &E, packet: &mut P) -> Verdict {
    let Some(link) = link::parse(packet) else { return Verdict::Pass };
    let Some(ingress) = interface::find(env, packet.ingress()) else { return Verdict::Pass };
    if link.destination != ingress.mac {
        return Verdict::Pass;
    }
    match link.ethertype {
        ETHERTYPE_IPV4 => walk4(env, packet, ingress, link.next),
        ETHERTYPE_IPV6 => walk6(env, packet, ingress, link.next),
        _ => Verdict::Pass,
    }
}

#[inline(always)]
fn walk4<E: Env, P: Packet>(env: &E, packet: &mut P, ingress: Interface, at: u32) -> Verdict {
    let (Some(source), Some(destination)) = (ipv4::source(packet, at), ipv4::destination(packet, at)) else {
        return Verdict::Pass;
    };
    let payload = match ipv4::payload(packet, at) {
        Ok(payload) if payload.proto == PROTO_ICMP => {
            let quoted = icmp::quoted4(packet, payload);
            return error::<V4, E, P>(env, packet, ingress, quoted, destination);
        }
        other => other,
    };
    segment::<V4, E, P>(env, packet, ingress, payload, (source, destination))
}

#[inline(always)]
fn walk6<E: Env, P: Packet>(env: &E, packet: &mut P, ingress: Interface, at: u32) -> Verdict {
    let (Some(source), Some(destination)) = (ipv6::source(packet, at), ipv6::destination(packet, at)) else {
        return Verdict::Pass;
    };
    let payload = match ipv6::payload(packet, at) {
        Ok(payload) if payload.proto == PROTO_ICMPV6 => {
            let quoted = icmp::quoted6(packet, payload);
            return error::<V6, E, P>(env, packet, ingress, quoted, destination);
        }
        other => other,
    };
    segment::<V6, E, P>(env, packet, ingress, payload, (source, destination))
}

/// A TCP or UDP packet, or one that cannot be read.
#[inline(always)]
fn segment<F: Family, E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    payload: Result<IpPayload, Refusal>,
    (source, destination): (F::Address, F::Address),
) -> Verdict {
    let parsed = match payload {
        Ok(payload) => transport::parse(packet, payload, source, destination),
        Err(refusal) => Err(refusal),
    };
    let segment = match parsed {
        Ok(segment) => segment,
        Err(refusal) => return refused(env, refusal, F::wide(destination)),
    };
    match decide::<F, E>(env, &segment) {
        Some(decision) => forward::carry_out(env, packet, ingress, decision),
        None => Verdict::Pass,
    }
}

/// An ICMP packet: an error about a flow of ours, or the host's.
#[inline(always)]
fn error<F: Family, E: Env, P: Packet>(
    env: &E,
    packet: &mut P,
    ingress: Interface,
    quoted: Option<Segment<F::Address>>,
    destination: F::Address,
) -> Verdict {
    let Some(segment) = quoted else { return Verdict::Pass };
    match icmp::decide::<F, E>(env, &segment, &destination) {
        Some(decision) => forward::carry_out(env, packet, ingress, decision),
        None => Verdict::Pass,
    }
}

/// A packet that cannot be read: dropped and counted if it is for a service address, otherwise the host's.
#[inline(always)]
fn refused<E: Env>(env: &E, refusal: Refusal, destination: WideAddress) -> Verdict {
    match refusal {
        Refusal::Drop(reason) if listener::is_service_address(env, destination) => {
            forward::dropped(env, Some(reason))
        }
        Refusal::Drop(_) | Refusal::Pass => Verdict::Pass,
    }
}

/// Where a segment goes; `None` if it is for no service.
#[inline(always)]
pub fn decide<F: Family, E: Env>(env: &E, segment: &Segment<F::Address>) -> Option<Decision> {
    let wanted =
        ListenerKey { address: F::wide(segment.destination), port: segment.dport, proto: segment.proto };
    let listener = listener::find_for_packet(env, &wanted)?;
    let key = F::segment_key(segment, listener);
    let hash = F::FlowSlots::hash(&key, &env.settings().index_key);
    Some(match bucket::find::<F::Flows, E>(env, hash, &key) {
        Some(place) => known::decide::<F, E>(env, segment, listener, &key, place),
        None => embryonic::decide::<F, E>(env, segment, &listener, &key),
    })
}

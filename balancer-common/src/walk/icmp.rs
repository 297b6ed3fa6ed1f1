//! ICMP errors to a service address: to the backend of the flow that the quoted packet belongs to.
//!
//! The quoted packet was sent by the service, so it is reversed: its destination is the client, its source the
//! listener. Nothing is written.

use super::{decision::Decision, family::Family, place};
use crate::{
    env::Env,
    packet::Packet,
    parse::{IpPayload, PROTO_TCP, icmp, ipv4, ipv6, transport::Segment, transport::TcpFlags},
    reason::Reason,
    table::{
        backend, bucket,
        key::Slots,
        listener::{self, ListenerKey},
    },
};

/// Reads a quoted IPv4 packet as a segment of its client.
#[inline(always)]
pub fn quoted4<P: Packet>(packet: &P, payload: IpPayload) -> Option<Segment<u32>> {
    let at = icmp::quoted(packet, payload)?;
    let inner = ipv4::header(packet, at).ok()?;
    reversed(packet, inner, ipv4::destination(packet, at)?, ipv4::source(packet, at)?)
}

/// Reads a quoted IPv6 packet as a segment of its client.
#[inline(always)]
pub fn quoted6<P: Packet>(packet: &P, payload: IpPayload) -> Option<Segment<[u64; 2]>> {
    let at = icmp::quoted(packet, payload)?;
    let inner = ipv6::header(packet, at).ok()?;
    reversed(packet, inner, ipv6::destination(packet, at)?, ipv6::source(packet, at)?)
}

#[inline(always)]
fn reversed<A, P: Packet>(packet: &P, inner: IpPayload, client: A, service: A) -> Option<Segment<A>> {
    let (service_port, client_port) = icmp::quoted_ports(packet, inner)?;
    Some(Segment {
        source: client,
        destination: service,
        sport: client_port,
        dport: service_port,
        proto: inner.proto,
        flags: TcpFlags(if inner.proto == PROTO_TCP { TcpFlags::ACK } else { 0 }),
        seq: 0,
        ack: 0,
        span: 0,
    })
}

/// Where the error goes; `None` if it is about nothing of ours, or not sent to the address that it quotes.
#[inline(never)]
pub fn decide<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    outer_destination: &F::Address,
) -> Option<Decision> {
    if *outer_destination != segment.destination {
        return None;
    }
    let key =
        ListenerKey { address: F::wide(segment.destination), port: segment.dport, proto: segment.proto };
    let listener = listener::find_for_packet(env, &key)?;
    let flow = F::segment_key(segment, listener);
    let hash = F::FlowSlots::hash(&flow, &env.settings().index_key);
    let known = match bucket::find::<F::Flows, E>(env, hash, &flow) {
        Some(place) => Some(place.word.backend()),
        None => bucket::find::<F::Embryonic, E>(env, hash, &flow).map(|place| place.word.backend()),
    };
    if let Some(number) = known
        && backend::serving(env, number).flows()
    {
        return Some(Decision::forward(number, Reason::IcmpError));
    }
    let decision = place::unknown_connection::<F, E>(env, segment, &listener);
    Some(match decision.backend() {
        0 => decision,
        number => Decision::forward(number, Reason::IcmpError),
    })
}

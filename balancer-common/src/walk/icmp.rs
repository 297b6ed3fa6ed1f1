//! ICMP errors to a service address: to the backend of the flow that the quoted packet belongs to.
//!
//! The quoted packet was sent by the service, so it is reversed: its destination is the client, its source the
//! listener. Nothing is written.

use super::{decision::Decision, echo, family::Family, steps::Steps};
use crate::{
    packet::Packet,
    parse::{IpHeader, IpPayload, PROTO_TCP, icmp, link, transport::Segment, transport::TcpFlags},
    reason::Reason,
    table::{
        backend, bucket,
        key::Slots,
        listener::{self, ListenerKey},
        origin,
    },
};

#[inline(always)]
fn reversed<A: Copy, P: Packet>(packet: &P, icmp: IpPayload, quoted: &IpHeader<A>) -> Option<Segment<A>> {
    let inner = quoted.payload.ok()?;
    let (service_port, client_port) = icmp::quoted_ports(packet, icmp, inner)?;
    Some(Segment {
        source: quoted.destination,
        destination: quoted.source,
        sport: client_port,
        dport: service_port,
        proto: inner.proto,
        flags: TcpFlags(if inner.proto == PROTO_TCP { TcpFlags::ACK } else { 0 }),
        ip: 0,
        seq: 0,
        ack: 0,
        span: 0,
        at: inner.at,
    })
}

/// Where a frame with an ICMP packet goes; [`Decision::PASS`] if it is no error, about nothing of ours, or not sent to the address
/// whose packet it quotes.
#[inline(always)]
pub fn decide<F: Family, E: Steps, P: Packet>(env: &E, packet: &P) -> Decision {
    let ip = link::parse(packet).and_then(|link| F::parse(packet, link.next));
    let Some(IpHeader { source: _, destination, payload: Ok(icmp) }) = ip else { return Decision::PASS };
    if icmp::asks_for_echo(packet, icmp) {
        return echo::decide::<F, E>(env, destination);
    }
    let quoted = icmp::quoted(packet, icmp).and_then(|at| F::parse_quoted(packet, at));
    match quoted.and_then(|quoted| reversed(packet, icmp, &quoted)) {
        Some(segment) if segment.destination == destination => by_flow::<F, E>(env, &segment),
        _ => Decision::PASS,
    }
}

#[inline(always)]
fn by_flow<F: Family, E: Steps>(env: &E, segment: &Segment<F::Address>) -> Decision {
    let root = listener::root(env);
    // The quoted packet went to a backend: it is what is now the segment's source.
    let key = origin::key(F::wide(segment.source), segment.sport, segment.proto);
    if root.origins() && origin::find(env, root, &key).is_some() {
        return Decision::ERROR_BACK;
    }
    let key =
        ListenerKey { address: F::wide(segment.destination), port: segment.dport, proto: segment.proto };
    let Some((_, listener)) = listener::find_for_packet(env, root, &key) else {
        return Decision::PASS;
    };
    if listener.nat() {
        return Decision::ERROR_FORTH;
    }
    let flow = F::segment_key(segment, listener);
    let hash = F::FlowSlots::hash(&flow, &env.settings().index_key);
    let known = match bucket::find::<F::Flows, E>(env, hash, &flow) {
        Some(place) => Some(place.word.backend()),
        None => bucket::find::<F::Embryonic, E>(env, hash, &flow).map(|place| place.word.backend()),
    };
    if let Some(number) = known
        && backend::serving(env, number).flows()
    {
        return Decision::forward(number, Reason::IcmpError);
    }
    let decision = env.place_unknown::<F>(segment, listener.0);
    match decision.backend() {
        0 => decision,
        number => Decision::forward(number, Reason::IcmpError),
    }
}

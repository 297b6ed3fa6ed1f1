//! The number that is remembered with a flow, never trusted: its client's ack; of a closing flow the end that the client
//! announced; of an embryonic one the initial sequence number.
//!
//! It stands beside the slot. Where the flow is translated the number of its entry stands there, and the hint in the
//! entry.

use super::{bucket::Place, key::Slots, listener::Listener, words::FlowWord};
use crate::{
    env::Env,
    parse::{
        PROTO_TCP,
        transport::{Segment, TcpFlags},
    },
    walk::family::Family,
};

type FlowPlace<'a, E> = Place<'a, <E as Env>::Line, FlowWord>;

/// The hint of a flow of this listener.
#[inline(always)]
pub fn read<F: Family, E: Env>(env: &E, listener: Listener<'_, E::Line>, place: &FlowPlace<'_, E>) -> u32 {
    let hint = F::FlowSlots::hint(place.line, place.slot);
    if !listener.nat() {
        return hint;
    }
    F::entry(env, hint).map_or(0, |entry| entry.client_ack())
}

/// Writes the hint of a flow of this listener.
#[inline(always)]
pub fn write<F: Family, E: Env>(
    env: &E,
    listener: Listener<'_, E::Line>,
    place: &FlowPlace<'_, E>,
    hint: u32,
) {
    if !listener.nat() {
        return F::FlowSlots::write_hint(place.line, place.slot, hint);
    }
    if let Some(entry) = F::entry(env, F::FlowSlots::hint(place.line, place.slot)) {
        entry.set_client_ack(hint);
    }
}

/// The ack of a segment, if it is to take the place of the one that is remembered: it advanced by less than 2^30.
#[inline(always)]
pub fn advanced<A>(segment: &Segment<A>, remembered: u32) -> Option<u32> {
    if segment.proto != PROTO_TCP || !segment.flags.any(TcpFlags::ACK) {
        return None;
    }
    let advance = segment.ack.wrapping_sub(remembered);
    (advance != 0 && advance < 1 << 30).then_some(segment.ack)
}

//! A segment of a flow whose backend may serve nobody any more: reset, at the flow's turn.
//!
//! The client is to hear at once that its connection is over, so that it comes back and is served elsewhere; but not
//! all at once, or the survivors would be run over. So each flow has its turn ([`Schedule`](crate::table::schedule::Schedule)).
//! A segment before it is dropped; the agent resets at their turn the flows that are silent.

use super::{decision::Decision, family::Family, known, steps::Steps};
use crate::{
    env::{Env, Transition},
    parse::transport::{Segment, TcpFlags},
    reason::Reason,
    table::{
        backend,
        bucket::{self, KeyOf, Place},
        flow, hint,
        key::Slots,
        listener::Listener,
        words::{FlowState, FlowWord},
    },
};

/// Decides for a segment of such a flow. It is found anew: what was asked of it before is another function's.
#[inline(always)]
pub fn fail<F: Family, E: Steps>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    let key = F::segment_key(segment, listener);
    let hash = F::FlowSlots::hash(&key, &env.settings().index_key);
    let Some(mut place) = bucket::find::<F::Flows, E>(env, hash, &key) else {
        // Freed a moment ago: its client has given it up, or does not answer.
        return Decision::drop(Reason::ResetConfirmed);
    };
    if segment.flags.any(TcpFlags::RST) {
        let word = place.word;
        let hint = F::FlowSlots::hint(place.line, place.slot);
        if bucket::free::<F::FlowSlots, _>(place.line, place.slot, word) {
            env.ended::<F>(&key, word, Transition::Closed);
            env.freed::<F>(&key, hint);
        }
        return Decision::drop(Reason::ResetConfirmed);
    }
    if wait(env, hash, place.word) > 0 {
        // A closing flow's hint is the end that its client announced, which counts if the backend serves it again.
        if place.word.state() != FlowState::CLOSING {
            known::note_ack::<F, E>(env, segment, listener, &place);
        }
        return Decision::drop(Reason::ResetWaiting);
    }
    cut::<F, E>(env, &key, &mut place);
    if segment.flags.any(TcpFlags::ACK) {
        hint::write::<F, E>(env, listener, &place, segment.ack);
    }
    Decision::answer(Reason::Reset)
}

/// Jiffies until the turn of a flow that is to be reset, whose key has this hash; 0 once it has come.
#[inline(always)]
pub fn wait<E: Env>(env: &E, hash: u64, word: FlowWord) -> u32 {
    match word.state() {
        FlowState::RESET => 0,
        _ => backend::schedule(env, word.backend()).wait(hash, env.jiffies()),
    }
}

/// A flow is reset from now on, for as long as closing flows are remembered; whether it was this call that did it. The
/// agent does the same with flows that are silent.
#[inline(always)]
pub fn cut<F: Family, E: Steps>(
    env: &E,
    key: &KeyOf<F::Flows>,
    place: &mut Place<'_, E::Line, FlowWord>,
) -> bool {
    let old = place.word;
    let new = old.with_state(FlowState::RESET).with_counted(false).with_seen(env.now().flow);
    let changed = old.state() != FlowState::RESET && place.change::<F::FlowSlots>(new);
    if changed {
        flow::unheard::<F, E>(env, key, F::FlowSlots::hint(place.line, place.slot));
        env.ended::<F>(key, old, Transition::Reset);
    }
    changed
}

//! Live flows of each backend as one number that every CPU and the agent share, and how many it may have.
//!
//! The same number as the sum of all CPUs' transitions; a packet cannot ask every CPU. It stands apart from the
//! backend's own line, which every packet reads: a write there would cost all of them.

use super::{TableId, line::Line};
use crate::env::{Env, Transition};

/// Word of a backend's line that holds its live flows.
pub const WORD_LIVE: usize = 0;
/// Word of a backend's line that holds how many live flows it may have before it takes no new client; 0: any number.
pub const WORD_LIMIT: usize = 1;
/// The first [`Transition`] that the agent made; the others follow in their order.
pub const TRANSITIONS: usize = 2;

/// Adds what a transition does to a backend's live flows.
#[inline(always)]
pub fn count<E: Env>(env: &E, backend: u16, transition: Transition) {
    if let Some(line) = env.line(TableId::Ledger, backend as u32) {
        line.add(WORD_LIVE, transition.delta() as u64);
    }
}

/// Whether a backend has as many live flows as it may. Connections whose handshake is under way count with its end.
#[inline(always)]
pub fn is_full<E: Env>(env: &E, backend: u16) -> bool {
    let Some(line) = env.line(TableId::Ledger, backend as u32) else { return false };
    let limit = line.load(WORD_LIMIT);
    limit != 0 && line.load(WORD_LIVE) as i64 >= limit as i64
}

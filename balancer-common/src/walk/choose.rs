//! Which backend a client gets that has none: weighted Maglev over a keyed hash.

use super::family::Family;
use crate::{
    env::Env,
    hash::reduce,
    parse::transport::Segment,
    table::{
        backend, ledger,
        listener::Listener,
        service::{self, MaglevRoot},
    },
};

/// Slots of the current table that are looked at; more than one only while the agent swaps it, or where backends are full.
const TRIES: u32 = 16;

/// A choice of the Maglev tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// By the current table.
    Current(u16),
    /// By the previous table: the current one names nobody who may serve.
    Previous(u16),
    /// Nobody may serve.
    Nobody,
}

/// What a client's place in Maglev is made of: its prefix, or its 5-tuple where affinity goes by connection.
#[inline(always)]
pub fn client_hash<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> u64 {
    let hash = env.settings().maglev_key.start();
    if listener.by_client() {
        F::hash(hash, F::mask(segment.source, listener)).piece::<5>(listener.salt()).finish()
    } else {
        F::hash(hash, segment.source)
            .piece::<4>(u32::from(segment.sport) << 16 | u32::from(segment.dport))
            .piece::<5>(listener.salt())
            .finish()
    }
}

/// Chooses for a new connection: the current table, then the previous one.
#[inline(always)]
pub fn for_new<E: Env>(env: &E, listener: Listener<'_, E::Line>, hash: u64) -> Chosen {
    let root = service::maglev_root(env, listener.service());
    let size = listener.maglev_size();
    for attempt in 0..TRIES {
        let slot = reduce((hash.rotate_left(attempt * 4) >> 32) as u32, size);
        let number = service::maglev_slot(env, root.current, slot);
        if takes_new(env, number) {
            return Chosen::Current(number);
        }
    }
    previous(env, root, size, hash, takes_new)
}

#[inline(always)]
fn takes_new<E: Env>(env: &E, number: u16) -> bool {
    backend::serving(env, number).new_clients() && !ledger::is_full(env, number)
}

/// Chooses for a segment of an unknown connection: who would have been chosen when it began.
#[inline(always)]
pub fn for_unknown<E: Env>(env: &E, listener: Listener<'_, E::Line>, hash: u64) -> Chosen {
    let root = service::maglev_root(env, listener.service());
    let size = listener.maglev_size();
    let number = service::maglev_slot(env, root.current, reduce((hash >> 32) as u32, size));
    if backend::serving(env, number).flows() {
        return Chosen::Current(number);
    }
    previous(env, root, size, hash, |env, number| backend::serving(env, number).flows())
}

#[inline(always)]
fn previous<E: Env>(
    env: &E,
    root: MaglevRoot,
    size: u32,
    hash: u64,
    may_serve: impl Fn(&E, u16) -> bool,
) -> Chosen {
    let number = service::maglev_slot(env, root.previous, reduce((hash >> 32) as u32, size));
    if may_serve(env, number) { Chosen::Previous(number) } else { Chosen::Nobody }
}

//! Where a connection goes that no flow knows: pin, tentative pin, Maglev.

use super::{
    choose::{self, Chosen},
    decision::Decision,
    family::Family,
};
use crate::{
    env::Env,
    parse::{
        PROTO_UDP,
        transport::{Segment, TcpFlags},
    },
    reason::Reason,
    settings::Settings,
    table::{line::Line, listener::Listener, pin},
};

/// How long a tentative pin speaks for its client, in pin ticks: as long as a handshake may take, and no longer than a
/// pin would.
#[inline(always)]
pub fn tentative_lifetime<L: Line>(settings: &Settings, listener: Listener<'_, L>) -> u32 {
    let handshake =
        u32::from(listener.timeouts().syn) << (settings.flow_tick_shift - settings.pin_tick_shift);
    let pin = listener.affinity_timeout();
    if pin < handshake { pin } else { handshake }
}

/// Places a new connection. Writes nothing but a tentative pin, and that only where Maglev had to choose.
#[inline(always)]
pub fn new_connection<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    if !listener.by_client() {
        return by_maglev::<F, E>(env, segment, listener);
    }
    let key = F::pin_key(F::mask(segment.source, listener), listener.service());
    let mut pin_kept = false;
    if let Some(pinned) = pin::look_up::<F, E>(env, &key, listener.affinity_timeout()) {
        if pinned.serves {
            return Decision::forward(pinned.backend, Reason::NewPinned);
        }
        pin_kept = pinned.kept;
    }
    let lifetime = tentative_lifetime(env.settings(), listener);
    if let Some(pinned) = pin::look_up_tentative::<F, E>(env, &key, lifetime)
        && pinned.serves
    {
        return Decision::forward(pinned.backend, Reason::NewTentative);
    }
    let decision = by_maglev::<F, E>(env, segment, listener);
    // A kept pin's client is served elsewhere this once: nothing is to speak for the other backend.
    if decision.backend() != 0 && !pin_kept {
        pin::note_tentative::<F, E>(env, &key, decision.backend());
    }
    decision
}

#[inline(always)]
fn by_maglev<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    let hash = choose::client_hash::<F, E>(env, segment, listener);
    match choose::for_new(env, listener, hash) {
        Chosen::Current(backend) | Chosen::Previous(backend) => Decision::forward(backend, Reason::NewMaglev),
        Chosen::Nobody if listener.refuses() && segment.proto == PROTO_UDP => {
            Decision::answer(Reason::NoBackendUnreachable)
        }
        Chosen::Nobody if listener.refuses() && segment.flags.any(TcpFlags::SYN) => {
            Decision::answer(Reason::NoBackendReset)
        }
        Chosen::Nobody => Decision::drop(Reason::NoBackend),
    }
}

/// Places a segment of a connection that began elsewhere or before: pin, current table, previous table. Writes
/// nothing.
#[inline(always)]
pub fn unknown_connection<F: Family, E: Env>(
    env: &E,
    segment: &Segment<F::Address>,
    listener: Listener<'_, E::Line>,
) -> Decision {
    if listener.by_client() {
        let key = F::pin_key(F::mask(segment.source, listener), listener.service());
        if let Some(pinned) = pin::look_up::<F, E>(env, &key, listener.affinity_timeout())
            && crate::table::backend::serving(env, pinned.backend).flows()
        {
            return Decision::forward(pinned.backend, Reason::UnknownPinned);
        }
    }
    let hash = choose::client_hash::<F, E>(env, segment, listener);
    match choose::for_unknown(env, listener, hash) {
        Chosen::Current(backend) => Decision::forward(backend, Reason::UnknownMaglev),
        Chosen::Previous(backend) => Decision::forward(backend, Reason::UnknownPrevious),
        Chosen::Nobody => Decision::drop(Reason::NoBackend),
    }
}

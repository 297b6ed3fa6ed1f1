//! Look-ups of listeners.

use super::{INDEX_PLACES, Listener, ListenerKey, MAX_LISTENERS, Root, WideAddress};
use crate::{
    env::Env,
    table::{NUMBERS_PER_LINE, TableId, line::Line as _, packed_number},
};

/// The current root, for those who do not come from an interface.
#[inline(always)]
pub fn root<E: Env>(env: &E) -> Root {
    Root(env.line(TableId::Root, 0).map_or(0, |line| line.load(0)))
}

/// The listener with this exact key in the half that `root` names, and its number: the index has it before the line is
/// there.
#[inline(always)]
pub fn find<'a, E: Env>(env: &'a E, root: Root, key: &ListenerKey) -> Option<(u16, Listener<'a, E::Line>)> {
    let place = key.place(&env.settings().index_key, root);
    let lines = INDEX_PLACES / NUMBERS_PER_LINE;
    let index = env.line(TableId::Index, root.half() * lines + place / NUMBERS_PER_LINE)?;
    let number = packed_number(index, place);
    if number == 0 {
        return None;
    }
    let listener = Listener(env.line(TableId::Listeners, root.half() * MAX_LISTENERS + number as u32)?);
    listener.is_for(key).then_some((number, listener))
}

/// The listener of a packet in the half that `root` names, and its number: the exact port, then a wildcard.
#[inline(always)]
pub fn find_for_packet<'a, E: Env>(
    env: &'a E,
    root: Root,
    key: &ListenerKey,
) -> Option<(u16, Listener<'a, E::Line>)> {
    if let Some(listener) = find(env, root, key) {
        return Some(listener);
    }
    if !root.wildcards() {
        return None;
    }
    find(env, root, &ListenerKey { port: 0, ..*key })
}

/// Whether an address is a service's, in the half that `root` names.
#[inline(always)]
pub fn is_service_address<E: Env>(env: &E, root: Root, address: WideAddress) -> bool {
    find(env, root, &ListenerKey::address_itself(address)).is_some()
}

/// The listener with this number in the current half: timeouts of a flow that is looked at without a packet.
#[inline(always)]
pub fn by_number<E: Env>(env: &E, number: u16) -> Option<Listener<'_, E::Line>> {
    let half = root(env).half();
    let listener = Listener(env.line(TableId::Listeners, half * MAX_LISTENERS + number as u32)?);
    (number != 0 && listener.number() == number).then_some(listener)
}

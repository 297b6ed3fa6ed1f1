//! ICMP echo to a service address (RFC 792; RFC 4443, 4), answered here while enough backends are ready: so that who
//! watches the address, or routes to it, sees the service rather than the host.

use super::{
    decision::{Decision, Verdict},
    errors::mend,
    family::Family,
    forward,
};
use crate::{
    checksum::ChecksumUpdate,
    env::Env,
    packet::{Packet, View as _},
    parse::{IpHeader, link},
    reason::Reason,
    table::{
        interface,
        listener::{self, Echo, ListenerKey},
    },
};

/// What becomes of an echo request to this address: [`Decision::ECHO`], or [`Decision::PASS`].
#[inline(always)]
pub fn decide<F: Family, E: Env>(env: &E, destination: F::Address) -> Decision {
    match wanted::<F, E>(env, destination) {
        Echo::Pass => Decision::PASS,
        Echo::Answer => Decision::ECHO,
        Echo::Drop => Decision::drop(Reason::EchoWithheld),
    }
}

#[inline(always)]
fn wanted<F: Family, E: Env>(env: &E, destination: F::Address) -> Echo {
    let key = ListenerKey::address_itself(F::wide(destination));
    listener::find(env, listener::root(env), &key).map_or(Echo::Pass, |(_, line)| line.echo())
}

/// Makes of a frame with an echo request its answer, on its way back. One from no one host is not answered.
#[inline(always)]
pub fn answer<F: Family, E: Env, P: Packet>(env: &E, packet: &mut P) -> Verdict {
    let (Some(ingress), Some(link), Some(sender)) =
        (interface::find(env, packet.ingress()), link::parse(packet), link::source(packet))
    else {
        return Verdict::PASS;
    };
    let Some(IpHeader { source, destination, payload: Ok(icmp) }) = F::parse(packet, link.next) else {
        return Verdict::PASS;
    };
    if !F::is_one_host(source) {
        return Verdict::PASS;
    }
    let Some(old) = packet.view::<2>(icmp.at).map(|view| view.be16(0).to_be()) else { return Verdict::PASS };
    let new = F::ECHO_REPLY.to_be();
    // The addresses change places, which no sum sees.
    let done = F::put(packet, link.next + F::PLACES.source, destination).is_some()
        && F::put(packet, link.next + F::PLACES.destination, source).is_some()
        && F::renew(packet, link.next)
        && packet.store_u16(icmp.at, new)
        && mend(packet, icmp.at + 2, ChecksumUpdate::none().remove_u16(old).add_u16(new))
        && packet.store_macs(sender, ingress.mac);
    forward::answered(env, Decision::answer(Reason::Echo), done)
}

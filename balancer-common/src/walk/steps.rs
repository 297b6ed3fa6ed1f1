//! The steps off the fast path.
//!
//! On the host each is simply the function that it stands for. The XDP program gives each of them a global function
//! of its own: the verifier checks a global function once, by itself, and not again at every call (Linux 5.6), which
//! makes the difference between a load of milliseconds and one of seconds.

use super::{
    answer, back, clamp,
    decision::{Decision, Verdict},
    echo, embryonic,
    errors::{self, About, Parts, Towards},
    family::Family,
    forward, icmp, known, notice, place, reset, translate,
};
use crate::{
    checksum::ChecksumUpdate,
    env::{Env, Transition},
    packet::Packet,
    parse::transport::Segment,
    table::{
        backend::NextHop,
        bucket::KeyOf,
        flow,
        listener::{Listener, Root},
        nat, ports,
        words::FlowWord,
    },
};

/// The steps off the fast path. `listener` is always the line of the segment's listener.
pub trait Steps: Env + Sized {
    /// A packet of a known flow that is more than one packet more: see [`known::unsteady`].
    fn unsteady<F: Family>(&self, segment: &Segment<F::Address>, listener: &Self::Line) -> Decision {
        known::unsteady::<F, Self>(self, segment, Listener(listener))
    }

    /// Moves a flow to another backend: see [`known::reroute`].
    fn reroute<F: Family>(&self, segment: &Segment<F::Address>, listener: &Self::Line) -> Decision {
        known::reroute::<F, Self>(self, segment, Listener(listener))
    }

    /// A segment of a flow that is reset, or is to be: see [`reset::fail`].
    fn fail<F: Family>(&self, segment: &Segment<F::Address>, listener: &Self::Line) -> Decision {
        reset::fail::<F, Self>(self, segment, Listener(listener))
    }

    /// Makes a RST of the frame that carries a segment: see [`answer::reset`].
    fn reset<F: Family, P: Packet>(&self, packet: &mut P, segment: &Segment<F::Address>) -> bool {
        answer::reset::<F, Self, P>(self, packet, segment)
    }

    /// Makes an ICMP message of the frame that carries a packet: see [`notice::answer`].
    fn notice<F: Family, P: Packet>(&self, packet: &mut P, mtu: u32) -> bool {
        notice::answer::<F, Self, P>(self, packet, mtu)
    }

    /// Sends a packet on that needs more than other MAC addresses: see [`forward::by_way`].
    fn by_way<F: Family, P: Packet>(
        &self,
        packet: &mut P,
        segment: Option<&Segment<F::Address>>,
        decision: Decision,
        hop: NextHop,
        ingress: NextHop,
    ) -> Verdict {
        forward::by_way::<F, Self, P>(self, packet, segment, decision, hop, ingress)
    }

    /// A packet that no flow knows: see [`embryonic::decide`].
    fn unknown<F: Family>(&self, segment: &Segment<F::Address>, listener: &Self::Line) -> Decision {
        embryonic::decide::<F, Self>(self, segment, Listener(listener))
    }

    /// Where a new connection goes: see [`place::new_connection`].
    fn place_new<F: Family>(&self, segment: &Segment<F::Address>, listener: &Self::Line) -> Decision {
        place::new_connection::<F, Self>(self, segment, Listener(listener))
    }

    /// Where a connection goes that began elsewhere: see [`place::unknown_connection`].
    fn place_unknown<F: Family>(&self, segment: &Segment<F::Address>, listener: &Self::Line) -> Decision {
        place::unknown_connection::<F, Self>(self, segment, Listener(listener))
    }

    /// Where a frame with an ICMP packet goes: see [`icmp::decide`].
    fn icmp<F: Family, P: Packet>(&self, packet: &P) -> Decision {
        icmp::decide::<F, Self, P>(self, packet)
    }

    /// Where the parts of an ICMP error stand: see [`Parts::of`].
    fn parts<F: Family, P: Packet>(&self, packet: &P) -> Parts {
        Parts::of::<F, P>(packet)
    }

    /// The connection that an ICMP error is about: see [`errors::about`].
    fn about<F: Family, P: Packet>(&self, packet: &P, at: Parts, towards: Towards) -> About {
        errors::about::<F, Self, P>(self, packet, at, towards)
    }

    /// Puts an address in another's place: see [`Family::put`].
    fn put<F: Family, P: Packet>(
        &self,
        packet: &mut P,
        at: u32,
        address: F::Address,
    ) -> Option<ChecksumUpdate> {
        F::put(packet, at, address)
    }

    /// Sends an ICMP error on to the backend, translated: see [`errors::forth`].
    fn error_forth<F: Family, P: Packet>(&self, packet: &mut P, at: Parts, about: About) -> Verdict {
        errors::forth::<F, Self, P>(self, packet, at, about)
    }

    /// Sends an ICMP error on to the client, translated: see [`errors::back`].
    fn error_back<F: Family, P: Packet>(&self, packet: &mut P, at: Parts, about: About) -> Verdict {
        errors::back::<F, Self, P>(self, packet, at, about)
    }

    /// Answers an echo request: see [`echo::answer`].
    fn echo<F: Family, P: Packet>(&self, packet: &mut P) -> Verdict {
        echo::answer::<F, Self, P>(self, packet)
    }

    /// Remembers an embryonic connection to `backend`: see [`embryonic::remember`].
    fn remember<F: Family>(
        &self,
        segment: &Segment<F::Address>,
        listener: &Self::Line,
        backend: u16,
        entry: u32,
    ) {
        embryonic::remember::<F, Self>(self, segment, Listener(listener), backend, entry);
    }

    /// Makes a flow of an embryonic connection: see [`embryonic::promote`].
    fn promote<F: Family>(&self, segment: &Segment<F::Address>, listener: &Self::Line) -> Decision {
        embryonic::promote::<F, Self>(self, segment, Listener(listener))
    }

    /// Writes a flow: see [`embryonic::record`].
    fn record<F: Family>(&self, key: &KeyOf<F::Flows>, word: u64, ack: u32) -> bool {
        embryonic::record::<F, Self>(self, key, word, ack)
    }

    /// Counts a flow to `backend` in its client's pin: see [`embryonic::hold_pin`].
    fn hold_pin<F: Family>(&self, key: &KeyOf<F::Flows>, listener: &Self::Line, backend: u16) -> bool {
        embryonic::hold_pin::<F, Self>(self, key, Listener(listener), backend)
    }

    /// Counts the end of a flow: see [`flow::ended`].
    fn ended<F: Family>(&self, key: &KeyOf<F::Flows>, word: FlowWord, how: Transition) {
        flow::ended::<F, Self>(self, key, word, how);
    }

    /// Gives back the port of a flow whose slot is free: see [`flow::freed`].
    fn freed<F: Family>(&self, key: &KeyOf<F::Flows>, hint: u32) {
        flow::freed::<F, Self>(self, key, hint);
    }

    /// Takes a port for a connection, and writes whose it is: see [`translate::take_port`].
    fn take_port<F: Family>(&self, segment: &Segment<F::Address>, listener: u16, backend: u16) -> u32 {
        translate::take_port::<F, Self>(self, segment, listener, backend)
    }

    /// Takes a free port of one word: see [`ports::take_in`]; [`nat::NONE`] if it has none.
    fn take_in<F: Family>(&self, word: u32, from: u32) -> u32 {
        ports::take_in(self, F::PORTS, word, from).unwrap_or(nat::NONE)
    }

    /// The entry of a packet's connection to a backend: see [`translate::entry_of`].
    fn entry_of<F: Family>(&self, segment: &Segment<F::Address>, backend: u16) -> u32 {
        translate::entry_of::<F, Self>(self, segment, backend)
    }

    /// Sends a packet on to its backend, translated: see [`translate::forth`].
    fn forth<F: Family, P: Packet>(
        &self,
        packet: &mut P,
        segment: &Segment<F::Address>,
        decision: Decision,
        entry: u32,
        ingress: NextHop,
    ) -> Verdict {
        translate::forth::<F, Self, P>(self, packet, segment, decision, entry, ingress)
    }

    /// The entry of a backend's answer: see [`back::entry_of`].
    fn answer_of<F: Family>(&self, segment: &Segment<F::Address>, root: Root) -> u32 {
        back::entry_of::<F, Self>(self, segment, root)
    }

    /// Sends a backend's answer to its client: see [`back::back`].
    fn back<F: Family, P: Packet>(
        &self,
        packet: &mut P,
        segment: &Segment<F::Address>,
        entry: u32,
        ingress: NextHop,
    ) -> Verdict {
        back::back::<F, Self, P>(self, packet, segment, entry, ingress)
    }

    /// Bounds the segment size that a SYN announces: see [`clamp::clamp`].
    fn clamp<F: Family, P: Packet>(&self, packet: &mut P, at: u32, backend: u16) {
        clamp::clamp::<F, Self, P>(self, packet, at, backend);
    }

    /// Bounds the segment size that a backend's SYN+ACK announces: see [`clamp::clamp_answer`].
    fn clamp_answer<F: Family, P: Packet>(&self, packet: &mut P, segment: &Segment<F::Address>) {
        clamp::clamp_answer::<F, Self, P>(self, packet, segment);
    }

    /// Takes a flow out of its client's pin: see [`flow::release_pin`].
    fn release_pin<F: Family>(&self, key: &KeyOf<F::Flows>) {
        flow::release_pin::<F, Self>(self, key);
    }
}

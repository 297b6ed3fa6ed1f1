//! The steps off the fast path, each a global function: the verifier checks it once, by itself.

mod functions;

use crate::{
    ctx::Frame,
    world::{Kernel, KernelLine},
};
use aya_ebpf::bindings::xdp_md;
use balancer_common::{
    checksum::ChecksumUpdate,
    env::Transition,
    packet::Packet,
    parse::{IpPayload, Refusal, transport::Segment},
    table::{backend::NextHop, bucket::KeyOf, listener::Root, words::FlowWord},
    walk::{
        decision::{Decision, Verdict},
        errors::{About, Parts, Towards},
        family::Family,
        steps::Steps,
    },
};
use functions::*;

/// As [`ipv6::behind_extensions`].
#[inline(always)]
pub(crate) fn skip_extensions(frame: &Frame, payload: IpPayload) -> Result<IpPayload, Refusal> {
    let IpPayload { proto, at, length } = payload;
    IpPayload::unpack(behind_extensions6(frame.context(), u32::from(proto), at, length))
}

/// Calls the function of the right family. Both arms compile for both families; only one is left of them.
macro_rules! call {
    ($family:ident: $v4:ident or $v6:ident ($first:expr $(, $rest:expr)*)) => {{
        let first = core::ptr::from_ref($first);
        if $family::IS_V4 { $v4(first.cast() $(, $rest)*) } else { $v6(first.cast() $(, $rest)*) }
    }};
}

/// A line as the global functions take it.
#[inline(always)]
fn words(line: &KernelLine) -> *const Words {
    core::ptr::from_ref(line).cast()
}

/// The context behind a packet.
#[inline(always)]
fn context<P: Packet>(packet: &P) -> *mut xdp_md {
    // SAFETY: the program's only packets are frames.
    unsafe { &*core::ptr::from_ref(packet).cast::<Frame>() }.context()
}

impl Steps for Kernel {
    #[inline(always)]
    fn unsteady<F: Family>(&self, segment: &Segment<F::Address>, listener: &KernelLine) -> Decision {
        Decision::from_bits(call!(F: unsteady4 or unsteady6 (segment, words(listener))))
    }

    #[inline(always)]
    fn reroute<F: Family>(&self, segment: &Segment<F::Address>, listener: &KernelLine) -> Decision {
        Decision::from_bits(call!(F: reroute4 or reroute6 (segment, words(listener))))
    }

    #[inline(always)]
    fn fail<F: Family>(&self, segment: &Segment<F::Address>, listener: &KernelLine) -> Decision {
        Decision::from_bits(call!(F: fail4 or fail6 (segment, words(listener))))
    }

    #[inline(always)]
    fn reset<F: Family, P: Packet>(&self, packet: &mut P, segment: &Segment<F::Address>) -> bool {
        let (context, segment) = (context(packet), core::ptr::from_ref(segment));
        let done = if F::IS_V4 { reset4(context, segment.cast()) } else { reset6(context, segment.cast()) };
        done != 0
    }

    #[inline(always)]
    fn notice<F: Family, P: Packet>(&self, packet: &mut P, mtu: u32) -> bool {
        let context = context(packet);
        (if F::IS_V4 { notice4(context, mtu) } else { notice6(context, mtu) }) != 0
    }

    #[inline(always)]
    fn by_way<F: Family, P: Packet>(
        &self,
        packet: &mut P,
        segment: Option<&Segment<F::Address>>,
        decision: Decision,
        hop: NextHop,
        ingress: NextHop,
    ) -> Verdict {
        let (context, decision) = (context(packet), decision.bits());
        let segment = segment.map_or(core::ptr::null(), core::ptr::from_ref);
        Verdict::from_bits(match F::IS_V4 {
            true => by_way4(context, segment.cast(), decision, hop.0, ingress.0),
            false => by_way6(context, segment.cast(), decision, hop.0, ingress.0),
        })
    }

    #[inline(always)]
    fn unknown<F: Family>(&self, segment: &Segment<F::Address>, listener: &KernelLine) -> Decision {
        Decision::from_bits(call!(F: unknown4 or unknown6 (segment, words(listener))))
    }

    #[inline(always)]
    fn place_new<F: Family>(&self, segment: &Segment<F::Address>, listener: &KernelLine) -> Decision {
        Decision::from_bits(call!(F: place_new4 or place_new6 (segment, words(listener))))
    }

    #[inline(always)]
    fn place_unknown<F: Family>(&self, segment: &Segment<F::Address>, listener: &KernelLine) -> Decision {
        Decision::from_bits(call!(F: place_unknown4 or place_unknown6 (segment, words(listener))))
    }

    #[inline(always)]
    fn icmp<F: Family, P: Packet>(&self, packet: &P) -> Decision {
        let context = context(packet);
        Decision::from_bits(if F::IS_V4 { icmp4(context) } else { icmp6(context) })
    }

    #[inline(always)]
    fn promote<F: Family>(&self, segment: &Segment<F::Address>, listener: &KernelLine) -> Decision {
        Decision::from_bits(call!(F: promote4 or promote6 (segment, words(listener))))
    }

    #[inline(always)]
    fn remember<F: Family>(
        &self,
        segment: &Segment<F::Address>,
        listener: &KernelLine,
        backend: u16,
        entry: u32,
    ) {
        call!(F: remember4 or remember6 (segment, words(listener), u32::from(backend), entry));
    }

    #[inline(always)]
    fn record<F: Family>(&self, key: &KeyOf<F::Flows>, word: u64, ack: u32) -> bool {
        call!(F: record4 or record6 (key, word, ack)) != 0
    }

    #[inline(always)]
    fn hold_pin<F: Family>(&self, key: &KeyOf<F::Flows>, listener: &KernelLine, backend: u16) -> bool {
        call!(F: hold_pin4 or hold_pin6 (key, words(listener), u32::from(backend))) != 0
    }

    #[inline(always)]
    fn ended<F: Family>(&self, key: &KeyOf<F::Flows>, word: FlowWord, how: Transition) {
        call!(F: ended4 or ended6 (key, word.0, how as u32));
    }

    #[inline(always)]
    fn freed<F: Family>(&self, key: &KeyOf<F::Flows>, hint: u32) {
        call!(F: freed4 or freed6 (key, hint));
    }

    #[inline(always)]
    fn take_port<F: Family>(&self, segment: &Segment<F::Address>, listener: u16, backend: u16) -> u32 {
        call!(F: take_port4 or take_port6 (segment, u32::from(listener), u32::from(backend)))
    }

    #[inline(always)]
    fn take_in<F: Family>(&self, word: u32, from: u32) -> u32 {
        if F::IS_V4 { take_in4(word, from) } else { take_in6(word, from) }
    }

    #[inline(always)]
    fn parts<F: Family, P: Packet>(&self, packet: &P) -> Parts {
        let context = context(packet);
        Parts(if F::IS_V4 { parts4(context) } else { parts6(context) })
    }

    #[inline(always)]
    fn about<F: Family, P: Packet>(&self, packet: &P, at: Parts, towards: Towards) -> About {
        let (context, towards) = (context(packet), towards as u32);
        About(if F::IS_V4 { about4(context, at.0, towards) } else { about6(context, at.0, towards) })
    }

    #[inline(always)]
    fn put<F: Family, P: Packet>(
        &self,
        packet: &mut P,
        at: u32,
        address: F::Address,
    ) -> Option<ChecksumUpdate> {
        if F::IS_V4 {
            return F::put(packet, at, address);
        }
        let [a, b, c, d] = F::words(address).map(u64::from);
        match put6(context(packet), at, a | b << 32, c | d << 32) {
            u64::MAX => None,
            sum => Some(ChecksumUpdate::from_bits(sum)),
        }
    }

    #[inline(always)]
    fn error_forth<F: Family, P: Packet>(&self, packet: &mut P, at: Parts, about: About) -> Verdict {
        let context = context(packet);
        Verdict::from_bits(match F::IS_V4 {
            true => error_forth4(context, at.0, about.0),
            false => error_forth6(context, at.0, about.0),
        })
    }

    #[inline(always)]
    fn error_back<F: Family, P: Packet>(&self, packet: &mut P, at: Parts, about: About) -> Verdict {
        let context = context(packet);
        Verdict::from_bits(match F::IS_V4 {
            true => error_back4(context, at.0, about.0),
            false => error_back6(context, at.0, about.0),
        })
    }

    #[inline(always)]
    fn echo<F: Family, P: Packet>(&self, packet: &mut P) -> Verdict {
        let context = context(packet);
        Verdict::from_bits(if F::IS_V4 { echo4(context) } else { echo6(context) })
    }

    #[inline(always)]
    fn entry_of<F: Family>(&self, segment: &Segment<F::Address>, backend: u16) -> u32 {
        call!(F: entry_of4 or entry_of6 (segment, u32::from(backend)))
    }

    #[inline(always)]
    fn forth<F: Family, P: Packet>(
        &self,
        packet: &mut P,
        segment: &Segment<F::Address>,
        decision: Decision,
        entry: u32,
        ingress: NextHop,
    ) -> Verdict {
        let (context, segment, decision) = (context(packet), core::ptr::from_ref(segment), decision.bits());
        Verdict::from_bits(match F::IS_V4 {
            true => forth4(context, segment.cast(), decision, entry, ingress.0),
            false => forth6(context, segment.cast(), decision, entry, ingress.0),
        })
    }

    #[inline(always)]
    fn answer_of<F: Family>(&self, segment: &Segment<F::Address>, root: Root) -> u32 {
        call!(F: answer_of4 or answer_of6 (segment, root.0))
    }

    #[inline(always)]
    fn back<F: Family, P: Packet>(
        &self,
        packet: &mut P,
        segment: &Segment<F::Address>,
        entry: u32,
        ingress: NextHop,
    ) -> Verdict {
        let (context, segment) = (context(packet), core::ptr::from_ref(segment));
        Verdict::from_bits(match F::IS_V4 {
            true => back4(context, segment.cast(), entry, ingress.0),
            false => back6(context, segment.cast(), entry, ingress.0),
        })
    }

    #[inline(always)]
    fn clamp_answer<F: Family, P: Packet>(&self, packet: &mut P, segment: &Segment<F::Address>) {
        let (context, segment) = (context(packet), core::ptr::from_ref(segment));
        match F::IS_V4 {
            true => clamp_answer4(context, segment.cast()),
            false => clamp_answer6(context, segment.cast()),
        };
    }

    #[inline(always)]
    fn clamp<F: Family, P: Packet>(&self, packet: &mut P, at: u32, backend: u16) {
        let (context, backend) = (context(packet), u32::from(backend));
        if F::IS_V4 {
            clamp4(context, at, backend)
        } else {
            clamp6(context, at, backend)
        };
    }

    #[inline(always)]
    fn release_pin<F: Family>(&self, key: &KeyOf<F::Flows>) {
        call!(F: release_pin4 or release_pin6 (key));
    }
}

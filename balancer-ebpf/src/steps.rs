//! The steps off the fast path, each a global function: the verifier checks it once, by itself.
//!
//! A global function may get nothing but numbers and pointers to memory whose size its type tells, and must look
//! whether they are null.

use crate::{
    ctx::{Frame, WaryFrame},
    world::{Kernel, KernelLine},
};
use aya_ebpf::bindings::xdp_md;
use balancer_common::{
    checksum::ChecksumUpdate,
    env::Transition,
    packet::Packet,
    parse::{IpPayload, Refusal, ipv6, transport::Segment},
    reason::Reason,
    table::{
        backend::NextHop,
        bucket::KeyOf,
        flow,
        key::{FlowKey4, FlowKey6},
        listener::{Listener, Root},
        nat, ports,
        words::FlowWord,
    },
    walk::{
        answer, back, clamp,
        decision::{Decision, Verdict},
        echo, embryonic,
        errors::{self, About, Parts, Towards},
        family::{Family, V4, V6},
        forward, icmp, known, notice, place, reset,
        steps::Steps,
        translate,
    },
};

type Words = [u64; 8];
type Address6 = [u64; 2];

/// What a null pointer comes to: it cannot be.
const IMPOSSIBLE: u32 = Decision::drop(Reason::TableError).bits();

/// Follows a chain of IPv6 extension headers.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn behind_extensions6(context: *mut xdp_md, proto: u32, at: u32, length: u32) -> u64 {
    let payload = IpPayload { proto: proto as u8, at, length };
    IpPayload::pack(ipv6::behind_extensions(&Frame::new(context), payload))
}

/// Puts an IPv6 address in another's place: what that does to a sum, or [`u64::MAX`]. An address of its own is all that a
/// step's stack has room for.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn put6(context: *mut xdp_md, at: u32, high: u64, low: u64) -> u64 {
    V6::put(&mut Frame::new(context), at, [high, low]).map_or(u64::MAX, ChecksumUpdate::bits)
}

/// As [`ipv6::behind_extensions`].
#[inline(always)]
pub(crate) fn skip_extensions(frame: &Frame, payload: IpPayload) -> Result<IpPayload, Refusal> {
    let IpPayload { proto, at, length } = payload;
    IpPayload::unpack(behind_extensions6(frame.context(), u32::from(proto), at, length))
}

/// A listener's line behind a pointer.
#[inline(always)]
fn listener<'a>(line: *const Words) -> Option<Listener<'a, KernelLine>> {
    // SAFETY: a line of the table of listeners, which lives as long as the program.
    unsafe { line.cast::<KernelLine>().as_ref() }.map(Listener)
}

macro_rules! by_segment {
    ($family:ty, $address:ty: $($name:ident = $step:path;)*) => {
        $(#[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(segment: *const Segment<$address>, line: *const Words) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            let (Some(segment), Some(listener)) = (unsafe { segment.as_ref() }, listener(line)) else {
                return IMPOSSIBLE;
            };
            $step(&Kernel, segment, listener).bits()
        })*
    };
}

by_segment! { V4, u32:
    unsteady4 = known::unsteady::<V4, Kernel>;
    unknown4 = embryonic::decide::<V4, Kernel>;
    reroute4 = known::reroute::<V4, Kernel>;
    fail4 = reset::fail::<V4, Kernel>;
    promote4 = embryonic::promote::<V4, Kernel>;
    place_new4 = place::new_connection::<V4, Kernel>;
    place_unknown4 = place::unknown_connection::<V4, Kernel>;
}

by_segment! { V6, Address6:
    unsteady6 = known::unsteady::<V6, Kernel>;
    unknown6 = embryonic::decide::<V6, Kernel>;
    reroute6 = known::reroute::<V6, Kernel>;
    fail6 = reset::fail::<V6, Kernel>;
    promote6 = embryonic::promote::<V6, Kernel>;
    place_new6 = place::new_connection::<V6, Kernel>;
    place_unknown6 = place::unknown_connection::<V6, Kernel>;
}

macro_rules! others {
    ($family:ty, $address:ty, $key:ty, $icmp:ident, $reset:ident, $notice:ident, $way:ident, $remember:ident, $record:ident, $hold:ident, $ended:ident, $freed:ident, $take_port:ident, $take_in:ident, $parts:ident, $about:ident, $error_forth:ident, $error_back:ident, $echo:ident, $entry_of:ident, $forth:ident, $back:ident, $answer_of:ident, $clamp_answer:ident, $clamp:ident, $release:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $icmp(context: *mut xdp_md) -> u32 {
            icmp::decide::<$family, Kernel, Frame>(&Kernel, &Frame::new(context)).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $reset(context: *mut xdp_md, segment: *const Segment<$address>) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            unsafe { segment.as_ref() }.map_or(0, |segment| {
                u32::from(answer::reset::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), segment))
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $notice(context: *mut xdp_md, mtu: u32) -> u32 {
            u32::from(notice::answer::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), mtu))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $way(context: *mut xdp_md, decision: u32, hop: u64) -> u32 {
            let (frame, decision) = (&mut Frame::new(context), Decision::from_bits(decision));
            forward::by_way::<$family, Kernel, Frame>(&Kernel, frame, decision, NextHop(hop)).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $remember(
            segment: *const Segment<$address>,
            line: *const Words,
            backend: u32,
            entry: u32,
        ) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            let (Some(segment), Some(listener)) = (unsafe { segment.as_ref() }, listener(line)) else {
                return 0;
            };
            embryonic::remember::<$family, Kernel>(&Kernel, segment, listener, backend as u16, entry);
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $record(key: *const $key, word: u64, ack: u32) -> u32 {
            // SAFETY: the caller's key, on its stack.
            unsafe { key.as_ref() }
                .map_or(0, |key| u32::from(embryonic::record::<$family, Kernel>(&Kernel, key, word, ack)))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $hold(key: *const $key, line: *const Words, backend: u32) -> u32 {
            // SAFETY: the caller's key, on its stack.
            let (Some(key), Some(listener)) = (unsafe { key.as_ref() }, listener(line)) else {
                return 0;
            };
            u32::from(embryonic::hold_pin::<$family, Kernel>(&Kernel, key, listener, backend as u16))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $ended(key: *const $key, word: u64, how: u32) -> u32 {
            // SAFETY: the caller's key, on its stack.
            if let (Some(key), Some(how)) = (unsafe { key.as_ref() }, Transition::from_index(how)) {
                flow::ended::<$family, Kernel>(&Kernel, key, FlowWord(word), how);
            }
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $freed(key: *const $key, hint: u32) -> u32 {
            // SAFETY: the caller's key, on its stack.
            if let Some(key) = unsafe { key.as_ref() } {
                flow::freed::<$family, Kernel>(&Kernel, key, hint);
            }
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $take_port(segment: *const Segment<$address>, listener: u32, backend: u32) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            unsafe { segment.as_ref() }.map_or(nat::NONE, |segment| {
                translate::take_port::<$family, Kernel>(&Kernel, segment, listener as u16, backend as u16)
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $take_in(word: u32, from: u32) -> u32 {
            ports::take_in(&Kernel, <$family>::PORTS, word, from).unwrap_or(nat::NONE)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $parts(context: *mut xdp_md) -> u64 {
            Parts::of::<$family, Frame>(&Frame::new(context)).0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $about(context: *mut xdp_md, at: u64, back: u32) -> u64 {
            let frame = &WaryFrame::new(context);
            errors::about::<$family, Kernel, WaryFrame>(&Kernel, frame, Parts(at), towards(back)).0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $error_forth(context: *mut xdp_md, at: u64, about: u64) -> u32 {
            let (frame, at, about) = (&mut WaryFrame::new(context), Parts(at), About(about));
            errors::forth::<$family, Kernel, WaryFrame>(&Kernel, frame, at, about).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $error_back(context: *mut xdp_md, at: u64, about: u64) -> u32 {
            let (frame, at, about) = (&mut WaryFrame::new(context), Parts(at), About(about));
            errors::back::<$family, Kernel, WaryFrame>(&Kernel, frame, at, about).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $echo(context: *mut xdp_md) -> u32 {
            echo::answer::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context)).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $entry_of(segment: *const Segment<$address>, backend: u32) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            unsafe { segment.as_ref() }.map_or(nat::NONE, |segment| {
                translate::entry_of::<$family, Kernel>(&Kernel, segment, backend as u16)
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $forth(
            context: *mut xdp_md,
            segment: *const Segment<$address>,
            decision: u32,
            entry: u32,
            line: u32,
        ) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            let Some(segment) = (unsafe { segment.as_ref() }) else { return Verdict::DROP.bits() };
            let (frame, decision) = (&mut Frame::new(context), Decision::from_bits(decision));
            translate::forth::<$family, Kernel, Frame>(&Kernel, frame, segment, decision, entry, line as u16)
                .bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $answer_of(segment: *const Segment<$address>, root: u64) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            unsafe { segment.as_ref() }.map_or(back::answer::NONE, |segment| {
                back::entry_of::<$family, Kernel>(&Kernel, segment, Root(root))
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $back(context: *mut xdp_md, segment: *const Segment<$address>, entry: u32) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            let Some(segment) = (unsafe { segment.as_ref() }) else { return Verdict::DROP.bits() };
            back::back::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), segment, entry).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $clamp_answer(context: *mut xdp_md, segment: *const Segment<$address>) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            if let Some(segment) = unsafe { segment.as_ref() } {
                clamp::clamp_answer::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), segment);
            }
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $clamp(context: *mut xdp_md, at: u32, backend: u32) -> u32 {
            clamp::clamp::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), at, backend as u16);
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $release(key: *const $key) -> u32 {
            // SAFETY: the caller's key, on its stack.
            if let Some(key) = unsafe { key.as_ref() } {
                flow::release_pin::<$family, Kernel>(&Kernel, key);
            }
            0
        }
    };
}

others!(
    V4,
    u32,
    FlowKey4,
    icmp4,
    reset4,
    notice4,
    by_way4,
    remember4,
    record4,
    hold_pin4,
    ended4,
    freed4,
    take_port4,
    take_in4,
    parts4,
    about4,
    error_forth4,
    error_back4,
    echo4,
    entry_of4,
    forth4,
    back4,
    answer_of4,
    clamp_answer4,
    clamp4,
    release_pin4
);
others!(
    V6,
    Address6,
    FlowKey6,
    icmp6,
    reset6,
    notice6,
    by_way6,
    remember6,
    record6,
    hold_pin6,
    ended6,
    freed6,
    take_port6,
    take_in6,
    parts6,
    about6,
    error_forth6,
    error_back6,
    echo6,
    entry_of6,
    forth6,
    back6,
    answer_of6,
    clamp_answer6,
    clamp6,
    release_pin6
);

/// The way that an error goes, as a number.
#[inline(always)]
const fn towards(number: u32) -> Towards {
    if number == Towards::Client as u32 { Towards::Client } else { Towards::Backend }
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
    fn by_way<F: Family, P: Packet>(&self, packet: &mut P, decision: Decision, hop: NextHop) -> Verdict {
        let (context, decision) = (context(packet), decision.bits());
        Verdict::from_bits(match F::IS_V4 {
            true => by_way4(context, decision, hop.0),
            false => by_way6(context, decision, hop.0),
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
        line: u16,
    ) -> Verdict {
        let (context, segment, decision) = (context(packet), core::ptr::from_ref(segment), decision.bits());
        let line = u32::from(line);
        Verdict::from_bits(match F::IS_V4 {
            true => forth4(context, segment.cast(), decision, entry, line),
            false => forth6(context, segment.cast(), decision, entry, line),
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
    ) -> Verdict {
        let (context, segment) = (context(packet), core::ptr::from_ref(segment));
        Verdict::from_bits(match F::IS_V4 {
            true => back4(context, segment.cast(), entry),
            false => back6(context, segment.cast(), entry),
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

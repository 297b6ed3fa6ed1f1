//! The global functions. One may get nothing but numbers and pointers to memory whose size its type tells, and must look
//! whether they are null.

use crate::{
    ctx::{Frame, WaryFrame},
    world::{Kernel, KernelLine},
};
use aya_ebpf::bindings::xdp_md;
use balancer_common::{
    checksum::ChecksumUpdate,
    env::Transition,
    parse::{IpPayload, ipv6, transport::Segment},
    reason::Reason,
    table::{
        backend::NextHop,
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
        forward, icmp, known, notice, place, reset, translate,
    },
};

pub(super) type Words = [u64; 8];
pub(super) type Address6 = [u64; 2];

/// What a null pointer comes to: it cannot be.
const IMPOSSIBLE: u32 = Decision::drop(Reason::TableError).bits();

/// Follows a chain of IPv6 extension headers.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn behind_extensions6(context: *mut xdp_md, proto: u32, at: u32, length: u32) -> u64 {
    let payload = IpPayload { proto: proto as u8, at, length };
    IpPayload::pack(ipv6::behind_extensions(&Frame::new(context), payload))
}

/// Puts an IPv6 address in another's place: what that does to a sum, or [`u64::MAX`]. An address of its own is all that a
/// step's stack has room for.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn put6(context: *mut xdp_md, at: u32, high: u64, low: u64) -> u64 {
    V6::put(&mut Frame::new(context), at, [high, low]).map_or(u64::MAX, ChecksumUpdate::bits)
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
        pub(super) extern "C" fn $name(segment: *const Segment<$address>, line: *const Words) -> u32 {
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
        pub(super) extern "C" fn $icmp(context: *mut xdp_md) -> u32 {
            icmp::decide::<$family, Kernel, Frame>(&Kernel, &Frame::new(context)).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $reset(context: *mut xdp_md, segment: *const Segment<$address>) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            unsafe { segment.as_ref() }.map_or(0, |segment| {
                u32::from(answer::reset::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), segment))
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $notice(context: *mut xdp_md, mtu: u32) -> u32 {
            u32::from(notice::answer::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), mtu))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $way(
            context: *mut xdp_md,
            segment: *const Segment<$address>,
            decision: u32,
            hop: u64,
            ingress: u64,
        ) -> u32 {
            let (hop, ingress) = (NextHop(hop), NextHop(ingress));
            let (frame, decision) = (&mut Frame::new(context), Decision::from_bits(decision));
            // SAFETY: the caller's segment, on its stack, or none.
            let segment = unsafe { segment.as_ref() };
            forward::by_way::<$family, Kernel, Frame>(&Kernel, frame, segment, decision, hop, ingress).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $remember(
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
        pub(super) extern "C" fn $record(key: *const $key, word: u64, ack: u32) -> u32 {
            // SAFETY: the caller's key, on its stack.
            unsafe { key.as_ref() }
                .map_or(0, |key| u32::from(embryonic::record::<$family, Kernel>(&Kernel, key, word, ack)))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $hold(key: *const $key, line: *const Words, backend: u32) -> u32 {
            // SAFETY: the caller's key, on its stack.
            let (Some(key), Some(listener)) = (unsafe { key.as_ref() }, listener(line)) else {
                return 0;
            };
            u32::from(embryonic::hold_pin::<$family, Kernel>(&Kernel, key, listener, backend as u16))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $ended(key: *const $key, word: u64, how: u32) -> u32 {
            // SAFETY: the caller's key, on its stack.
            if let (Some(key), Some(how)) = (unsafe { key.as_ref() }, Transition::from_index(how)) {
                flow::ended::<$family, Kernel>(&Kernel, key, FlowWord(word), how);
            }
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $freed(key: *const $key, hint: u32) -> u32 {
            // SAFETY: the caller's key, on its stack.
            if let Some(key) = unsafe { key.as_ref() } {
                flow::freed::<$family, Kernel>(&Kernel, key, hint);
            }
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $take_port(
            segment: *const Segment<$address>,
            listener: u32,
            backend: u32,
        ) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            unsafe { segment.as_ref() }.map_or(nat::NONE, |segment| {
                translate::take_port::<$family, Kernel>(&Kernel, segment, listener as u16, backend as u16)
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $take_in(word: u32, from: u32) -> u32 {
            ports::take_in(&Kernel, <$family>::PORTS, word, from).unwrap_or(nat::NONE)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $parts(context: *mut xdp_md) -> u64 {
            Parts::of::<$family, Frame>(&Frame::new(context)).0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $about(context: *mut xdp_md, at: u64, back: u32) -> u64 {
            let frame = &WaryFrame::new(context);
            errors::about::<$family, Kernel, WaryFrame>(&Kernel, frame, Parts(at), towards(back)).0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $error_forth(context: *mut xdp_md, at: u64, about: u64) -> u32 {
            let (frame, at, about) = (&mut WaryFrame::new(context), Parts(at), About(about));
            errors::forth::<$family, Kernel, WaryFrame>(&Kernel, frame, at, about).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $error_back(context: *mut xdp_md, at: u64, about: u64) -> u32 {
            let (frame, at, about) = (&mut WaryFrame::new(context), Parts(at), About(about));
            errors::back::<$family, Kernel, WaryFrame>(&Kernel, frame, at, about).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $echo(context: *mut xdp_md) -> u32 {
            echo::answer::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context)).bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $entry_of(segment: *const Segment<$address>, backend: u32) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            unsafe { segment.as_ref() }.map_or(nat::NONE, |segment| {
                translate::entry_of::<$family, Kernel>(&Kernel, segment, backend as u16)
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $forth(
            context: *mut xdp_md,
            segment: *const Segment<$address>,
            decision: u32,
            entry: u32,
            ingress: u64,
        ) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            let Some(segment) = (unsafe { segment.as_ref() }) else { return Verdict::DROP.bits() };
            let (frame, decision) = (&mut Frame::new(context), Decision::from_bits(decision));
            translate::forth::<$family, Kernel, Frame>(
                &Kernel,
                frame,
                segment,
                decision,
                entry,
                NextHop(ingress),
            )
            .bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $answer_of(segment: *const Segment<$address>, root: u64) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            unsafe { segment.as_ref() }.map_or(back::answer::NONE, |segment| {
                back::entry_of::<$family, Kernel>(&Kernel, segment, Root(root))
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $back(
            context: *mut xdp_md,
            segment: *const Segment<$address>,
            entry: u32,
            ingress: u64,
        ) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            let Some(segment) = (unsafe { segment.as_ref() }) else { return Verdict::DROP.bits() };
            back::back::<$family, Kernel, Frame>(
                &Kernel,
                &mut Frame::new(context),
                segment,
                entry,
                NextHop(ingress),
            )
            .bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $clamp_answer(
            context: *mut xdp_md,
            segment: *const Segment<$address>,
        ) -> u32 {
            // SAFETY: the caller's segment, on its stack.
            if let Some(segment) = unsafe { segment.as_ref() } {
                clamp::clamp_answer::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), segment);
            }
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $clamp(context: *mut xdp_md, at: u32, backend: u32) -> u32 {
            clamp::clamp::<$family, Kernel, Frame>(&Kernel, &mut Frame::new(context), at, backend as u16);
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(super) extern "C" fn $release(key: *const $key) -> u32 {
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

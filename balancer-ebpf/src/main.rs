//! The XDP program: `balancer-common`'s walk over the kernel's maps. Beside it, [`probe`] serves health checks, and
//! [`decap`] the backends.
//!
//! Nothing is decided here. [`ctx`] holds the only packet pointers, [`maps`] every map, [`world`] ties both to
//! the traits of the shared code, [`steps`] makes a function of each step off the fast path, [`atomic`] the one atomic operation that the compiler has no safe name for.
#![no_std]
#![no_main]
#![expect(internal_features, reason = "64-bit compare-and-swap has no stable name for this target")]
#![feature(core_intrinsics)]

mod atomic;
mod ctx;
mod decap;
mod maps;
mod probe;
mod steps;
mod world;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::{bpf_jiffies64, bpf_ktime_get_ns, bpf_redirect},
    macros::xdp,
    programs::XdpContext,
};
use balancer_common::walk::{decision::Verdict, walk};
use ctx::Frame;
use world::Kernel;

/// Forwards packets to service addresses; everything else passes untouched.
#[xdp]
#[inline(always)]
pub(crate) fn balancer(ctx: XdpContext) -> u32 {
    match walk(&Kernel, &mut Frame::new(ctx.ctx)) {
        Verdict::PASS => xdp_action::XDP_PASS,
        Verdict::DROP => xdp_action::XDP_DROP,
        Verdict::TX => xdp_action::XDP_TX,
        // SAFETY: the helper takes an interface index and flags, and touches no memory of ours.
        other => unsafe { bpf_redirect(other.index(), 0) as u32 },
    }
}

/// Writes jiffies and the monotonic clock (nanoseconds), eight bytes each, over the first 16 bytes of the frame:
/// the agent runs it by `BPF_PROG_TEST_RUN` alone, to learn how long a jiffy is.
#[xdp]
pub(crate) fn clock(ctx: XdpContext) -> u32 {
    let start = ctx.data();
    if start + 16 > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    let words = start as *mut u64;
    // SAFETY: sixteen bytes from `start` lie within the frame; the helpers only read clocks.
    unsafe {
        words.write_unaligned(bpf_jiffies64());
        words.add(1).write_unaligned(bpf_ktime_get_ns());
    }
    xdp_action::XDP_PASS
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could get here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

//! What the benchmark needs beside the program itself: a prologue that makes repeated runs honest, the floors, and a
//! twin of the fast path on the kernel's hash map. Never loaded by the agent.
//!
//! `BPF_PROG_TEST_RUN` does not restore the frame between repeats, and always sends the same flow: the prologue puts
//! the MAC addresses back, sets the next flow's source, and tail-calls the program under test.
#![no_std]
#![no_main]
#![expect(internal_features, reason = "64-bit compare-and-swap has no stable name for this target")]
#![feature(core_intrinsics)]

mod atomic;
mod ctx;
mod maps;
mod steps;
mod world;

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, HashMap, ProgramArray},
    helpers::bpf_xdp_adjust_head,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use balancer_common::{
    env::Env,
    packet::Packet,
    parse::{ipv4, link, transport},
    reason::Reason,
    table::{
        backend, interface,
        listener::{self, ListenerKey, wide4},
        words::FlowWord,
    },
    walk::{
        decision::{Decision, Verdict},
        family::V4,
        forward,
    },
};
use ctx::Frame;
use world::Kernel;

/// The program under test, at index 0.
#[btf_map]
static UNDER_TEST: ProgramArray<1> = ProgramArray::new();

/// What the prologue writes: 12 bytes of MAC addresses (two words), then flows − 1 (a power of two less one), the
/// source's offset in the frame (0: leave it alone), a counter, bytes that the program before put in front, and whether it
/// changed the headers.
#[btf_map]
static PLAN: Array<[u64; 8], 1> = Array::new();

/// The headers as they were: 64 bytes from the ethertype on.
#[btf_map]
static HEADERS: Array<[u64; 8], 1> = Array::new();

/// The twin's flows: source, source port and listener, destination port → word, ack, spare.
#[btf_map]
static TWIN: HashMap<[u64; 2], [u64; 3], 1> = HashMap::new();

/// An odd factor spreads consecutive numbers over the flows in an order that no prefetcher guesses.
const STRIDE: u32 = 0x9e37_79b1;
/// Bytes that the encapsulating floor puts in front.
const OUTER: usize = 20;

/// Restores the frame, turns to the next flow, and runs the program under test.
#[xdp]
pub(crate) fn prologue(ctx: XdpContext) -> u32 {
    let Some(plan) = PLAN.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: one word of a map value that only this program and the benchmark use, one after the other.
    let [low, high, mask, offset, counter, grown, changed, _] = unsafe { *plan };
    if grown != 0 {
        // SAFETY: takes away what was put in front of the frame before.
        unsafe { bpf_xdp_adjust_head(ctx.ctx, grown as i32) };
    }
    if changed != 0 && !restore(&XdpContext::new(ctx.ctx)) {
        return xdp_action::XDP_ABORTED;
    }
    let mut frame = Frame::new(ctx.ctx);
    if !frame.store_macs(low, high) {
        return xdp_action::XDP_ABORTED;
    }
    if offset != 0 {
        let next = (counter as u32).wrapping_mul(STRIDE) & mask as u32;
        // SAFETY: as above.
        unsafe { (*plan)[4] = counter + 1 };
        if !set_source(&ctx, offset as usize, (0x0a00_0000 + next).to_be()) {
            return xdp_action::XDP_ABORTED;
        }
    }
    // SAFETY: does not return if there is a program under test.
    unsafe { UNDER_TEST.tail_call(&ctx, 0) };
    xdp_action::XDP_ABORTED
}

/// Puts the headers back; whether they fit.
#[inline(always)]
fn restore(ctx: &XdpContext) -> bool {
    let (start, Some(headers)) = (ctx.data() + 12, HEADERS.get_ptr_mut(0)) else { return false };
    if start + 64 > ctx.data_end() {
        return false;
    }
    // SAFETY: 64 bytes within the frame, which is writable, and those of a map value.
    unsafe { (start as *mut [u64; 8]).write_unaligned(*headers) };
    true
}

/// Writes the four bytes of the source that tell flows apart; whether they fit.
#[inline(always)]
fn set_source(ctx: &XdpContext, offset: usize, source: u32) -> bool {
    let start = ctx.data() + (offset & 63);
    if start + 4 > ctx.data_end() {
        return false;
    }
    // SAFETY: four bytes within the frame, which is writable.
    unsafe { (start as *mut u32).write_unaligned(source) };
    true
}

/// The floor: nothing but the verdict.
#[xdp]
pub(crate) fn floor(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// The floor of encapsulation: a fixed outer header.
#[xdp]
pub(crate) fn floor_outer(ctx: XdpContext) -> u32 {
    // SAFETY: makes room in front of the frame.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, -(OUTER as i32)) } != 0 {
        return xdp_action::XDP_ABORTED;
    }
    let mut frame = Frame::new(ctx.ctx);
    if frame.store_macs(0, 0) { xdp_action::XDP_TX } else { xdp_action::XDP_ABORTED }
}

/// The whole fast path of a v4 TCP flow, on the kernel's hash map.
#[xdp]
pub(crate) fn twin(ctx: XdpContext) -> u32 {
    match twin_walk(&mut Frame::new(ctx.ctx)) {
        Some(Verdict::TX) => xdp_action::XDP_TX,
        Some(Verdict::DROP) => xdp_action::XDP_DROP,
        _ => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn twin_walk(frame: &mut Frame) -> Option<Verdict> {
    let env = &Kernel;
    let link = link::parse(frame)?;
    let ingress = interface::find(env, frame.ingress())?;
    if link.destination != ingress.mac || link.ethertype != link::ETHERTYPE_IPV4 {
        return None;
    }
    let ip = ipv4::parse(frame, link.next)?;
    let segment = transport::parse(frame, ip.payload.ok()?, ip.source, ip.destination).ok()?;
    let key = ListenerKey { address: wide4(segment.destination), port: segment.dport, proto: segment.proto };
    let (_, listener) = listener::find_for_packet(env, ingress.root, &key)?;
    let key =
        [u64::from(segment.source) | u64::from(segment.sport) << 32 | u64::from(listener.number()) << 48, 0];
    let flow = TWIN.get_ptr_mut(key)?;
    // SAFETY: a value of the map; like any program on the kernel's hash map, without a lock.
    let flow = unsafe { &mut *flow };
    let word = FlowWord(flow[0]);
    if !backend::serving(env, word.backend()).flows() {
        return None;
    }
    let now = env.now().flow;
    if word.seen() != now {
        flow[0] = word.with_seen(now).0;
    }
    flow[1] = u64::from(segment.ack);
    let decision = Decision::forward(word.backend(), Reason::Flow);
    Some(forward::carry_out::<V4, _, _>(env, frame, ingress, decision))
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could get here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

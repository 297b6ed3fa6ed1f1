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
    checksum::ChecksumUpdate,
    env::Env,
    packet::{Packet, View as _},
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
/// source's offset in the frame (0: leave it alone), a counter, bytes that the program before put in front, and the
/// ethertype, in memory order, if it changed the headers (else 0).
#[btf_map]
static PLAN: Array<[u64; 8], 1> = Array::new();

/// The headers as they were: 64 bytes behind the ethertype.
#[btf_map]
static HEADERS: Array<[u64; 8], 1> = Array::new();

/// The twin's flows: source, source port and listener, destination port → word, ack, spare.
#[btf_map]
static TWIN: HashMap<[u64; 2], [u64; 3], 1> = HashMap::new();

/// An odd factor spreads consecutive numbers over the flows in an order that no prefetcher guesses.
const STRIDE: u32 = 0x9e37_79b1;
/// Bytes that the encapsulating floor puts in front.
const OUTER: u16 = 20;
/// Its header, from 10.0.0.1 to 10.0.0.2, without length and checksum: words in memory order.
const PREBUILT: [u32; 5] = [0x45, 0x40_0000, 0x440, 0x0100_000a, 0x0200_000a];

/// Restores the frame, turns to the next flow, and runs the program under test.
#[xdp]
pub(crate) fn prologue(ctx: XdpContext) -> u32 {
    let Some(plan) = PLAN.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: one word of a map value that only this program and the benchmark use, one after the other.
    let [low, high, mask, offset, counter, grown, ethertype, _] = unsafe { *plan };
    if grown != 0 {
        // SAFETY: takes away what was put in front of the frame before.
        unsafe { bpf_xdp_adjust_head(ctx.ctx, grown as i32) };
    }
    if ethertype != 0 && !restore(&XdpContext::new(ctx.ctx), ethertype as u16) {
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

/// Puts the headers back; whether they fit. By whole fields, so that the program that reads them next finds each in one
/// store: what it would wait for otherwise is not its own cost.
#[inline(always)]
fn restore(ctx: &XdpContext, ethertype: u16) -> bool {
    let (start, Some(headers)) = (ctx.data() + 12, HEADERS.get_ptr(0)) else { return false };
    if start + 66 > ctx.data_end() {
        return false;
    }
    // SAFETY: 66 bytes within the frame, which is writable, and those of a map value. Volatile, or it would be a call of a
    // function that copies bytes.
    unsafe {
        (start as *mut u16).write_volatile(ethertype);
        for word in 0..8 {
            (start as *mut u8).add(2 + 8 * word).cast::<u64>().write_volatile((*headers)[word]);
        }
    }
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

/// The floor of encapsulation: makes room, and writes a link-layer header and an outer one of which only the length changes.
#[xdp]
pub(crate) fn floor_outer(ctx: XdpContext) -> u32 {
    let Some(ip) = Frame::new(ctx.ctx).view::<20>(14).filter(|ip| ip.u8(0) == 0x45) else {
        return xdp_action::XDP_ABORTED;
    };
    let length = (ip.be16(2) + OUTER).to_be();
    // SAFETY: makes room in front of the frame.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, -i32::from(OUTER)) } != 0 {
        return xdp_action::XDP_ABORTED;
    }
    let mut frame = Frame::new(ctx.ctx);
    let [first, fragments, ttl, source, destination] = PREBUILT;
    let sum = ChecksumUpdate::none().add_u32(first).add_u32(fragments).add_u32(ttl).add_u32(source);
    let sum = sum.add_u32(destination).add_u16(length).finish();
    let outer = [first | u32::from(length) << 16, fragments, ttl | u32::from(sum) << 16, source, destination];
    let done = frame.store_macs(0, 0)
        && frame.store_u16(12, link::ETHERTYPE_IPV4.to_be())
        && frame.store_words(14, &outer);
    if done { xdp_action::XDP_TX } else { xdp_action::XDP_ABORTED }
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
    let segment = transport::parse(frame, link.next, ip.payload.ok()?, ip.source, ip.destination).ok()?;
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

//! The other end of a tunnel, on a backend: `decap` takes packets out of it as they come, `mss` clamps the MSS of the
//! SYNs that leave. Nothing here runs on a balancer.
//!
//! What is judged, and how, is `balancer_common::decap`'s. The maps, both kept in bpffs:
//!
//! | map | key → value | who writes | who reads |
//! |---|---|---|---|
//! | `DECAP` | line → own addresses and allowed sources, two halves | the command | packets, the command |
//! | `DECAP_COUNTS` | event → packets of this CPU | packets | the command |

use crate::{
    ctx::Frame,
    maps::Lines,
    world::{self, KernelLine},
};
use aya_ebpf::{
    bindings::{TC_ACT_UNSPEC, xdp_action},
    btf_maps::{Array, PerCpuArray},
    helpers::bpf_xdp_adjust_head,
    macros::{btf_map, classifier, xdp},
    programs::{TcContext, XdpContext},
};
use balancer_common::{
    decap::{
        Event, Unwrap,
        rules::Rules,
        syn::{self, Headers},
    },
    packet::{Packet, View as _},
};

/// Whose tunnels end here: see `balancer_common::decap::rules`.
#[btf_map]
static DECAP: Lines = Array::new();

/// Packets by event on this CPU.
#[btf_map]
static DECAP_COUNTS: PerCpuArray<u64, 1> = PerCpuArray::new();

type Line = &'static KernelLine;

#[inline(always)]
fn rules() -> Option<Rules<'static, KernelLine, impl Fn(u32) -> Option<Line>>> {
    Rules::current(|index| world::line(&DECAP, index))
}

/// Takes packets out of the tunnels that end at this interface; everything else passes untouched.
#[xdp]
pub(crate) fn decap(ctx: XdpContext) -> u32 {
    let mut frame = Frame::new(ctx.ctx);
    let Some(rules) = rules() else { return xdp_action::XDP_PASS };
    let event = match balancer_common::decap::judge(&frame, &rules) {
        None => return xdp_action::XDP_PASS,
        Some(Err(event)) => event,
        Some(Ok(how)) => match unwrap(&mut frame, how) {
            Some(()) => Event::Unwrapped,
            None => Event::Failed,
        },
    };
    if let Some(counter) = DECAP_COUNTS.get_ptr_mut(event as u32) {
        // SAFETY: this CPU's own value.
        unsafe { *counter += 1 };
    }
    if event.passes() { xdp_action::XDP_PASS } else { xdp_action::XDP_DROP }
}

/// Moves the link-layer header, with its tags, over the end of the outer header.
#[inline(always)]
fn unwrap(frame: &mut Frame, how: Unwrap) -> Option<()> {
    how.mark(frame).then_some(())?;
    let header = frame.view::<20>(0)?;
    let macs = [header.u32(0), header.u32(4), header.u32(8)];
    let tags = [header.u32(12), header.u32(16)];
    // SAFETY: the context is valid for the whole run; all bounds are read anew behind it.
    if unsafe { bpf_xdp_adjust_head(frame.context(), how.outer as i32) } != 0 {
        return None;
    }
    let mut frame = Frame::new(frame.context());
    let tagged = match how.next {
        14 => true,
        18 => frame.store_words(12, &[tags[0]]),
        _ => frame.store_words(12, &tags),
    };
    let done = tagged && frame.store_words(0, &macs) && frame.store_u16(how.next - 2, how.ethertype.to_be());
    done.then_some(())
}

/// Clamps the MSS of SYNs that leave, those with an ACK too.
#[classifier]
pub(crate) fn mss(ctx: TcContext) -> i32 {
    clamp(&ctx);
    TC_ACT_UNSPEC
}

#[inline(always)]
fn clamp(ctx: &TcContext) -> Option<()> {
    let limit = rules()?.mss();
    if limit == 0 {
        return None;
    }
    // SAFETY: the context is valid for the whole run, and this field is readable.
    let ethertype = u16::from_be(unsafe { (*ctx.skb.skb).protocol } as u16);
    // A VLAN tag is not in the packet here.
    let clamp = syn::find(&Skb(ctx), ethertype, 14, limit)?;
    let (old, new) = clamp.in_sum();
    // The helper knows whether the checksum is still to be made.
    ctx.l4_csum_replace(clamp.checksum as usize, old.into(), new.into(), 2).ok()?;
    ctx.store(clamp.at as usize, &limit.to_be(), 0).ok()
}

struct Skb<'a>(&'a TcContext);

impl Headers for Skb<'_> {
    #[inline(always)]
    fn be16(&self, at: u32) -> Option<u16> {
        self.0.load(at as usize).ok().map(u16::from_be)
    }

    #[inline(always)]
    fn be64(&self, at: u32) -> Option<u64> {
        self.0.load(at as usize).ok().map(u64::from_be)
    }
}

//! Bounds the segment size that a SYN announces (RFC 9293, 3.7.1), for ways on which large packets do not fit and whose
//! ICMP messages are lost.

use super::family::Family;
use crate::{
    checksum::ChecksumUpdate,
    env::Env,
    packet::{Packet, View},
    parse::transport::Segment,
    table::{listener, origin, way},
};

/// Options that are looked at before the segment size: senders put it first.
const OPTIONS: u32 = 8;
/// Bytes of a TCP header without options.
const HEADER: u32 = 20;
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const SEGMENT_SIZE: u8 = 2;

/// Bounds what the SYN in a frame announces, whose TCP header is at `at`, by the way to its backend.
#[inline(always)]
pub fn clamp<F: Family, E: Env, P: Packet>(env: &E, packet: &mut P, at: u32, backend: u16) {
    let limit = way::find(env, backend, F::IS_V4).map_or(0, |way| way.facts().mss());
    if limit != 0 {
        bound(packet, at, limit);
    }
}

/// Bounds what the SYN+ACK in a frame announces, by its backend's origin.
#[inline(always)]
pub fn clamp_answer<F: Family, E: Env, P: Packet>(env: &E, packet: &mut P, segment: &Segment<F::Address>) {
    let key = origin::key(F::wide(segment.source), segment.sport, segment.proto);
    let limit = origin::find(env, listener::root(env), &key).map_or(0, |origin| origin.mss());
    if limit != 0 {
        bound(packet, segment.at, limit);
    }
}

#[inline(always)]
fn bound<P: Packet>(packet: &mut P, tcp: u32, limit: u16) {
    let Some(header) = packet.view::<{ HEADER as usize }>(tcp) else { return };
    let checksum = header.be16(16).to_be();
    let end = tcp + u32::from(header.u8(12) >> 4) * 4;
    let mut at = tcp + HEADER;
    for _ in 0..OPTIONS {
        if at + 4 > end {
            return;
        }
        let Some(option) = packet.view::<4>(at) else { return };
        let (kind, length) = (option.u8(0), option.u8(1));
        match kind {
            END => return,
            NO_OPERATION => at += 1,
            SEGMENT_SIZE if length == 4 => {
                let size = option.be16(2);
                if size > limit {
                    // Where the option begins at an odd byte its two bytes stand in two words of the sum.
                    let swapped = (at - tcp) & 1 != 0;
                    let word = |value: u16| if swapped { value.to_be().swap_bytes() } else { value.to_be() };
                    let sum =
                        ChecksumUpdate::new(checksum).remove_u16(word(size)).add_u16(word(limit)).finish();
                    let _fits = packet.store_u16(at + 2, limit.to_be()) && packet.store_u16(tcp + 16, sum);
                }
                return;
            }
            _ if length < 2 => return,
            _ => at += u32::from(length),
        }
    }
}

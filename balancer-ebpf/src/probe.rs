//! Health checks by the datapath, off the packets' way: two programs on what the host itself sends and gets.
//!
//! `probe_out` puts the service address in the place of the backend's in what a check sends, or in mode `nat` another source
//! in the place of this host's; `probe_in` puts the old one back into the answers. In mode `ipip` the former puts an outer
//! header in front too. Everything else they let go after a look at one or two fields. The MAC address is the
//! backend's from the start, so that the check takes the way of a client's packet. What belongs where stands in
//! [`PROBES`](crate::maps::PROBES), as `balancer_common::probe` describes it.
//!
//! The packet is read through pointers and written by helpers, which know what else depends on a checksum: a segment of
//! the own host may have only the sum of its pseudo-header, and a card may have summed up the packet that came.

use crate::{maps, world};
use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6, BPF_F_PSEUDO_HDR,
        BPF_F_RECOMPUTE_CSUM, TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
    helpers::{
        bpf_csum_diff, bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_adjust_room, bpf_skb_pull_data,
        bpf_skb_store_bytes,
    },
    macros::classifier,
    programs::TcContext,
};
use balancer_common::{
    probe::{self, Passage},
    table::line::Line,
    walk::tunnel::{
        Inner,
        outer::{self, PROTO_IPIP, PROTO_IPV6},
    },
};
use world::KernelLine;

/// Ethernet's header; a VLAN tag is not in the packet here.
const ETHERNET: usize = 14;
const TCP: u8 = 6;
/// IPv4 without options: version and header length.
const PLAIN_IPV4: u8 = 0x45;
/// TCP's ports.
const PORTS: usize = 4;
const CHECKSUM_IN_TCP: usize = 16;
const CHECKSUM_IN_IPV4: usize = 10;

/// Where an IP header has its fields, from the begin of the frame.
struct Fields {
    v6: bool,
    protocol: usize,
    source: usize,
    destination: usize,
    tcp: usize,
}

const V4: Fields = Fields {
    v6: false,
    protocol: ETHERNET + 9,
    source: ETHERNET + 12,
    destination: ETHERNET + 16,
    tcp: ETHERNET + 20,
};
const V6: Fields = Fields {
    v6: true,
    protocol: ETHERNET + 6,
    source: ETHERNET + 8,
    destination: ETHERNET + 24,
    tcp: ETHERNET + 40,
};

/// Puts on the wire what a client's packet would have there.
#[classifier]
pub(crate) fn probe_out(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the context is valid for the whole run, and this field is readable.
    if unsafe { (*skb).mark } != probe::MARK {
        return TC_ACT_UNSPEC;
    }
    // A segment of a check that is over has no line any more; the backend's own address is not asked.
    match by_family(skb, send::<false>, send::<true>) {
        Some(true) => TC_ACT_UNSPEC,
        Some(false) | None => TC_ACT_SHOT,
    }
}

/// Puts back into an answer what the socket knows of.
#[classifier]
pub(crate) fn probe_in(ctx: TcContext) -> i32 {
    by_family(ctx.skb.skb, take::<false>, take::<true>);
    TC_ACT_UNSPEC
}

#[inline(always)]
fn by_family<T>(
    skb: *mut __sk_buff,
    v4: impl FnOnce(*mut __sk_buff) -> Option<T>,
    v6: impl FnOnce(*mut __sk_buff) -> Option<T>,
) -> Option<T> {
    // SAFETY: as above.
    match u16::from_be(unsafe { (*skb).protocol } as u16) {
        0x0800 => v4(skb),
        0x86dd => v6(skb),
        _ => None,
    }
}

/// `true` if it is on the wire now as a client's packet would be.
#[inline(always)]
fn send<const IS_V6: bool>(skb: *mut __sk_buff) -> Option<bool> {
    let fields = const { if IS_V6 { V6 } else { V4 } };
    let segment = Segment::of(skb, &fields)?;
    // In its tunnel already, below an interface that has the programs too.
    if matches!(segment.u8(fields.protocol), PROTO_IPIP | PROTO_IPV6) {
        return Some(true);
    }
    if !segment.is_plain_tcp(&fields) {
        return None;
    }
    let port = segment.u16(fields.tcp);
    let line = line_of(port, IS_V6)?;
    let flags = line.load(probe::WORD_KEY);
    let tos = segment.class(IS_V6);
    let (changing, other) = if flags & probe::TRANSLATED != 0 {
        (fields.source, fields.destination)
    } else {
        (fields.destination, fields.source)
    };
    let (old, wire) = (known(line, &fields, changing), address(line, probe::WORD_WIRE));
    let stands = segment.address(changing, IS_V6);
    // Below an interface that has the programs too.
    if stands == wire && wire != old {
        return Some(true);
    }
    if stands != old || segment.address(other, IS_V6) != known(line, &fields, other) {
        return None;
    }
    if line.load(probe::WORD_PASSAGE) == 0 {
        line.store(probe::WORD_PASSAGE, Passage::left(segment.mac(0)).0);
    }
    let put = put(skb, &fields, changing, old, wire);
    if !put || flags & probe::TUNNELLED == 0 {
        return Some(put);
    }
    let second = world::line(&maps::PROBES, probe::second_line_of(port))?;
    Some(wrap::<IS_V6>(skb, address(second, probe::WORD_TUNNEL), old, tos))
}

/// What the socket knows for the address at this place of what it sends.
#[inline(always)]
fn known(line: &KernelLine, fields: &Fields, place: usize) -> [u32; 4] {
    let word = if place == fields.source { probe::WORD_OWN } else { probe::WORD_BACKEND };
    address(line, word)
}

/// Puts an outer header in front.
#[inline(always)]
fn wrap<const IS_V6: bool>(skb: *mut __sk_buff, source: [u32; 4], destination: [u32; 4], tos: u8) -> bool {
    let added = outer::length(IS_V6);
    let flags = if IS_V6 { BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 } else { BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 };
    // SAFETY: the context is valid, and this field is readable.
    let length = unsafe { (*skb).len } - ETHERNET as u32;
    // Not to be fragmented, as the kernel's own segments are not. The hops are the socket's.
    let inner = Inner { length, tos, ttl: 0, id: None, spread: 0 };
    // SAFETY: the helper checks what it is given.
    if unsafe { bpf_skb_adjust_room(skb, added as i32, BPF_ADJ_ROOM_MAC, flags.into()) } != 0 {
        return false;
    }
    let store = |header: *const core::ffi::c_void| {
        // SAFETY: the helper checks the offset against the packet, and reads that many bytes of what is on the stack.
        unsafe { bpf_skb_store_bytes(skb, ETHERNET as u32, header, added, 0) == 0 }
    };
    if IS_V6 {
        let header = outer::header6(source, destination, false, &inner);
        store(header.as_ptr().cast())
    } else {
        let header = outer::header4(source[0], destination[0], true, &inner);
        store(header.as_ptr().cast())
    }
}

/// `true` if it goes between the addresses that the socket knows now.
#[inline(always)]
fn take<const IS_V6: bool>(skb: *mut __sk_buff) -> Option<bool> {
    let fields = const { if IS_V6 { V6 } else { V4 } };
    let segment = Segment::of(skb, &fields).filter(|segment| segment.is_plain_tcp(&fields))?;
    let line = line_of(segment.u16(fields.tcp + 2), IS_V6)?;
    let flags = line.load(probe::WORD_KEY);
    let (own, backend) = (address(line, probe::WORD_OWN), address(line, probe::WORD_BACKEND));
    let wire = address(line, probe::WORD_WIRE);
    let translated = flags & probe::TRANSLATED != 0;
    let (source, destination) = if translated { (backend, wire) } else { (wire, own) };
    if segment.address(fields.source, IS_V6) != source
        || segment.address(fields.destination, IS_V6) != destination
    {
        return None;
    }
    let passage = Passage(line.load(probe::WORD_PASSAGE));
    let passage = match flags & probe::ROUTED {
        0 => passage.answered(segment.mac(6)),
        _ => passage.answered_by_anybody(),
    };
    line.store(probe::WORD_PASSAGE, passage.0);
    let (changing, old) = if translated { (fields.destination, own) } else { (fields.source, backend) };
    Some(put(skb, &fields, changing, wire, old))
}

/// The line of the check that asks from this port, if one does.
#[inline(always)]
fn line_of(port: u16, v6: bool) -> Option<&'static KernelLine> {
    let line = world::line(&maps::PROBES, probe::line_of(port))?;
    (line.load(probe::WORD_KEY) & probe::KEY == probe::key(port, v6)).then_some(line)
}

#[inline(always)]
fn address(line: &KernelLine, word: usize) -> [u32; 4] {
    probe::words_address([line.load(word), line.load(word + 1)])
}

/// Headers of what may be a TCP segment, checked to lie within the packet: Ethernet's, IP's without options, TCP's ports.
#[derive(Clone, Copy)]
struct Segment(*const u8);

impl Segment {
    #[inline(always)]
    fn of(skb: *mut __sk_buff, fields: &Fields) -> Option<Self> {
        let headers = fields.tcp + PORTS;
        Self::within(skb, headers).or_else(|| {
            // The driver has left them in a page of their own. SAFETY: the context is valid.
            unsafe { bpf_skb_pull_data(skb, headers as u32) };
            Self::within(skb, headers)
        })
    }

    /// Whether it is one, behind an IP header without options.
    #[inline(always)]
    fn is_plain_tcp(self, fields: &Fields) -> bool {
        self.u8(fields.protocol) == TCP && (fields.v6 || self.u8(ETHERNET) == PLAIN_IPV4)
    }

    #[inline(always)]
    fn within(skb: *mut __sk_buff, headers: usize) -> Option<Self> {
        // SAFETY: the context is valid, and these fields are readable.
        let (start, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
        (start + headers <= end).then_some(Self(start as *const u8))
    }

    #[inline(always)]
    fn load<T: Copy>(self, at: usize) -> T {
        // SAFETY: the caller stays within the headers, or the verifier refuses the program; any bytes make a `T`, which
        // is an integer.
        unsafe { self.0.add(at).cast::<T>().read_unaligned() }
    }

    #[inline(always)]
    fn u8(self, at: usize) -> u8 {
        self.load(at)
    }

    /// ToS or traffic class.
    #[inline(always)]
    fn class(self, v6: bool) -> u8 {
        let (first, second) = (self.u8(ETHERNET), self.u8(ETHERNET + 1));
        if v6 { first << 4 | second >> 4 } else { second }
    }

    #[inline(always)]
    fn u16(self, at: usize) -> u16 {
        u16::from_be(self.load(at))
    }

    /// A MAC address: low 48 bits, memory order.
    #[inline(always)]
    fn mac(self, at: usize) -> u64 {
        u64::from(self.load::<u32>(at)) | u64::from(self.load::<u16>(at + 4)) << 32
    }

    #[inline(always)]
    fn address(self, at: usize, v6: bool) -> [u32; 4] {
        let rest = |n: usize| if v6 { self.load(at + 4 * n) } else { 0 };
        [self.load(at), rest(1), rest(2), rest(3)]
    }
}

/// Puts one address in another's place, and mends the checksums. The IPv4 header balances itself by its own checksum;
/// where a card has summed up a whole IPv6 packet, its sum is mended by hand: `bpf_l4_csum_replace` takes it for one
/// of IPv4 (and has a flag against that only since Linux 6.16).
#[inline(always)]
fn put(skb: *mut __sk_buff, fields: &Fields, at: usize, mut old: [u32; 4], mut new: [u32; 4]) -> bool {
    let (size, recompute) = if fields.v6 { (16, BPF_F_RECOMPUTE_CSUM) } else { (4, 0) };
    let pseudo = u64::from(BPF_F_PSEUDO_HDR);
    let (from, to) = (old.as_mut_ptr(), new.as_mut_ptr());
    // SAFETY: the helpers check the offsets against the packet, and read `size` bytes of what is on the stack.
    unsafe {
        let diff = bpf_csum_diff(from, size, to, size, 0) as u64;
        let tcp = fields.tcp + CHECKSUM_IN_TCP;
        if bpf_l4_csum_replace(skb, tcp as u32, 0, diff, pseudo) != 0 {
            return false;
        }
        if !fields.v6 {
            bpf_l3_csum_replace(skb, (ETHERNET + CHECKSUM_IN_IPV4) as u32, 0, diff, 0);
        }
        bpf_skb_store_bytes(skb, at as u32, to.cast(), size, recompute.into()) == 0
    }
}

//! The frame: the only packet pointers of the program.

use crate::steps;
use aya_ebpf::{
    bindings::xdp_md,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    programs::XdpContext,
};
use balancer_common::{
    packet::{Packet, View},
    parse::{IpPayload, Refusal},
};

/// Offsets beyond this are refused: it bounds what the verifier has to follow.
const MAX_OFFSET: u32 = 0x3fff;

/// The frame that the driver handed over.
pub(crate) struct Frame {
    context: *mut xdp_md,
    start: usize,
    end: usize,
    ingress: u32,
}

impl Frame {
    /// From the program's context.
    #[inline(always)]
    pub(crate) fn new(context: *mut xdp_md) -> Self {
        let ctx = XdpContext::new(context);
        // SAFETY: the context is valid for the whole run, and this field is readable (kernel 4.16).
        let ingress = unsafe { (*context).ingress_ifindex };
        Self { context, start: ctx.data(), end: ctx.data_end(), ingress }
    }

    /// The same frame with its bounds read anew: two loads are cheaper than two places on the stack from the parser to
    /// the very end, where all stacks of a chain of calls have 512 bytes together.
    #[inline(always)]
    fn anew(&self) -> Self {
        // SAFETY: the context is valid for the whole run.
        let (start, end) = unsafe {
            (
                core::ptr::read_volatile(&raw const (*self.context).data),
                core::ptr::read_volatile(&raw const (*self.context).data_end),
            )
        };
        Self { context: self.context, start: start as usize, end: end as usize, ingress: self.ingress }
    }

    /// The context, for a function that makes a frame of it again.
    #[inline(always)]
    pub(crate) fn context(&self) -> *mut xdp_md {
        self.context
    }

    /// A pointer to a `T` that lies within the frame.
    #[inline(always)]
    fn at<T>(&self, at: u32) -> Option<*mut T> {
        if at > MAX_OFFSET {
            return None;
        }
        let start = self.start + at as usize;
        if start + size_of::<T>() > self.end {
            return None;
        }
        Some(start as *mut T)
    }
}

/// Bytes that were checked to lie within the frame. All reads go through this one pointer, at constant offsets: so
/// the verifier finds the check again.
#[derive(Clone, Copy)]
pub(crate) struct Header(*const u8);

impl Header {
    #[inline(always)]
    fn load<T: Copy>(self, at: usize) -> T {
        // SAFETY: the caller stays within the bytes that were checked, or the verifier refuses the program; any
        // bytes make a `T`, which is an integer.
        unsafe { self.0.add(at).cast::<T>().read_unaligned() }
    }
}

impl View for Header {
    #[inline(always)]
    fn u8(self, at: usize) -> u8 {
        self.load(at)
    }

    #[inline(always)]
    fn be16(self, at: usize) -> u16 {
        u16::from_be(self.load(at))
    }

    #[inline(always)]
    fn u32(self, at: usize) -> u32 {
        self.load(at)
    }

    #[inline(always)]
    fn u64(self, at: usize) -> u64 {
        self.load(at)
    }
}

impl Packet for Frame {
    type View<'a> = Header;

    #[inline(always)]
    fn length(&self) -> u32 {
        (self.end - self.start) as u32
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        self.ingress
    }

    #[inline(always)]
    fn view<const N: usize>(&self, at: u32) -> Option<Header> {
        Some(Header(self.at::<[u8; N]>(at)?.cast()))
    }

    #[inline(always)]
    fn view_anew<const N: usize>(&self, at: u32) -> Option<Header> {
        self.anew().at::<[u8; N]>(at).map(|bytes| Header(bytes.cast()))
    }

    #[inline(always)]
    fn skip_extensions(&self, payload: IpPayload) -> Result<IpPayload, Refusal> {
        steps::skip_extensions(self, payload)
    }

    #[inline(always)]
    fn store_words<const N: usize>(&mut self, at: u32, words: &[u32; N]) -> bool {
        // Anew, so that the compiler does not find the check superfluous where the verifier misses it.
        let Some(place) = self.anew().at::<[u32; N]>(at) else { return false };
        for (number, word) in words.iter().enumerate() {
            // SAFETY: `at` has checked that all of the words lie within the frame; the frame is writable.
            unsafe { place.cast::<u32>().add(number).write_unaligned(*word) };
        }
        true
    }

    #[inline(always)]
    fn store_u16(&mut self, at: u32, value: u16) -> bool {
        let Some(place) = self.anew().at::<u16>(at) else { return false };
        // SAFETY: `at` has checked that the bytes lie within the frame, which is writable.
        unsafe { place.write_unaligned(value) };
        true
    }

    #[inline(always)]
    fn resize(&mut self, length: u32) -> bool {
        let beyond = length as i32 - self.length() as i32;
        // SAFETY: the context is valid for the whole run; the bounds are read anew.
        let done = unsafe {
            match beyond > 0 {
                // The tail has no room in a veth pair.
                true => bpf_xdp_adjust_head(self.context, -beyond) == 0,
                false => bpf_xdp_adjust_tail(self.context, beyond) == 0,
            }
        };
        *self = self.anew();
        done
    }

    #[inline(always)]
    fn store_macs(&mut self, destination: u64, source: u64) -> bool {
        let Some(header) = self.anew().at::<[u8; 12]>(0) else { return false };
        // SAFETY: `at` has checked that twelve bytes lie within the frame; the frame is writable.
        unsafe {
            header.cast::<u32>().write_unaligned(destination as u32);
            header.byte_add(4).cast::<u16>().write_unaligned((destination >> 32) as u16);
            header.byte_add(6).cast::<u16>().write_unaligned(source as u16);
            header.byte_add(8).cast::<u32>().write_unaligned((source >> 16) as u32);
        }
        true
    }

    #[inline(always)]
    fn store_front<const N: usize>(
        &mut self,
        (destination, source): (u64, u64),
        ethertype: u16,
        header: &[u32; N],
    ) -> bool {
        let Some(front) = self.anew().at::<Front<N>>(0) else { return false };
        // SAFETY: `at` has checked that the whole front lies within the frame, which is writable.
        unsafe {
            front.cast::<u64>().write_unaligned(destination | source << 48);
            front.byte_add(8).cast::<u32>().write_unaligned((source >> 16) as u32);
            front.byte_add(12).cast::<u16>().write_unaligned(ethertype);
            for (number, word) in header.iter().enumerate() {
                front.byte_add(14 + 4 * number).cast::<u32>().write_unaligned(*word);
            }
        }
        true
    }
}

/// What stands before an inner packet.
#[repr(C, packed)]
struct Front<const N: usize> {
    macs: [u8; 12],
    ethertype: u16,
    header: [u32; N],
}

/// A frame whose bounds are read anew at every access: for steps that go back and forth in it. There the compiler finds
/// checks superfluous, because of others that the verifier has forgotten by then.
pub(crate) struct WaryFrame(Frame);

impl WaryFrame {
    /// From the program's context.
    #[inline(always)]
    pub(crate) fn new(context: *mut xdp_md) -> Self {
        Self(Frame::new(context))
    }
}

impl Packet for WaryFrame {
    type View<'a> = Header;

    #[inline(always)]
    fn length(&self) -> u32 {
        self.0.anew().length()
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        self.0.ingress
    }

    #[inline(always)]
    fn view<const N: usize>(&self, at: u32) -> Option<Header> {
        self.0.view_anew::<N>(at)
    }

    #[inline(always)]
    fn skip_extensions(&self, payload: IpPayload) -> Result<IpPayload, Refusal> {
        steps::skip_extensions(&self.0, payload)
    }

    #[inline(always)]
    fn store_words<const N: usize>(&mut self, at: u32, words: &[u32; N]) -> bool {
        self.0.store_words(at, words)
    }

    #[inline(always)]
    fn store_u16(&mut self, at: u32, value: u16) -> bool {
        self.0.store_u16(at, value)
    }

    #[inline(always)]
    fn resize(&mut self, length: u32) -> bool {
        self.0.resize(length)
    }

    #[inline(always)]
    fn store_macs(&mut self, destination: u64, source: u64) -> bool {
        self.0.store_macs(destination, source)
    }

    #[inline(always)]
    fn store_front<const N: usize>(&mut self, macs: (u64, u64), ethertype: u16, header: &[u32; N]) -> bool {
        self.0.store_front(macs, ethertype, header)
    }
}

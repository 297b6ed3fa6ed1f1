//! The frame: the only packet pointers of the program.

use aya_ebpf::programs::XdpContext;
use balancer_common::packet::Packet;

/// Offsets beyond this are refused: it bounds what the verifier has to follow.
const MAX_OFFSET: u32 = 0x3fff;

/// The frame that the driver handed over.
pub(crate) struct Frame {
    start: usize,
    end: usize,
    ingress: u32,
}

impl Frame {
    /// From the program's context.
    #[inline(always)]
    pub(crate) fn new(ctx: &XdpContext) -> Self {
        // SAFETY: the context is valid for the whole run, and this field is readable (kernel 4.16).
        let ingress = unsafe { (*ctx.ctx).ingress_ifindex };
        Self { start: ctx.data(), end: ctx.data_end(), ingress }
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

    #[inline(always)]
    fn load<T: Copy>(&self, at: u32) -> Option<T> {
        let pointer = self.at::<T>(at)?;
        // SAFETY: `at` has checked the bounds; any bytes make a `T`, which is an integer.
        Some(unsafe { pointer.read_unaligned() })
    }
}

impl Packet for Frame {
    #[inline(always)]
    fn length(&self) -> u32 {
        (self.end - self.start) as u32
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        self.ingress
    }

    #[inline(always)]
    fn load_u8(&self, at: u32) -> Option<u8> {
        self.load(at)
    }

    #[inline(always)]
    fn load_be16(&self, at: u32) -> Option<u16> {
        self.load(at).map(u16::from_be)
    }

    #[inline(always)]
    fn load_u32(&self, at: u32) -> Option<u32> {
        self.load(at)
    }

    #[inline(always)]
    fn load_u64(&self, at: u32) -> Option<u64> {
        self.load(at)
    }

    #[inline(always)]
    fn store_macs(&mut self, destination: u64, source: u64) -> bool {
        let Some(header) = self.at::<[u8; 12]>(0) else { return false };
        // SAFETY: `at` has checked that twelve bytes lie within the frame; the frame is writable.
        unsafe {
            header.cast::<u32>().write_unaligned(destination as u32);
            header.byte_add(4).cast::<u16>().write_unaligned((destination >> 32) as u16);
            header.byte_add(6).cast::<u16>().write_unaligned(source as u16);
            header.byte_add(8).cast::<u32>().write_unaligned((source >> 16) as u32);
        }
        true
    }
}

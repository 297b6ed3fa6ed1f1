//! A frame, as the parser reads it and the forwarder writes it.

use crate::parse::{IpPayload, Refusal, ipv6};

/// A frame in memory, beginning at its Ethernet header. Offsets are bytes from there.
pub trait Packet {
    /// A header within the frame.
    type View<'a>: View
    where
        Self: 'a;

    /// Bytes of the frame.
    fn length(&self) -> u32;
    /// Index of the interface that it came in by.
    fn ingress(&self) -> u32;
    /// `N` bytes (at least two) at `at`, checked once against the end of the frame; `None` beyond it.
    fn view<const N: usize>(&self, at: u32) -> Option<Self::View<'_>>;
    /// The same where views before it make the check superfluous in the compiler's eyes, and not in the verifier's.
    fn view_anew<const N: usize>(&self, at: u32) -> Option<Self::View<'_>> {
        self.view::<N>(at)
    }
    /// Follows a chain of IPv6 extension headers: see [`ipv6::behind_extensions`].
    fn skip_extensions(&self, payload: IpPayload) -> Result<IpPayload, Refusal>
    where
        Self: Sized,
    {
        ipv6::behind_extensions(self, payload)
    }
    /// Writes these words, native, from offset `at` on; whether they fit.
    fn store_words<const N: usize>(&mut self, at: u32, words: &[u32; N]) -> bool;
    /// Writes two bytes, given in memory order, at `at`; whether they fit.
    fn store_u16(&mut self, at: u32, value: u16) -> bool;
    /// Cuts the frame's tail, or lets it grow at its front, where every driver has room, so that it has `length` bytes;
    /// whether that could be done. What was added is nothing in particular.
    fn resize(&mut self, length: u32) -> bool;
    /// Writes destination and source MAC address (low 48 bits, memory order); whether they fit.
    fn store_macs(&mut self, destination: u64, source: u64) -> bool;
    /// Writes what stands before an inner packet: MAC addresses as [`Packet::store_macs`], an ethertype (memory order)
    /// and the words of a header behind it; whether they fit.
    fn store_front<const N: usize>(&mut self, macs: (u64, u64), ethertype: u16, header: &[u32; N]) -> bool {
        self.store_macs(macs.0, macs.1) && self.store_u16(12, ethertype) && self.store_words(14, header)
    }
}

/// Bytes that are known to lie within the frame. Offsets are from its first byte, and below its length: the caller's
/// promise, which the host checks and the verifier proves.
pub trait View: Copy {
    /// One byte.
    fn u8(self, at: usize) -> u8;
    /// Two bytes in network order.
    fn be16(self, at: usize) -> u16;
    /// Four bytes, native.
    fn u32(self, at: usize) -> u32;
    /// Eight bytes, native.
    fn u64(self, at: usize) -> u64;

    /// Four bytes in network order.
    #[inline(always)]
    fn be32(self, at: usize) -> u32 {
        u32::from_be(self.u32(at))
    }
}

#[cfg(not(target_arch = "bpf"))]
mod host {
    use super::{Packet, View};

    /// A frame in a byte slice.
    #[derive(Debug)]
    pub struct SlicePacket<'a> {
        bytes: &'a mut [u8],
        start: usize,
        end: usize,
        ingress: u32,
    }

    impl<'a> SlicePacket<'a> {
        /// A frame that came in by the interface with index `ingress`. It does not grow.
        pub fn new(bytes: &'a mut [u8], ingress: u32) -> Self {
            Self::with_headroom(bytes, 0, ingress)
        }

        /// The same behind `headroom` bytes into which it may grow.
        ///
        /// # Panics
        /// If there are fewer.
        pub fn with_headroom(bytes: &'a mut [u8], headroom: usize, ingress: u32) -> Self {
            assert!(headroom <= bytes.len(), "{headroom} bytes of headroom in {}", bytes.len());
            Self { start: headroom, end: bytes.len(), bytes, ingress }
        }

        /// The frame as it is now.
        #[must_use]
        pub fn frame(&self) -> &[u8] {
            &self.bytes[self.start..self.end]
        }

        fn frame_mut(&mut self) -> &mut [u8] {
            &mut self.bytes[self.start..self.end]
        }
    }

    /// Bytes of a frame.
    #[derive(Clone, Copy, Debug)]
    pub struct SliceView<'a>(&'a [u8]);

    impl SliceView<'_> {
        fn array<const N: usize>(self, at: usize) -> [u8; N] {
            first_bytes(&self.0[at..])
        }
    }

    fn first_bytes<const N: usize>(bytes: &[u8]) -> [u8; N] {
        core::array::from_fn(|i| bytes[i])
    }

    impl View for SliceView<'_> {
        fn u8(self, at: usize) -> u8 {
            self.0[at]
        }

        fn be16(self, at: usize) -> u16 {
            u16::from_be_bytes(self.array(at))
        }

        fn u32(self, at: usize) -> u32 {
            u32::from_ne_bytes(self.array(at))
        }

        fn u64(self, at: usize) -> u64 {
            u64::from_ne_bytes(self.array(at))
        }
    }

    impl Packet for SlicePacket<'_> {
        type View<'b>
            = SliceView<'b>
        where
            Self: 'b;

        fn length(&self) -> u32 {
            (self.end - self.start) as u32
        }

        fn ingress(&self) -> u32 {
            self.ingress
        }

        fn view<const N: usize>(&self, at: u32) -> Option<SliceView<'_>> {
            let at = at as usize;
            Some(SliceView(self.frame().get(at..at + N)?))
        }

        fn store_words<const N: usize>(&mut self, at: u32, words: &[u32; N]) -> bool {
            let at = at as usize;
            let Some(place) = self.frame_mut().get_mut(at..at + 4 * N) else { return false };
            for (place, word) in place.chunks_exact_mut(4).zip(words) {
                place.copy_from_slice(&word.to_ne_bytes());
            }
            true
        }

        fn store_u16(&mut self, at: u32, value: u16) -> bool {
            let at = at as usize;
            let Some(place) = self.frame_mut().get_mut(at..at + 2) else { return false };
            place.copy_from_slice(&value.to_ne_bytes());
            true
        }

        fn resize(&mut self, length: u32) -> bool {
            let length = length as usize;
            let grown = length.saturating_sub(self.end - self.start);
            if grown > self.start {
                return false;
            }
            self.start -= grown;
            self.end = self.start + length;
            true
        }

        fn store_macs(&mut self, destination: u64, source: u64) -> bool {
            let Some(header) = self.frame_mut().first_chunk_mut::<12>() else { return false };
            header[..6].copy_from_slice(&destination.to_le_bytes()[..6]);
            header[6..].copy_from_slice(&source.to_le_bytes()[..6]);
            true
        }
    }
}

#[cfg(not(target_arch = "bpf"))]
pub use host::{SlicePacket, SliceView};

//! A frame, as the parser reads it and the forwarder writes it.

/// A frame in memory, beginning at its Ethernet header. Offsets are bytes from there.
///
/// Every read is checked against the end of the frame and answers `None` beyond it.
pub trait Packet {
    /// Bytes of the frame.
    fn length(&self) -> u32;
    /// Index of the interface that it came in by.
    fn ingress(&self) -> u32;
    /// One byte.
    fn load_u8(&self, at: u32) -> Option<u8>;
    /// Two bytes in network order.
    fn load_be16(&self, at: u32) -> Option<u16>;
    /// Four bytes, native.
    fn load_u32(&self, at: u32) -> Option<u32>;
    /// Eight bytes, native.
    fn load_u64(&self, at: u32) -> Option<u64>;
    /// Writes destination and source MAC address (low 48 bits, memory order); whether they fit.
    fn store_macs(&mut self, destination: u64, source: u64) -> bool;

    /// Four bytes in network order.
    #[inline(always)]
    fn load_be32(&self, at: u32) -> Option<u32> {
        Some(u32::from_be(self.load_u32(at)?))
    }
}

#[cfg(not(target_arch = "bpf"))]
mod host {
    use super::Packet;

    /// A frame in a byte slice.
    #[derive(Debug)]
    pub struct SlicePacket<'a> {
        bytes: &'a mut [u8],
        ingress: u32,
    }

    impl<'a> SlicePacket<'a> {
        /// A frame that came in by the interface with index `ingress`.
        pub fn new(bytes: &'a mut [u8], ingress: u32) -> Self {
            Self { bytes, ingress }
        }

        fn array<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
            self.bytes.get(at as usize..)?.first_chunk().copied()
        }
    }

    impl Packet for SlicePacket<'_> {
        fn length(&self) -> u32 {
            self.bytes.len() as u32
        }

        fn ingress(&self) -> u32 {
            self.ingress
        }

        fn load_u8(&self, at: u32) -> Option<u8> {
            self.array::<1>(at).map(|[byte]| byte)
        }

        fn load_be16(&self, at: u32) -> Option<u16> {
            self.array(at).map(u16::from_be_bytes)
        }

        fn load_u32(&self, at: u32) -> Option<u32> {
            self.array(at).map(u32::from_ne_bytes)
        }

        fn load_u64(&self, at: u32) -> Option<u64> {
            self.array(at).map(u64::from_ne_bytes)
        }

        fn store_macs(&mut self, destination: u64, source: u64) -> bool {
            let Some(header) = self.bytes.first_chunk_mut::<12>() else { return false };
            header[..6].copy_from_slice(&destination.to_le_bytes()[..6]);
            header[6..].copy_from_slice(&source.to_le_bytes()[..6]);
            true
        }
    }
}

#[cfg(not(target_arch = "bpf"))]
pub use host::SlicePacket;

//! A frame that notices what the kernel's verifier would have to refuse.

use crate::world::INGRESS;
use balancer_common::packet::{Packet, View};

/// A frame that insists on what is promised: a view lies within the frame, a read within its view.
pub(crate) struct Guarded {
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(crate) struct GuardedView<'a>(&'a [u8]);

impl GuardedView<'_> {
    fn read<const N: usize>(self, at: usize) -> [u8; N] {
        let length = self.0.len();
        let bytes = self.0.get(at..at + N);
        let Some(bytes) = bytes else { panic!("{N} bytes at {at} of a view of {length}") };
        std::array::from_fn(|i| bytes[i])
    }
}

impl View for GuardedView<'_> {
    fn u8(self, at: usize) -> u8 {
        self.read::<1>(at)[0]
    }

    fn be16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.read(at))
    }

    fn u32(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.read(at))
    }

    fn u64(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.read(at))
    }
}

impl Packet for Guarded {
    type View<'a> = GuardedView<'a>;

    fn length(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn ingress(&self) -> u32 {
        INGRESS
    }

    fn view<const N: usize>(&self, at: u32) -> Option<GuardedView<'_>> {
        self.bytes.get(at as usize..at as usize + N).map(GuardedView)
    }

    fn store_words<const N: usize>(&mut self, at: u32, words: &[u32; N]) -> bool {
        let bytes = self.bytes.get_mut(at as usize..at as usize + 4 * N);
        let Some(bytes) = bytes else { return false };
        bytes.copy_from_slice(&words.map(u32::to_ne_bytes).concat());
        true
    }

    fn store_u16(&mut self, at: u32, value: u16) -> bool {
        let Some(bytes) = self.bytes.get_mut(at as usize..at as usize + 2) else { return false };
        bytes.copy_from_slice(&value.to_ne_bytes());
        true
    }

    fn resize(&mut self, length: u32) -> bool {
        let added = (length as usize).saturating_sub(self.bytes.len());
        self.bytes.splice(..0, std::iter::repeat_n(0xaa, added));
        self.bytes.truncate(length as usize);
        true
    }

    fn store_macs(&mut self, destination: u64, source: u64) -> bool {
        if self.bytes.len() < 12 {
            return false;
        }
        self.bytes[..6].copy_from_slice(&destination.to_le_bytes()[..6]);
        self.bytes[6..12].copy_from_slice(&source.to_le_bytes()[..6]);
        true
    }
}

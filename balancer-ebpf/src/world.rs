//! The kernel's side of the shared code's traits.

use crate::{
    atomic,
    maps::{self, Lines},
};
use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};
use balancer_common::{
    env::{Env, Signal, Transition, traffic},
    reason::Reason,
    settings::Settings,
    table::{TableId, line::Line},
};
use core::{cell::UnsafeCell, mem::MaybeUninit};

/// Written by the agent before load. In a read-only section, which the kernel freezes; behind a cell, so that
/// the compiler does not take the zeros of the object for the values.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.settings")]
static SETTINGS: Constants = Constants(UnsafeCell::new(MaybeUninit::zeroed()));

#[repr(transparent)]
struct Constants(UnsafeCell<MaybeUninit<Settings>>);

// SAFETY: nobody writes it after load.
unsafe impl Sync for Constants {}

/// A line in a map.
#[repr(transparent)]
pub(crate) struct KernelLine([UnsafeCell<u64>; 8]);

impl KernelLine {
    #[inline(always)]
    fn part<T: Copy>(&self, index: usize) -> *mut T {
        self.0.as_ptr().cast::<T>().cast_mut().wrapping_add(index)
    }
}

impl Line for KernelLine {
    #[inline(always)]
    fn load(&self, word: usize) -> u64 {
        // SAFETY: the line lives as long as the program; others change it, so every read goes to memory.
        unsafe { self.part::<u64>(word).read_volatile() }
    }

    #[inline(always)]
    fn store(&self, word: usize, value: u64) {
        // SAFETY: as above; an aligned store of eight bytes is one instruction.
        unsafe { self.part::<u64>(word).write_volatile(value) }
    }

    #[inline(always)]
    fn load_half(&self, half: usize) -> u32 {
        // SAFETY: as above.
        unsafe { self.part::<u32>(half).read_volatile() }
    }

    #[inline(always)]
    fn store_half(&self, half: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.part::<u32>(half).write_volatile(value) }
    }

    #[inline(always)]
    fn load_quarter(&self, quarter: usize) -> u16 {
        // SAFETY: as above.
        unsafe { self.part::<u16>(quarter).read_volatile() }
    }

    #[inline(always)]
    fn compare_exchange(&self, word: usize, old: u64, new: u64) -> bool {
        // SAFETY: as above; `word` is 0 to 7.
        unsafe { atomic::compare_exchange(self.part(word), old, new) }
    }

    #[inline(always)]
    fn add(&self, word: usize, delta: u64) {
        // SAFETY: as above.
        unsafe { atomic::add(self.part(word), delta) };
    }
}

/// The kernel.
pub(crate) struct Kernel;

/// A line of a table.
#[inline(always)]
pub(crate) fn line(map: &'static Lines, index: u32) -> Option<&'static KernelLine> {
    let pointer = map.get_ptr(index)?.cast::<KernelLine>();
    // SAFETY: a map value of 64 aligned bytes; a line is cells, so others may change it.
    Some(unsafe { &*pointer })
}

impl Env for Kernel {
    type Line = KernelLine;

    #[inline(always)]
    fn settings(&self) -> &Settings {
        // SAFETY: initialised (zeros are valid, and the agent has written it before load), never written again.
        unsafe { (*SETTINGS.0.get()).assume_init_ref() }
    }

    #[inline(always)]
    fn line(&self, table: TableId, index: u32) -> Option<&KernelLine> {
        match table {
            TableId::Flows4 => line(&maps::FLOWS4, index),
            TableId::Flows6 => line(&maps::FLOWS6, index),
            TableId::Embryonic4 => line(&maps::EMBRYONIC4, index),
            TableId::Embryonic6 => line(&maps::EMBRYONIC6, index),
            TableId::Pins4 => line(&maps::PINS4, index),
            TableId::Pins6 => line(&maps::PINS6, index),
            TableId::Tentative4 => line(&maps::TENTATIVE4, index),
            TableId::Tentative6 => line(&maps::TENTATIVE6, index),
            TableId::Root => line(&maps::ROOT, index),
            TableId::Index => line(&maps::INDEX, index),
            TableId::Listeners => line(&maps::LISTENERS, index),
            TableId::Services => line(&maps::SERVICES, index),
            TableId::Maglev => line(&maps::MAGLEV, index),
            TableId::Backends => line(&maps::BACKENDS, index),
            TableId::Interfaces => line(&maps::INTERFACES, index),
            TableId::Gauges => line(&maps::GAUGES, index),
            TableId::Ledger => line(&maps::LEDGER, index),
            TableId::Ways => line(&maps::WAYS, index),
            TableId::Ports4 => line(&maps::PORTS4, index),
            TableId::Ports6 => line(&maps::PORTS6, index),
            TableId::Nat4 => line(&maps::NAT4, index),
            TableId::Nat6 => line(&maps::NAT6, index),
        }
    }

    #[inline(always)]
    fn jiffies(&self) -> u64 {
        // SAFETY: reads a kernel variable; inlined by the JIT.
        unsafe { bpf_jiffies64() }
    }

    #[inline(always)]
    fn may_speak(&self) -> bool {
        let now = self.jiffies();
        let Some(spoken) = maps::SPOKEN.get_ptr_mut(0) else { return false };
        // SAFETY: this CPU's own value.
        unsafe { core::mem::replace(&mut *spoken, now) != now }
    }

    #[inline(always)]
    fn count_transition(&self, backend: u16, transition: Transition) {
        if let Some(counters) = maps::TRAFFIC.get_ptr_mut(u32::from(backend)) {
            // SAFETY: this CPU's own value; `transition` is one of five, so the place is 2 to 6.
            unsafe { *counters.cast::<u64>().add(traffic::TRANSITIONS + transition as usize) += 1 };
        }
    }

    #[inline(always)]
    fn micros(&self) -> u32 {
        // SAFETY: reads a clock.
        (unsafe { bpf_ktime_get_ns() } / 1000) as u32
    }

    #[inline(always)]
    fn signal(&self, backend: u16, signal: Signal, amount: u64) {
        if let Some(counters) = maps::SIGNALS.get_ptr_mut(u32::from(backend)) {
            // SAFETY: this CPU's own value; a signal's place is below eight.
            unsafe { *counters.cast::<u64>().add(signal as usize) += amount };
        }
    }

    #[inline(always)]
    fn forwarded(&self, backend: u16, reason: u32, bytes: u32) {
        // The reason of nearly all packets is counted in the backend's own line: one look-up fewer for each.
        let settled = reason == Reason::Flow.index();
        if let Some(counters) = maps::TRAFFIC.get_ptr_mut(u32::from(backend)) {
            // SAFETY: this CPU's own value.
            unsafe {
                (*counters)[if settled { traffic::SETTLED } else { traffic::OTHERS }] += 1;
                (*counters)[traffic::BYTES] += u64::from(bytes);
            }
        }
        if !settled {
            self.count_index(reason);
        }
    }

    #[inline(always)]
    fn count_index(&self, index: u32) {
        if let Some(counter) = maps::REASONS.get_ptr_mut(index) {
            // SAFETY: this CPU's own value.
            unsafe { *counter += 1 };
        }
    }
}

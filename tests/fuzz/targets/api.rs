//! [`balancer_fuzz::api`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| balancer_fuzz::api(input));

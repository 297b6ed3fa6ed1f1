//! What the kernel and the host share: table layouts, parsing, hashing, Maglev and every decision.
#![no_std]

pub mod state;

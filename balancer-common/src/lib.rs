//! What the kernel and the host share: table layouts, parsing, hashing, Maglev and every decision.
//!
//! Everything here is `no_std`, allocates nothing, and runs unchanged in the XDP program, in the agent
//! (`explain`, the sweeper) and in the tests. What differs between those worlds is behind three small
//! traits: [`Packet`](packet::Packet) reads and writes a frame, [`Line`](table::line::Line) is 64 bytes
//! of shared memory, and [`Env`](env::Env) hands out lines, the time and the counters.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod checksum;
pub mod decap;
pub mod env;
pub mod hash;
pub mod layout;
pub mod maglev;
pub mod packet;
pub mod parse;
pub mod probe;
pub mod reason;
pub mod serve;
pub mod settings;
pub mod state;
pub mod table;
pub mod walk;

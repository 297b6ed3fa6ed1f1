//! The lab: network namespaces on this machine with a balancer, real clients and real backends, and what the demo and
//! the namespace tests do in it.
//!
//! [`topology`] says who is there, [`shape`] where, [`lifecycle`] brings it up and down, [`agent`] is the balancer under test, [`node`]
//! are the servers and clients that run inside, [`crowd`] commands the clients, and [`demo`] is the show.
#![deny(unsafe_code)]

pub mod agent;
pub mod config;
pub mod crowd;
pub mod demo;
pub mod fixture;
pub mod lifecycle;
pub mod napi;
pub mod netns;
pub mod network;
pub mod node;
pub mod packets;
pub mod paths;
pub mod process;
pub mod programs;
pub mod servers;
pub mod shape;
pub mod signals;
pub mod topology;
pub mod wire;

/// Whether tests run their long form: `BALANCER_LONG=1`.
#[must_use]
pub fn long() -> bool {
    std::env::var("BALANCER_LONG").is_ok_and(|value| value == "1")
}

//! The balancer agent and its command line.

pub mod api;
pub mod cli;

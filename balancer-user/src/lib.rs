//! The balancer agent and its command line.

pub mod cli;
pub mod config;

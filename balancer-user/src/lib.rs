//! The balancer agent and its command line.

pub mod api;
pub mod cli;
pub mod config;
pub mod dataplane;
pub mod health;
pub mod net;
mod sys;

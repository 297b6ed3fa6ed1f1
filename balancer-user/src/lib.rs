//! The balancer agent and its command line.

pub mod agent;
pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod dataplane;
pub mod health;
pub mod lock;
pub mod metrics;
pub mod net;
mod sys;

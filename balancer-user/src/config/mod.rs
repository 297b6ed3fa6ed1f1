//! The configuration: TOML text → validated [`Config`], or every problem of the text with its place and remedy.
//!
//! [`keys`] is the one table of keys: validation, defaults, "did you mean", [`example`], the reference page and the
//! effect of a change all come from it.

mod agent;
mod backend;
mod diff;
mod endpoint;
mod example;
mod footprint;
mod health;
pub mod keys;
mod listen;
mod load;
pub mod model;
mod nat;
mod place;
mod problem;
mod reference;
mod rules;
mod scalar;
mod service;
mod settings;
mod sources;
mod suggest;
mod syntax;
mod table;

pub use self::{
    diff::{Change, Target, What, diff},
    example::example,
    footprint::{Footprint, footprint},
    load::{Host, Loaded, load, parse, parse_on},
    model::*,
    nat::{PoolShape, SPARE_BLOCKS, dimensions, sources_of},
    problem::{Fault, Problem, Problems, Severity},
    reference::reference,
    settings::{Setting, agent_settings, backend_settings, limit_settings, service_settings},
};

/// Where the file is when the command line does not say.
pub const DEFAULT_PATH: &str = "/etc/balancer/balancer.toml";

/// Services of one host at most: number 0 of each kind is none.
pub const MAX_SERVICES: usize = balancer_common::table::service::MAX_SERVICES as usize - 1;
/// Listeners of all services at most.
pub const MAX_LISTENERS: usize = balancer_common::table::listener::MAX_LISTENERS as usize / 2 - 1;
/// Backends of all services at most.
pub const MAX_BACKENDS: usize = balancer_common::table::backend::MAX_BACKENDS as usize - 1;

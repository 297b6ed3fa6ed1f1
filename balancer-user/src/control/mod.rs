//! Desired state → tables: what the operator wants, what the network says, and the steps from what stands.
//!
//! [`desired`] puts the file and the [`runtime`] changes together, [`judge`] decides what each backend may do,
//! [`reconcile`] orders the steps from the tables as they stand to that, [`apply`] takes them. All of it but
//! the last is pure. [`Control`] owns the state and is the one who writes the tables; [`Handle`] is how the
//! rest of the agent asks it.

pub mod apply;
pub mod blocks;
pub mod causes;
mod controller;
pub mod desired;
pub mod entries;
mod handle;
pub mod journal;
pub mod judge;
mod maglev;
pub mod names;
pub mod numbers;
pub mod origins;
pub mod path_mtu;
pub mod reconcile;
pub mod resets;
pub mod runtime;
pub mod store;
pub mod verdicts;

#[cfg(test)]
pub(crate) mod testing;

pub use self::{
    controller::{Control, Environment, Prepared, StartError, Word, carries},
    handle::{Handle, Message, ReloadCall},
    maglev::MaglevInputs,
};

//! Health checks: a pure state machine, one checker a file, and the scheduler that runs them.
//!
//! [`machine`] decides, [`tcp`] and [`http`] ask, by one [`way`] or the other as [`choice`] has it, [`scheduler`] says when. What follows from a verdict
//! (who gets new clients, what happens to flows) is none of this module's business.

pub mod choice;
pub mod error;
pub mod http;
pub mod machine;
pub mod probe;
pub mod scheduler;
pub mod target;
pub mod tcp;
pub mod way;

#[cfg(test)]
mod testing;

pub use choice::{Guises, Ways, may_go_by_datapath};
pub use error::CheckError;
pub use machine::{Adopted, Machine, Outcome, Transition};
pub use scheduler::{HealthEvent, Scheduler};
pub use target::{BackendKey, Target};
pub use way::Way;

//! The balancer agent and its command line.

pub mod health;
pub mod net;

pub mod config {
    //! The configuration.

    pub mod model;
}

//! HTTP and JSON over the agent's unix socket: the documents, the routes and the client.

pub mod client;
pub mod routes;
pub mod server;
pub mod types;

/// Where the agent listens unless its configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/balancer/api.sock";

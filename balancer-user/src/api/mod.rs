//! HTTP and JSON over the agent's unix socket: the documents, the routes and the client.

pub mod routes;
pub mod types;

//! What runs inside the namespaces: the servers of a backend, and the many clients of a client host.

pub mod clients;
pub mod ledger;
pub mod lines;
pub mod lines_server;
pub mod probe;
pub mod session;
pub mod talk;
mod tcp_server;
pub mod udp;
pub mod udp_server;
pub mod ws;
pub mod ws_server;

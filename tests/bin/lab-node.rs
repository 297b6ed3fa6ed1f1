//! The lab's own servers and clients, which run inside its namespaces.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use lab::node::{
    clients::{self, Targets},
    lines::Lines,
    lines_server,
    udp::Udp,
    udp_server,
    ws::Ws,
    ws_server,
};

/// Servers and clients of the lab.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// A WebSocket server that counts each session's messages.
    WsServer {
        #[command(flatten)]
        server: Server,
    },
    /// A UDP server that counts each client's datagrams.
    UdpServer {
        #[command(flatten)]
        server: Server,
        /// Address to serve; one for each, so that answers come from the address that was asked.
        #[arg(long = "address", required = true)]
        addresses: Vec<IpAddr>,
    },
    /// A server of lines over TCP that counts each session's messages.
    LinesServer {
        #[command(flatten)]
        server: Server,
    },
    /// Many WebSocket clients, commanded by JSON lines on stdin.
    WsClients {
        #[command(flatten)]
        target: Target,
    },
    /// Many clients that speak in lines over TCP, commanded by JSON lines on stdin.
    LinesClients {
        #[command(flatten)]
        target: Target,
    },
    /// Many UDP clients, commanded by JSON lines on stdin.
    UdpClients {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
struct Server {
    /// Name that it answers with.
    #[arg(long)]
    name: String,
    /// Port to listen on.
    #[arg(long)]
    port: u16,
}

#[derive(Args)]
struct Target {
    /// Where v4 clients connect to, ADDRESS:PORT.
    #[arg(long)]
    v4: SocketAddr,
    /// Where v6 clients connect to, `[ADDRESS]:PORT`.
    #[arg(long)]
    v6: SocketAddr,
}

impl From<Target> for Targets {
    fn from(Target { v4, v6 }: Target) -> Self {
        Self { v4, v6 }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Cli::parse().role {
        Role::WsServer { server } => ws_server::serve(&server.name, server.port).await,
        Role::LinesServer { server } => lines_server::serve(&server.name, server.port).await,
        Role::UdpServer { server, addresses } => {
            udp_server::serve(&server.name, &addresses, server.port).await
        }
        Role::WsClients { target } => clients::obey::<Ws>(target.into()).await,
        Role::LinesClients { target } => clients::obey::<Lines>(target.into()).await,
        Role::UdpClients { target } => clients::obey::<Udp>(target.into()).await,
    }
}

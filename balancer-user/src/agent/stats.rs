//! The server of `/metrics`, `/healthz` and `/readyz`.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, time};

use crate::{
    control::{Control, Handle},
    metrics,
};

/// An owner of the state that does not answer within this hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Binds the address.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let named = || format!("stats address {address}: is another program on it? agent.stats sets another one");
    TcpListener::bind(address).await.with_context(named)
}

/// Serves until it is aborted.
pub(super) async fn serve(listener: TcpListener, handle: Handle) {
    if let Err(error) = axum::serve(listener, router(handle)).await {
        tracing::error!("the stats server has ended: {error}");
    }
}

fn router(handle: Handle) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(handle)
}

async fn metrics(State(handle): State<Handle>) -> Response {
    match asked(&handle, |control| control.snapshot()).await.map(metrics::render) {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// The agent lives.
async fn healthz(State(handle): State<Handle>) -> Response {
    match asked(&handle, |_| ()).await {
        Ok(()) => "ok\n".into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Packets are forwarded: XDP is on every interface.
async fn readyz(State(handle): State<Handle>) -> Response {
    match asked(&handle, |control| control.unattached()).await {
        Ok(missing) if missing.is_empty() => "ok\n".into_response(),
        Ok(missing) => {
            let text = format!("XDP is not attached to {}\n", missing.join(", "));
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn asked<T: Send + 'static>(
    handle: &Handle,
    question: impl FnOnce(&mut Control) -> T + Send + 'static,
) -> Result<T, (StatusCode, String)> {
    let unavailable = |text: String| (StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n"));
    match time::timeout(PATIENCE, handle.ask(question)).await {
        Ok(answer) => answer.map_err(|error| unavailable(error.message)),
        Err(_) => Err(unavailable("the agent is busy".to_owned())),
    }
}

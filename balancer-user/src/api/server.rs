//! The server of the API: each route asks the owner of the state and shows the answer.

use std::path::Path as FilePath;

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, State, connect_info::Connected},
    routing::{get, post, put},
    serve::IncomingStream,
};
use tokio::net::UnixListener;

use self::extract::{Answer, Body, Query, no_method, no_route};
use super::{
    routes,
    types::{
        AddBackend, BackendDoc, BackendsDoc, DeleteQuery, DetachDoc, ExplainDoc, ExplainRequest,
        FlowCountDoc, FlowQuery, FlowsDoc, PinQuery, PinsDoc, ReleaseDoc, ReleaseQuery, ReloadDoc,
        ReloadRequest, ServiceDoc, ServicesDoc, SetAdmin, SetWeight, StatusDoc,
    },
};
use crate::{control::Handle, net::ssh::SshSession};

mod extract;

/// Names of a service and one of its backends, or of a service and a client.
type Two = Path<(String, String)>;

/// Who is at the other end of the socket; by default nobody that is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    pid: Option<i32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { pid: stream.io().peer_cred().ok().and_then(|peer| peer.pid()) }
    }
}

impl Peer {
    /// The SSH session that the peer was started from.
    fn session(self) -> Option<SshSession> {
        SshSession::of_process(FilePath::new("/proc"), self.pid?.try_into().ok()?)
    }
}

/// All routes.
pub fn router(handle: Handle) -> Router {
    Router::new()
        .route(routes::STATUS, get(status))
        .route(routes::SERVICES, get(services))
        .route(routes::SERVICE, get(service))
        .route(routes::BACKENDS, get(backends).post(add))
        .route(routes::BACKEND, axum::routing::delete(delete))
        .route(routes::BACKEND_ADMIN, put(set_admin))
        .route(routes::BACKEND_WEIGHT, put(set_weight))
        .route(routes::FLOWS, get(flows))
        .route(routes::FLOW_COUNT, get(flow_count))
        .route(routes::PINS, get(pins))
        .route(routes::PINS_OF, axum::routing::delete(release_pins))
        .route(routes::PIN, get(pin).delete(delete_pin))
        .route(routes::EXPLAIN, post(explain))
        .route(routes::RELOAD, post(reload))
        .route(routes::DETACH, post(detach))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(handle)
}

async fn status(State(handle): State<Handle>) -> Answer<StatusDoc> {
    Ok(Json(handle.ask(|control| control.status_doc()).await?))
}

async fn services(State(handle): State<Handle>) -> Answer<ServicesDoc> {
    Ok(Json(handle.ask(|control| control.services_doc()).await?))
}

async fn service(State(handle): State<Handle>, Path(service): Path<String>) -> Answer<ServiceDoc> {
    Ok(Json(handle.ask(move |control| control.service_doc(&service)).await??))
}

async fn backends(State(handle): State<Handle>, Path(service): Path<String>) -> Answer<BackendsDoc> {
    Ok(Json(handle.ask(move |control| control.backends_doc(&service)).await??))
}

async fn add(
    State(handle): State<Handle>,
    Path(service): Path<String>,
    Body(add): Body<AddBackend>,
) -> Answer<BackendDoc> {
    Ok(Json(handle.ask(move |control| control.add(&service, &add)).await??))
}

async fn delete(
    State(handle): State<Handle>,
    Path((service, backend)): Two,
    Query(query): Query<DeleteQuery>,
) -> Answer<BackendDoc> {
    Ok(Json(handle.ask(move |control| control.delete(&service, &backend, query)).await??))
}

async fn set_admin(
    State(handle): State<Handle>,
    Path((service, backend)): Two,
    Body(set): Body<SetAdmin>,
) -> Answer<BackendDoc> {
    Ok(Json(handle.ask(move |control| control.set_admin(&service, &backend, set)).await??))
}

async fn set_weight(
    State(handle): State<Handle>,
    Path((service, backend)): Two,
    Body(set): Body<SetWeight>,
) -> Answer<BackendDoc> {
    Ok(Json(handle.ask(move |control| control.set_weight(&service, &backend, set)).await??))
}

async fn flows(State(handle): State<Handle>, Query(query): Query<FlowQuery>) -> Answer<FlowsDoc> {
    Ok(Json(handle.ask(move |control| control.flows_doc(&query)).await??))
}

async fn flow_count(State(handle): State<Handle>) -> Answer<FlowCountDoc> {
    Ok(Json(handle.ask(|control| control.flow_count_doc()).await?))
}

async fn pins(State(handle): State<Handle>, Query(query): Query<PinQuery>) -> Answer<PinsDoc> {
    Ok(Json(handle.ask(move |control| control.pins_doc(&query)).await??))
}

async fn release_pins(
    State(handle): State<Handle>,
    Path(service): Path<String>,
    Query(query): Query<ReleaseQuery>,
) -> Answer<ReleaseDoc> {
    Ok(Json(handle.ask(move |control| control.release_pins(&service, query)).await??))
}

async fn pin(State(handle): State<Handle>, Path((service, client)): Two) -> Answer<PinsDoc> {
    Ok(Json(handle.ask(move |control| control.pin_doc(&service, &client)).await??))
}

async fn delete_pin(State(handle): State<Handle>, Path((service, client)): Two) -> Answer<PinsDoc> {
    Ok(Json(handle.ask(move |control| control.delete_pin(&service, &client)).await??))
}

async fn explain(
    State(handle): State<Handle>,
    Body(request): Body<ExplainRequest>,
) -> Answer<Vec<ExplainDoc>> {
    let questions = match request {
        ExplainRequest::One(question) => vec![question],
        ExplainRequest::Many(questions) => questions,
    };
    Ok(Json(handle.ask(move |control| control.explain(&questions)).await?))
}

async fn reload(
    State(handle): State<Handle>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<ReloadRequest>,
) -> Answer<ReloadDoc> {
    Ok(Json(handle.reload(request, peer.session()).await?))
}

async fn detach(State(handle): State<Handle>) -> Answer<DetachDoc> {
    Ok(Json(handle.detach().await?))
}

#[cfg(test)]
mod tests;

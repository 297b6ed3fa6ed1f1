use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::{
    api::{
        client::{Client, ClientError},
        types::{ApiError, ErrorCode},
    },
    config,
    control::{Control, Environment, Message},
    dataplane::Dataplane,
};

const SEED: [u8; 16] = [7; 16];
const FILE: &str = "schema = 1\n[agent]\ninterfaces = [\"eth0\"]\n[limits]\nflows = 1000\npins = 1000\n\
    [[service]]\nname = \"ws\"\nlisten = [\"203.0.113.10:443/tcp\"]\nmaglev_size = 1009\n\
    [[service.backend]]\nname = \"ws-1\"\naddress = \"10.0.0.1\"\n\
    [[service.backend]]\nname = \"ws-2\"\naddress = \"10.0.0.2\"\n";

/// A server over tables in heap memory.
struct Bench {
    _directory: TempDir,
    client: Client,
    socket: PathBuf,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config_path = directory.path().join("balancer.toml");
        let state_dir = format!("interfaces = [\"eth0\"]\nstate_dir = {:?}", directory.path());
        std::fs::write(&config_path, FILE.replace("interfaces = [\"eth0\"]", &state_dir)).unwrap();
        let config = config::load(&config_path).unwrap().config;
        let tables = Dataplane::in_memory(config::dimensions(&config), SEED);
        let control = Control::start(Environment { config, config_path, tables, seed: SEED }).unwrap();
        let (handle, messages) = Handle::new();
        tokio::spawn(own(control, messages));
        let socket = directory.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let service = router(handle).into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { _directory: directory, client: Client::new(socket.clone()), socket }
    }

    /// The status and body of a raw request.
    async fn raw(&self, request: &str) -> (u16, Value) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::UnixStream::connect(&self.socket).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }
}

/// Stands in for the agent's loop.
async fn own(mut control: Control, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.recv().await {
        match message {
            Message::Job(job) => job(&mut control),
            Message::Reload(call) => {
                let result = control.prepare(call.request, call.session).and_then(|it| control.apply(it));
                drop(call.reply.send(result));
            }
            Message::Detach(reply) => {
                let removed = BTreeMap::from([(0, "eth0".to_owned())]).into_values().collect();
                drop(reply.send(Ok(DetachDoc { schema: Default::default(), removed })));
            }
        }
    }
}

fn refusal(error: ClientError) -> ApiError {
    match error {
        ClientError::Api(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_document_is_served() {
    let bench = Bench::new().await;
    let client = &bench.client;
    let status: StatusDoc = client.get(routes::STATUS).await.unwrap();
    assert_eq!((status.services, status.pid), (1, std::process::id()));
    let services: ServicesDoc = client.get(routes::SERVICES).await.unwrap();
    assert_eq!(services.services[0].listen, ["203.0.113.10:443/tcp"]);
    let service: ServiceDoc = client.get(&routes::path(routes::SERVICE, &["ws"])).await.unwrap();
    assert_eq!(service.service.maglev_size, 1009);
    let backends: BackendsDoc = client.get(&routes::path(routes::BACKENDS, &["ws"])).await.unwrap();
    assert_eq!(backends.backends.len(), 2);
    let flows: FlowsDoc = client.get(routes::FLOWS).await.unwrap();
    assert!(flows.flows.is_empty());
    let count: FlowCountDoc = client.get(routes::FLOW_COUNT).await.unwrap();
    assert_eq!(count.counts.len(), 2);
    let pins: PinsDoc = client.get(&format!("{}?service=ws&limit=3", routes::PINS)).await.unwrap();
    assert!(pins.pins.is_empty());
    let reloaded: ReloadDoc = client.post(routes::RELOAD, &ReloadRequest::default()).await.unwrap();
    assert!(reloaded.changes.is_empty());
    let detached: DetachDoc = client.post(routes::DETACH, &()).await.unwrap();
    assert_eq!(detached.removed, ["eth0"]);
}

#[tokio::test]
async fn verbs_answer_with_how_the_backend_stands() {
    let bench = Bench::new().await;
    let client = &bench.client;
    let of = |route| routes::path(route, &["ws", "ws-1"]);
    let set = SetWeight { weight: 7, force: false };
    let weighed: BackendDoc = client.put(&of(routes::BACKEND_WEIGHT), &set).await.unwrap();
    assert_eq!(weighed.backend.weight, 7);
    let set = SetAdmin { force: true, ..SetAdmin::to(balancer_common::state::Admin::Drain) };
    let drained: BackendDoc = client.put(&of(routes::BACKEND_ADMIN), &set).await.unwrap();
    assert_eq!(drained.backend.remaining, Some(0));
    let add =
        AddBackend { name: "ws-5".to_owned(), addresses: vec!["10.0.0.5".parse().unwrap()], weight: None };
    let added: BackendDoc = client.post(&routes::path(routes::BACKENDS, &["ws"]), &add).await.unwrap();
    assert_eq!(added.backend.weight, 100);
    let query = DeleteQuery { now: true, force: true };
    let deleted: BackendDoc = client.delete(&of(routes::BACKEND), &query).await.unwrap();
    assert_eq!(deleted.backend.name, "ws-1");
    let backends: BackendsDoc = client.get(&routes::path(routes::BACKENDS, &["ws"])).await.unwrap();
    let names: Vec<_> = backends.backends.into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["ws-2", "ws-5"]);
}

#[tokio::test]
async fn errors_come_with_their_status_and_remedy() {
    let bench = Bench::new().await;
    let path = routes::path(routes::SERVICE, &["wss"]);
    let error = refusal(bench.client.get::<ServiceDoc>(&path).await.unwrap_err());
    assert_eq!((error.code, error.remedy.as_deref()), (ErrorCode::NotFound, Some("did you mean \"ws\"?")));
    let (status, body) = bench.raw("GET /v1/nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not-found")));
    let (status, body) =
        bench.raw("DELETE /v1/status HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("invalid")));
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_not_carried_out() {
    let bench = Bench::new().await;
    for body in ["{\"weight\":1,\"frce\":true}", "{\"weight\":-1}", "{", ""] {
        let length = body.len();
        let request = format!(
            "PUT /v1/services/ws/backends/ws-1/weight HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let (status, answer) = bench.raw(&request).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid")), "{body}: {answer}");
    }
    let path = routes::path(routes::BACKENDS, &["ws"]);
    let backends: BackendsDoc = bench.client.get(&path).await.unwrap();
    assert!(backends.backends.iter().all(|row| row.weight == 100));
}

#[tokio::test]
async fn a_list_of_questions_is_answered_in_its_order() {
    let bench = Bench::new().await;
    let question = |host: u8| crate::api::types::ExplainQuestion {
        source: [198, 51, 100, host].into(),
        source_port: None,
        destination: [203, 0, 113, 10].into(),
        port: if host == 2 { 80 } else { 443 },
        proto: balancer_common::state::Proto::Tcp,
    };
    let request = ExplainRequest::Many(vec![question(1), question(2)]);
    let answers: Vec<ExplainDoc> = bench.client.post(routes::EXPLAIN, &request).await.unwrap();
    let shown: Vec<_> = answers.iter().map(|it| (&*it.client, it.service.as_deref())).collect();
    assert_eq!(shown, [("198.51.100.1", Some("ws")), ("198.51.100.2", None)]);
}

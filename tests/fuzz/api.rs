//! Any bytes as requests to the agent.

use std::{fs, path::Path};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::connect_info::MockConnectInfo,
    http::{Request, header::CONTENT_TYPE},
};
use balancer_user::{
    api::{
        server::{Peer, router},
        types::{
            AddBackend, DeleteQuery, DetachDoc, ErrorDoc, ExplainRequest, FlowQuery, PinQuery, ReleaseQuery,
            ReloadRequest, SetAdmin, SetWeight,
        },
    },
    config,
    control::{Control, Environment, Handle, Message, journal::Journal},
    dataplane::Dataplane,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

const SEED: [u8; 16] = [7; 16];
/// Bytes of an answer at most.
const ANSWER_MAX: usize = 1 << 20;

/// The file of the agent, and what it may be changed to by a line `FILE NUMBER`: a backend less, one more, one drained.
const BACKENDS: [&str; 3] = [
    "name = \"a\"\naddress = \"10.0.0.1\"\n[[service.backend]]\nname = \"b\"\naddress = \"10.0.0.2\"",
    "name = \"a\"\naddress = \"10.0.0.1\"\nweight = 3\n[[service.backend]]\nname = \"c\"\naddress = \"10.0.0.3\"",
    "name = \"b\"\naddress = \"10.0.0.2\"\nstate = \"drain\"",
];

/// The input is one body or query of each request, and then, line by line, `METHOD PATH BODY` of requests to an agent
/// over tables in memory. What is read is written and read back as it was; each request has an answer that is a
/// document of the API, with the status that goes with it; and the agent starts again from the journal that it left.
///
/// # Panics
/// If that does not hold.
pub fn api(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    bodies(text);
    queries(text);
    if text.lines().any(|line| line.starts_with(['G', 'P', 'D'])) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime of one thread").block_on(serve(text));
    }
}

fn bodies(text: &str) {
    fn body<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) {
        let Ok(value) = serde_json::from_str::<T>(text) else { return };
        let written = serde_json::to_string(&value).expect("what was read can be written");
        assert_eq!(serde_json::from_str::<T>(&written).ok().as_ref(), Some(&value), "by way of {written}");
    }
    body::<AddBackend>(text);
    body::<SetAdmin>(text);
    body::<SetWeight>(text);
    body::<ExplainRequest>(text);
    body::<ReloadRequest>(text);
    body::<ErrorDoc>(text);
}

fn queries(text: &str) {
    fn query<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) {
        let Ok(value) = serde_urlencoded::from_str::<T>(text) else { return };
        let written = serde_urlencoded::to_string(&value).expect("what was read can be written");
        assert_eq!(serde_urlencoded::from_str::<T>(&written).as_ref(), Ok(&value), "by way of {written}");
    }
    query::<DeleteQuery>(text);
    query::<FlowQuery>(text);
    query::<PinQuery>(text);
    query::<ReleaseQuery>(text);
}

/// The configuration file with these backends.
fn file(state_dir: &Path, backends: &str) -> String {
    format!(
        "schema = 1\n[agent]\ninterfaces = [\"eth0\"]\nstate_dir = {state_dir:?}\n[limits]\nflows = 1000\n\
         pins = 1000\n[[service]]\nname = \"ws\"\nlisten = [\"203.0.113.10:443/tcp\", \"[2001:db8::10]:*/udp\"]\n\
         maglev_size = 251\n[[service.backend]]\n{backends}\n"
    )
}

/// An agent as the file and its journal say.
fn start(path: &Path) -> Control {
    let config = config::load(path).unwrap_or_else(|problems| panic!("{problems}")).config;
    let tables = Dataplane::in_memory(config::dimensions(&config), SEED);
    let environment = Environment { config, config_path: path.to_owned(), tables, seed: SEED };
    Control::start(environment).unwrap_or_else(|error| panic!("it does not start: {error}"))
}

async fn serve(text: &str) {
    let directory = tempfile::tempdir().expect("a directory for the state");
    let path = directory.path().join("balancer.toml");
    let write = |number: usize| {
        fs::write(&path, file(directory.path(), BACKENDS[number % BACKENDS.len()])).expect("a file");
    };
    write(0);
    let (handle, messages) = Handle::new();
    let owner = tokio::spawn(own(start(&path), messages));
    let routes = router(handle).layer(MockConnectInfo(Peer::default()));
    for line in text.lines() {
        match line.strip_prefix("FILE ") {
            Some(number) => write(number.len()),
            None => request(&routes, line).await,
        }
    }
    drop(routes);
    // Its panic is one of the agent.
    owner.await.unwrap_or_else(|error| panic!("{error}"));
    let journal = Journal::in_dir(directory.path()).load();
    assert!(journal.is_ok(), "the journal that it left: {journal:?}");
    start(&path);
}

/// The owner of the state, as the agent's loop is.
async fn own(mut control: Control, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.recv().await {
        match message {
            Message::Job(job) => job(&mut control),
            Message::Reload(call) => {
                let result = control.prepare(call.request, call.session).and_then(|it| control.apply(it));
                drop(call.reply.send(result));
            }
            Message::Detach(reply) => {
                drop(reply.send(Ok(DetachDoc { schema: Default::default(), removed: Vec::new() })));
            }
        }
    }
}

/// Asks, and looks at the answer. What is no request in HTTP is none here.
async fn request(routes: &Router, line: &str) {
    let mut words = line.splitn(3, ' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = Body::from(words.next().unwrap_or_default().to_owned());
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    let Ok(request) = request.body(body) else { return };
    let answer = routes.clone().oneshot(request).await.expect("routes always answer");
    let status = answer.status().as_u16();
    let bytes = to_bytes(answer.into_body(), ANSWER_MAX).await.expect("a whole answer");
    if status == 200 {
        let document = serde_json::from_slice::<serde_json::Value>(&bytes);
        assert!(document.is_ok() || bytes.is_empty(), "{line}: 200, and no document");
        return;
    }
    let refusal: ErrorDoc = serde_json::from_slice(&bytes)
        .unwrap_or_else(|error| panic!("{line}: {status} {}: {error}", String::from_utf8_lossy(&bytes)));
    assert_eq!(refusal.error.code.http_status(), status, "{line}: {refusal:?}");
    assert!(!refusal.error.message.is_empty(), "{line}: refused without a word");
}

//! A server on a unix socket of its own that answers as a test says, and a way to run one command against it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use clap::Parser as _;
use serde::Serialize;
use tempfile::TempDir;
use tokio::{net::UnixListener, runtime, sync::oneshot};

use crate::{
    api::types::{ApiError, ErrorDoc},
    cli::{Cli, execute, screen::Screen, ui::Ui},
};

/// What the stand-in answers.
pub(super) struct Answer(u16, String);

impl Answer {
    pub(super) fn document(document: &impl Serialize) -> Self {
        Self(200, serde_json::to_string(document).unwrap())
    }

    pub(super) fn error(error: ApiError) -> Self {
        let status = error.code.http_status();
        Self(status, serde_json::to_string(&ErrorDoc::from(error)).unwrap())
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self(status, text.into())
    }
}

/// The stand-in; it ends when it is dropped.
pub(super) struct StandIn {
    directory: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a command ended.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) code: u8,
    pub(super) out: String,
    pub(super) err: String,
}

impl StandIn {
    /// Answers `METHOD PATH BODY` by `answer`.
    pub(super) fn new(answer: impl FnMut(&str) -> Answer + Send + 'static) -> Self {
        let directory = TempDir::new().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (socket, log) = (directory.path().join("api.sock"), requests.clone());
        let thread = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::bind(socket).unwrap();
                ready.send(()).unwrap();
                let stopped = async { drop(stopped.await) };
                let server = axum::serve(listener, router(answer, log));
                server.with_graceful_shutdown(stopped).await.unwrap();
            });
        });
        is_ready.recv().unwrap();
        Self { directory, requests, stop: Some(stop), thread: Some(thread) }
    }

    /// Answers everything with one document.
    pub(super) fn with(document: &impl Serialize) -> Self {
        let body = serde_json::to_string(document).unwrap();
        Self::new(move |_| Answer(200, body.clone()))
    }

    /// Refuses everything.
    pub(super) fn refusing(error: ApiError) -> Self {
        Self::new(move |_| Answer::error(error.clone()))
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    /// What was asked so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Runs a command with its output in a pipe.
    pub(super) fn balancer(&self, command: &str) -> Ended {
        self.balancer_on(Screen::default(), command)
    }

    /// Runs a command on a certain screen.
    pub(super) fn balancer_on(&self, screen: Screen, command: &str) -> Ended {
        run(screen, &format!("--api {} {command}", self.socket().display()))
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Runs a command, its words split at blanks.
pub(super) fn run(screen: Screen, command: &str) -> Ended {
    let words = std::iter::once("balancer").chain(command.split_whitespace());
    let cli = Cli::try_parse_from(words).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let format = cli.global.format();
    let code = execute(cli, &mut Ui::new(&mut out, &mut err, screen, format));
    Ended { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn router(answer: impl FnMut(&str) -> Answer + Send + 'static, log: Arc<Mutex<Vec<String>>>) -> Router {
    let answer = Arc::new(Mutex::new(answer));
    Router::new().fallback(move |request: Request| {
        let (answer, log) = (answer.clone(), log.clone());
        async move {
            let line = line(request).await;
            log.lock().unwrap().push(line.clone());
            let Answer(status, body) = answer.lock().unwrap()(&line);
            (StatusCode::from_u16(status).unwrap(), body).into_response() as Response
        }
    })
}

async fn line(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body)).trim_end().to_owned()
}

//! The client of the API: one HTTP request a connection, over the agent's unix socket.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, time::timeout};

use super::types::{ApiError, ErrorDoc};

/// The agent answers most requests at once; a reload that makes new maps may take seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Speaks to one agent.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("agent unreachable at {}: {source}", socket.display())]
    Unreachable {
        /// The socket that was tried.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It listens, and then does not answer, or goes away in the middle.
    #[error("agent at {} gave no answer to {request}: {why}", socket.display())]
    Silent {
        /// The socket that was used.
        socket: PathBuf,
        /// Method and path.
        request: String,
        /// How it failed.
        why: String,
    },
    /// The agent says no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The answer is no document of this version.
    #[error("agent at {} answered {request} in a way that this program does not understand: {why}", socket.display())]
    Protocol {
        /// The socket that was used.
        socket: PathBuf,
        /// Method and path.
        request: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ClientError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("the socket belongs to the agent's user: run this as root".into())
            }
            Self::Unreachable { .. } => Some(
                "start it with `systemctl start balancer` or `balancer run -c FILE`, or name its socket with --api"
                    .into(),
            ),
            Self::Silent { .. } => Some("see what the agent logs; a restart does not disturb clients".into()),
            Self::Api(error) => error.remedy.clone(),
            Self::Protocol { .. } => Some("agent and command line should be of one version".into()),
        }
    }
}

impl Client {
    /// A client of the agent at this socket; nothing is opened before the first request.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Reads a document.
    ///
    /// # Errors
    /// See [`ClientError`]; so for the other methods.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Reads a document that a query narrows.
    pub async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.get(&self.with_query(path, query)?).await
    }

    /// Asks for something.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, self.json(path, body)?).await
    }

    /// Sets something.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.call(Method::PUT, path, self.json(path, body)?).await
    }

    /// Takes something away.
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.call(Method::DELETE, &self.with_query(path, query)?, Bytes::new()).await
    }

    fn with_query(&self, path: &str, query: &impl Serialize) -> Result<String, ClientError> {
        let query = serde_urlencoded::to_string(query).map_err(|error| self.protocol(path, error))?;
        Ok(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
    }

    fn json(&self, path: &str, body: &impl Serialize) -> Result<Bytes, ClientError> {
        serde_json::to_vec(body).map(Bytes::from).map_err(|error| self.protocol(path, error))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let name = format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.protocol(&name, error))?;
        let (status, body) = timeout(PATIENCE, self.exchange(&name, request))
            .await
            .map_err(|_| self.silent(&name, format!("nothing within {} s", PATIENCE.as_secs())))??;
        self.understand(&name, status, &body)
    }

    async fn exchange(
        &self,
        name: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::Unreachable { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.silent(name, error.to_string()))?;
        // It ends with the answer; its error, if any, comes out of the sender as well.
        let driver = tokio::spawn(connection);
        let answer = async { read(sender.send_request(request).await?).await }.await;
        driver.abort();
        answer.map_err(|error| self.silent(name, error.to_string()))
    }

    fn understand<T: DeserializeOwned>(
        &self,
        name: &str,
        status: StatusCode,
        body: &[u8],
    ) -> Result<T, ClientError> {
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|error| self.protocol(name, error));
        }
        match serde_json::from_slice::<ErrorDoc>(body) {
            Ok(document) => Err(document.error.into()),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                Err(self.protocol(name, format!("status {status} {}", text.trim())))
            }
        }
    }

    fn silent(&self, request: &str, why: String) -> ClientError {
        ClientError::Silent { socket: self.socket.clone(), request: request.to_owned(), why }
    }

    fn protocol(&self, request: &str, why: impl ToString) -> ClientError {
        let why = why.to_string().trim_end().to_owned();
        ClientError::Protocol { socket: self.socket.clone(), request: request.to_owned(), why }
    }
}

async fn read(answer: Response<hyper::body::Incoming>) -> Result<(StatusCode, Bytes), hyper::Error> {
    let status = answer.status();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

//! The command line's side.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::{ClusterAnswer, ClusterRequest, ReloadReport, Status};

/// A daemon that does not answer for this long is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers on the socket.
    #[error(
        "no daemon answers on {path}; start it with `systemctl start standfast` or `standfast run`, \
         or say with --socket where it answers"
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The conversation broke.
    #[error("the daemon did not answer: {0}")]
    Http(#[from] hyper::Error),
    /// The question could not be put.
    #[error("the question cannot be put: {0}")]
    Request(#[from] hyper::http::Error),
    /// The daemon said no.
    #[error("the daemon answered {0}")]
    Status(StatusCode),
    /// The answer is not what this version knows.
    #[error("the daemon's answer cannot be read (is it of another version?): {0}")]
    Json(#[from] serde_json::Error),
    /// No answer in time.
    #[error("the daemon did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
}

/// A way to ask a daemon.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Asks the daemon whose control socket is at `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.into() }
    }

    /// What the daemon does.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/v1/status").await
    }

    /// Has the daemon read its settings again.
    pub async fn reload(&self) -> Result<ReloadReport, ClientError> {
        self.ask(Method::POST, "/v1/reload").await
    }

    /// Asks about the cluster, or has something done there.
    pub async fn cluster(&self, request: &ClusterRequest) -> Result<ClusterAnswer, ClientError> {
        let body = serde_json::to_vec(request)?;
        self.send(Method::POST, "/v1/cluster", body.into()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        self.send(method, path, Bytes::new()).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let exchange = self.exchange(method, path, body);
        let body = timeout(PATIENCE, exchange).await.map_err(|_| ClientError::Timeout)??;
        Ok(serde_json::from_slice(&body)?)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let fail = |source| ClientError::Connect { path: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(fail)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "standfast")
            .header("content-type", "application/json");
        let request = request.body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        if status.is_success() { Ok(body) } else { Err(ClientError::Status(status)) }
    }
}

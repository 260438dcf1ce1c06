//! The daemon's side.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::{ClusterAnswer, ClusterControl, ClusterFailure, ClusterRequest, ReloadReport, Status};

/// The content type of the text format of Prometheus.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// What the daemon can be asked.
pub trait Control: Send + Sync + 'static {
    /// What it does.
    fn status(&self) -> Status;

    /// Reads the settings again.
    fn reload(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ReloadReport> + Send>>;

    /// Metrics in the text format of Prometheus.
    fn metrics(&self) -> String;

    /// The cluster that it may belong to.
    fn cluster(&self) -> Option<Arc<dyn ClusterControl>> {
        None
    }
}

type Shared = State<Arc<dyn Control>>;

async fn metrics(State(control): Shared) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], control.metrics())
}

async fn cluster(
    State(control): Shared,
    Json(request): Json<ClusterRequest>,
) -> Json<ClusterAnswer> {
    Json(match control.cluster() {
        Some(cluster) => cluster.ask(request).await,
        None => Err(ClusterFailure::NoCluster),
    })
}

fn metrics_routes() -> Router<Arc<dyn Control>> {
    Router::new().route("/metrics", get(metrics))
}

fn control_routes() -> Router<Arc<dyn Control>> {
    metrics_routes()
        .route("/v1/status", get(|State(control): Shared| async move { Json(control.status()) }))
        .route(
            "/v1/reload",
            post(|State(control): Shared| async move { Json(control.reload().await) }),
        )
        .route("/v1/cluster", post(cluster))
}

/// Opens the control socket at `path`, which only the user of this process can use. A socket that
/// a dead daemon left is replaced; one that is in use is an error.
pub async fn bind_control_socket(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        let message = format!("another daemon answers on {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The file takes its mode from the socket: there is no moment at which others could use it.
    rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(0o600))?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

/// Answers on the control socket.
pub async fn serve_control(listener: UnixListener, control: Arc<dyn Control>) -> io::Result<()> {
    axum::serve(listener, control_routes().with_state(control)).await
}

/// Gives metrics on a TCP address.
pub async fn serve_metrics(listener: TcpListener, control: Arc<dyn Control>) -> io::Result<()> {
    axum::serve(listener, metrics_routes().with_state(control)).await
}

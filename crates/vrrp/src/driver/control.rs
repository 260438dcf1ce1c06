//! The control socket: a person or a program tells the virtual routers what to do, one JSON object
//! per line, and reads one line back.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::Error;
use super::daemon::Handle;
use super::status::Report;
use crate::instance::Command;

/// Octets of a request.
const MOST_OCTETS: u64 = 4096;
/// Connections at once.
const MOST_CONNECTIONS: u8 = 16;
/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A request to the running virtual routers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Be master.
    TakeOver {
        /// The name of the instance.
        instance: String,
    },
    /// Leave mastership to the others.
    HandBack {
        /// The name of the instance.
        instance: String,
    },
    /// Go by the settings again.
    Release {
        /// The name of the instance.
        instance: String,
    },
    /// Say how everybody is.
    Status,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Report(serde_json::Value),
    Error(String),
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody is there.
    #[error(
        "cannot talk to {path}: {source}; is `standfast vrrp run` running with this control_socket?"
    )]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The answer was a refusal.
    #[error("{0}")]
    Refused(String),
    /// The answer is no answer.
    #[error("the answer from {path} cannot be read: {source}")]
    Unreadable {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Sends one request to the control socket at `path` and returns the state of all virtual routers
/// after it, as JSON.
///
/// # Errors
/// If nobody answers, or the request is refused, as for an instance that does not exist.
pub async fn request(path: &Path, request: &Request) -> Result<serde_json::Value, ControlError> {
    let unreadable = |source| ControlError::Unreadable { path: path.into(), source };
    let mut line = serde_json::to_string(request).map_err(unreadable)?;
    line.push('\n');
    let talk = async {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await?;
        Ok(answer)
    };
    let answer = match timeout(LIMIT, talk).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    };
    let answer = answer.map_err(|source| ControlError::Io { path: path.into(), source })?;
    match serde_json::from_str(&answer).map_err(unreadable)? {
        Answer::Report(report) => Ok(report),
        Answer::Error(reason) => Err(ControlError::Refused(reason)),
    }
}

/// The listening socket; its name is removed with it.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens at `path`, for this user only. A socket that nobody listens on is replaced.
    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let listener = listen(path)
            .map_err(Error::system(format!("listen on the control socket {}", path.display())))?;
        Ok(Self { listener, path: path.into() })
    }

    /// Answers requests, until it is dropped.
    pub(super) async fn run(self, handle: Handle) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS.into() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let handle = handle.clone();
                    connections.spawn(async move {
                        // Who does not speak or read in time is hung up on.
                        let _ = timeout(LIMIT, converse(stream, &handle)).await;
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // It is only a name.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_err() && is_socket(path) {
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before there is a name, so that nobody else ever could connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(MOST_CONNECTIONS.into())?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}

async fn converse(mut stream: UnixStream, handle: &Handle) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new((&mut stream).take(MOST_OCTETS)).read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => match carry_out(handle, request).await {
            Ok(report) => serde_json::to_value(report).map(Answer::Report)?,
            Err(reason) => Answer::Error(reason),
        },
        Err(error) => Answer::Error(format!("the request cannot be read: {error}")),
    };
    let mut line = serde_json::to_string(&answer)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await
}

async fn carry_out(handle: &Handle, request: Request) -> Result<Report, String> {
    let (instance, command) = match request {
        Request::TakeOver { instance } => (instance, Some(Command::TakeOver)),
        Request::HandBack { instance } => (instance, Some(Command::HandBack)),
        Request::Release { instance } => (instance, None),
        Request::Status => return handle.report().await.map_err(|error| error.to_string()),
    };
    handle.command(&instance, command).await.map_err(|error| error.to_string())?;
    handle.report().await.map_err(|error| error.to_string())
}

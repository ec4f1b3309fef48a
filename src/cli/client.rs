//! The way to the daemon: HTTP/1.1 on its Unix socket, one connection a request.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use nix::unistd::{Gid, Group};
use serde::de::DeserializeOwned;
use tokio::{
    net::UnixStream,
    time::{sleep, timeout},
};

use super::{Exit, Failure};

/// A client of the daemon behind one socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// What the daemon answered.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// `ETag`
    pub etag: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client for that socket.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The socket it asks at.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks, and returns the answer if it is a good one.
    pub async fn ask(&self, method: Method, path: &str) -> Result<Answer, Failure> {
        self.ask_for_up_to(method, path, Duration::ZERO).await
    }

    /// The same for a request that the daemon may take `wait` over by design.
    pub async fn ask_for_up_to(&self, method: Method, path: &str, wait: Duration) -> Result<Answer, Failure> {
        let request = request(method, path);
        self.exchange(request, wait).await?.good()
    }

    /// Asks how something is; where `etag` says how it was, the answer may take `wait` and be 304 then.
    pub async fn look(&self, path: &str, etag: Option<&str>, wait: Duration) -> Result<Answer, Failure> {
        let mut request = request(Method::GET, path);
        if let Some(etag) = etag.and_then(|etag| etag.parse().ok()) {
            request.headers_mut().insert(header::IF_NONE_MATCH, etag);
            request.headers_mut().insert("prefer", wait_for(wait));
        }
        let answer = self.exchange(request, wait).await?;
        if answer.status == StatusCode::NOT_MODIFIED { Ok(answer) } else { answer.good() }
    }

    /// Opens a stream of server-sent events, from the event on that came after `last_event_id`.
    pub async fn open(&self, path: &str, last_event_id: Option<&str>) -> Result<Incoming, Failure> {
        let mut request = request(Method::GET, path);
        request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static("text/event-stream"));
        if let Some(id) = last_event_id.and_then(|id| id.parse().ok()) {
            request.headers_mut().insert("last-event-id", id);
        }
        let stream = self.connect().await.map_err(|error| self.not_connected(&error))?;
        let response = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        let (parts, body) = response.await.map_err(|error| self.broken(&error))?.into_parts();
        if parts.status.is_success() {
            return Ok(body);
        }
        let body = read(body).await.map_err(|error| self.broken(error.as_ref()))?;
        Err(Failure::answered(parts.status, &body))
    }

    async fn exchange(&self, request: Request<Empty<Bytes>>, wait: Duration) -> Result<Answer, Failure> {
        let stream = self.connect().await.map_err(|error| self.not_connected(&error))?;
        let answer = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // Its result is that of the request as well.
            tokio::spawn(connection);
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let etag = parts.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
            let body = read(body).await?;
            Ok(Answer { status: parts.status, etag, body })
        };
        match timeout(wait.saturating_add(PATIENCE), answer).await {
            Ok(answer) => answer.map_err(|error: Box<dyn std::error::Error + Send + Sync>| self.broken(error.as_ref())),
            Err(_) => Err(self.unreachable("accepts the connection and does not answer")),
        }
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        let mut tries = 0..TRIES;
        loop {
            match UnixStream::connect(&self.socket).await {
                // The queue is full: somebody presses in, and is turned away sooner or later.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries.next().is_some() => sleep(PAUSE).await,
                done => return done,
            }
        }
    }

    fn not_connected(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::NotFound => {
                self.unreachable("does not exist, so the daemon does not run, or has another socket")
            }
            io::ErrorKind::ConnectionRefused => {
                self.unreachable("is there, but nobody listens: the daemon does not run")
            }
            io::ErrorKind::PermissionDenied => self.forbidden(),
            _ => self.unreachable(&format!("cannot be opened: {error}")),
        }
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        self.unreachable(&format!("was closed before the answer was complete ({cause}): the daemon has stopped"))
    }

    fn unreachable(&self, what: &str) -> Failure {
        let socket = self.socket.display();
        Failure::new(Exit::Unreachable, format!("the socket {socket} {what}; see: systemctl status bearerd"))
    }

    fn forbidden(&self) -> Failure {
        let gid = std::fs::metadata(&self.socket).ok().map(|socket| Gid::from_raw(socket.gid()));
        let group = gid.and_then(|gid| Group::from_gid(gid).ok().flatten()).map(|group| group.name);
        let group = group.filter(|group| group != "root").unwrap_or_else(|| "bearerd".to_owned());
        let socket = self.socket.display();
        let text = format!(
            "this user may not open the socket {socket}; use sudo, or join the group {group} and log in again: \
             sudo usermod -aG {group} \"$USER\""
        );
        Failure::new(Exit::NotAllowed, text)
    }
}

impl Answer {
    /// Reads the body.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::other(format!(
                "the daemon's answer is not what this version of bearerd understands ({error}); \
                 is the daemon of the same version? See: bearerd --version, systemctl status bearerd"
            ))
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn good(self) -> Result<Self, Failure> {
        if self.status.is_success() { Ok(self) } else { Err(Failure::answered(self.status, &self.body)) }
    }
}

fn request(method: Method, path: &str) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = method;
    // Every path is made of checked names and encoded parameters; if one were not, the daemon would say so.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("localhost"));
    request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    request
}

fn wait_for(wait: Duration) -> header::HeaderValue {
    let text = format!("wait={}", wait.as_secs());
    text.parse().unwrap_or_else(|_| header::HeaderValue::from_static("wait=30"))
}

async fn read(body: Incoming) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(body, LONGEST).collect().await?.to_bytes())
}

/// How long the daemon may take: it may have to ask the server, twice, 30 s each.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often, and how long apart, a place in the queue at the socket is tried for.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);
/// No answer is longer, pictures of QR codes included.
const LONGEST: usize = 1 << 20;

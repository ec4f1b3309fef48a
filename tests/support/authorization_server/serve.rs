//! The thread that serves: one runtime, one listener that can be taken away and given back.

use std::{convert::Infallible, fmt, io, net::SocketAddr, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use http_body_util::{Either, Full, channel::Channel};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::{
    Shared,
    received::Received,
    reply::{Answer, End},
};

/// What the serving thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Up,
    Down,
    Stopped,
}

/// Serves until told to stop.
pub(super) fn spawn(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    mode: watch::Receiver<Mode>,
) -> io::Result<thread::JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("authorization-server".to_owned()).spawn(move || {
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("a listener that does not block");
            run(listener, address, &shared, mode).await;
        });
    })
}

async fn run(listener: TcpListener, address: SocketAddr, shared: &Arc<Shared>, mut mode: watch::Receiver<Mode>) {
    let mut listener = Some(listener);
    loop {
        let wanted = *mode.borrow_and_update();
        match wanted {
            Mode::Stopped => return,
            Mode::Down => listener = None,
            Mode::Up if listener.is_none() => {
                listener = Some(TcpListener::bind(address).await.expect("the port is still ours"));
            }
            Mode::Up => {}
        }
        shared.now_in(wanted);
        let changed = match &listener {
            Some(listener) => accept(listener, shared, &mut mode).await,
            None => mode.changed().await.is_ok(),
        };
        if !changed {
            return;
        }
    }
}

/// Accepts until the mode changes, then ends every connection. Returns whether there is still somebody to change it.
async fn accept(listener: &TcpListener, shared: &Arc<Shared>, mode: &mut watch::Receiver<Mode>) -> bool {
    let mut connections = JoinSet::new();
    let changed = loop {
        tokio::select! {
            changed = mode.changed() => break changed.is_ok(),
            Some(_) = connections.join_next() => {}
            Ok((stream, _)) = listener.accept() => {
                let shared = Arc::clone(shared);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(&shared, request));
                    // Connections end in all the ways that tests ask for; none of them is of interest here.
                    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
        }
    };
    connections.shutdown().await;
    changed
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<AnswerBody>, NoReply> {
    let received = Received::read(request).await.ok_or(NoReply)?;
    let mut turn = shared.receive(received);
    tokio::time::sleep(turn.delay).await;
    if turn.end == End::Hanging {
        std::future::pending::<()>().await;
    }
    let answer = turn.finish();
    if turn.end == End::Closed { Err(NoReply) } else { Ok(response(&answer, turn.end)) }
}

type AnswerBody = Either<Full<Bytes>, Channel<Bytes, NoReply>>;

fn response(answer: &Answer, end: End) -> Response<AnswerBody> {
    let (kind, body) = answer.encode();
    let mut builder = Response::builder().status(answer.status).header("content-type", kind);
    if !answer.headers.iter().any(|(name, _)| name == "cache-control") {
        builder = builder.header("cache-control", "no-store");
    }
    for (name, value) in &answer.headers {
        builder = builder.header(name, value);
    }
    let body = match end {
        End::CutShort => Either::Right(half(&body)),
        _ => Either::Left(Full::from(body)),
    };
    builder.body(body).expect("the headers of a reply are well formed")
}

/// The first half of a body, then the end of the connection.
fn half(body: &str) -> Channel<Bytes, NoReply> {
    let (mut sender, channel) = Channel::new(1);
    let first = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    tokio::spawn(async move {
        if sender.send_data(first).await.is_ok() {
            // An error that comes with the data takes the data away again.
            tokio::time::sleep(Duration::from_millis(50)).await;
            sender.abort(NoReply);
        }
    });
    channel
}

/// Tells hyper to end the connection.
#[derive(Debug)]
struct NoReply;

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reply is withheld")
    }
}

impl std::error::Error for NoReply {}

impl From<Infallible> for NoReply {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

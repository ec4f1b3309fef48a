//! The HTTP door: HTTP/1.1 on a Unix socket.
//!
//! | method, path | does |
//! |---|---|
//! | `GET /v1/token` | token of the only account, or of `default` |
//! | `GET /v1/accounts` | list with states |
//! | `GET /v1/accounts/{name}` | one account; waits for a change with `If-None-Match` and `Prefer: wait=30` |
//! | `GET /v1/accounts/{name}/token` | token |
//! | `POST`, `GET`, `DELETE /v1/accounts/{name}/login` | start or join, show, cancel a login |
//! | `POST /v1/accounts/{name}/logout` | revoke and forget |
//! | `POST /v1/accounts/{name}/refresh` | refresh now |
//! | `POST /v1/accounts/{name}/probe` | look whether the account has all that it needs, as `bearerd doctor` shows it |
//! | `POST /v1/accounts/{name}/dpop` | a proof for one request with a token that is bound to a key |
//! | `POST /v1/reload` | read the configuration again |
//! | `GET /v1/health` | 200 while serving |

mod answer;
mod guard;
mod request;
mod route;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use crate::{broker::Broker, platform::peer::Caller};

/// Asks the accept loop whether it still turns.
pub type Pulse = oneshot::Sender<()>;

/// Accepts connections until `shutdown`, then lets those that are in the middle of an answer finish it, for a while.
/// `pulses` are answered by the accept loop itself, so that the watchdog is fed only while it turns.
pub async fn serve(
    listener: UnixListener,
    broker: Arc<Broker>,
    mut pulses: mpsc::Receiver<Pulse>,
    shutdown: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(stream, &broker, &graceful),
                Err(error) => rest(&error).await,
            },
            Some(pulse) = pulses.recv() => {
                let _ = pulse.send(());
            }
            () = shutdown.cancelled() => break,
        }
    }
    drop(listener);
    // What waits for a person must not hold up the stop.
    let _ = tokio::time::timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

/// Identifies the caller, once, before anything is read from it.
fn admit(stream: UnixStream, broker: &Arc<Broker>, graceful: &GracefulShutdown) {
    let caller = match Caller::of(&stream) {
        Ok(caller) => Arc::new(caller),
        Err(error) => return tracing::warn!(%error, "a caller without an identity was turned away"),
    };
    let broker = broker.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (broker, caller) = (broker.clone(), caller.clone());
        async move { Ok::<_, Infallible>(route::answer(&broker, &caller, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}

/// Out of descriptors or memory: a pause lets others end, instead of turning at full speed.
async fn rest(error: &io::Error) {
    tracing::warn!(%error, "no connection can be accepted for a moment");
    tokio::time::sleep(REST).await;
}

const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const LAST_ANSWERS: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_millis(200);
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 8 * 1024;

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
//! | `GET /v1/events` | server-sent events: `state`, `prompt`, `token`, `removed` |
//! | `GET /v1/health` | 200 while serving |
//! | `GET /openapi.yaml` | all of this for machines |
//! | `GET /metrics` | what is counted, for Prometheus |
//! | `GET /` | a page for people; its forms `POST` to `/accounts/{name}/login` and `/accounts/{name}/cancel` |

mod accept;
mod answer;
mod asked;
mod body;
mod clients;
mod connection;
mod events;
mod framing;
mod guard;
mod metrics;
mod request;
mod route;
mod token_json;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use self::{accept::Porter, clients::Clients};
use crate::broker::Broker;

/// Asks the accept loop whether it still turns.
pub type Pulse = oneshot::Sender<()>;

/// What every connection shares.
struct Door {
    broker: Arc<Broker>,
    /// Ends what would otherwise go on for as long as the client listens.
    closing: CancellationToken,
    latencies: metrics::Latencies,
}

/// Accepts connections until `shutdown`, then lets those that are in the middle of an answer finish it, for a while.
/// `pulses` are answered by the accept loop itself, so that the watchdog is fed only while it turns.
pub async fn serve(mut porter: Porter, mut pulses: mpsc::Receiver<Pulse>, shutdown: CancellationToken) {
    let mut ticks = porter.ticks();
    loop {
        tokio::select! {
            () = porter.admit() => {}
            () = ticks.wait(Duration::MAX) => porter.tick(),
            Some(pulse) = pulses.recv() => {
                let _ = pulse.send(());
            }
            () = shutdown.cancelled() => break,
        }
    }
    porter.leave().await;
}

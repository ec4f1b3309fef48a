//! The door for units without code: systemd fetches the token when it starts them, by
//! `LoadCredential=token:/run/bearerd/credential.sock`, and puts it into a file for the unit alone.

use std::{
    io::Write,
    os::unix::net::{UnixListener, UnixStream},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use crate::{
    broker::{Broker, TokenRequest},
    platform::{credential::Wanted, peer::Caller},
};

/// Gives systemd credentials until `shutdown`. The limits are those of the other door.
pub async fn serve(listener: UnixListener, broker: Arc<Broker>, limits: Arc<Limits>, shutdown: CancellationToken) {
    let listener = match tokio::net::UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no unit gets a credential: the socket cannot be watched"),
    };
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let stream = match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "systemd gave up before it was let in");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Some(place) = limits.take(0, broker.connections_per_user()) else { continue };
        let broker = broker.clone();
        tokio::spawn(async move {
            let _place = place;
            give(&broker, stream).await;
        });
    }
}

/// The token for the unit that systemd asks for. Without one the connection is closed, and the unit starts with an empty
/// credential: systemd has no other way to say no.
async fn give(broker: &Broker, mut stream: UnixStream) {
    let Some(wanted) = Wanted::by_peer(&stream) else {
        return tracing::warn!("somebody who is not systemd asked for a credential, and got none");
    };
    let account = match wanted.id.split_once('.') {
        Some(("token", account)) => Some(account),
        None if wanted.id == "token" => None,
        Some(_) | None => {
            let (unit, id) = (&wanted.unit, &wanted.id);
            return tracing::warn!(%unit, %id, "the credential is empty: its name has to be token or token.ACCOUNT");
        }
    };
    let caller = Caller::unit_by_systemd(&wanted.unit);
    let request = TokenRequest { wait: Some(PATIENCE), ..TokenRequest::default() };
    let answer = tokio::time::timeout(PATIENCE, broker.token(&caller, account, &request)).await;
    match answer {
        Ok(Ok(answer)) => {
            // It fits into the buffer of the socket: a token is a few kilobytes.
            if let Err(error) = stream.write_all(answer.token.secret.expose().as_bytes()) {
                tracing::warn!(unit = %wanted.unit, %error, "systemd did not take the credential");
            }
        }
        Ok(Err(error)) => tracing::warn!(unit = %wanted.unit, %error, "the unit starts with an empty credential"),
        Err(_) => tracing::warn!(unit = %wanted.unit, "the unit starts with an empty credential: no token in time"),
    }
}

/// systemd waits for a unit's start 90 s in all.
const PATIENCE: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_millis(200);

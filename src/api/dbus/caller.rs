//! Who sent a message, by the word of the bus: it writes the sender into every message and knows from the kernel who
//! that is.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use zbus::{
    Connection,
    fdo::ConnectionCredentials,
    message::Header,
    names::{OwnedUniqueName, UniqueName},
};

use super::refusal::Refusal;
use crate::platform::peer::Caller;

/// The callers that the bus was asked about. What it said holds for as long as this bus runs: a connection's
/// credentials are fixed, and a unique name is never given to another one.
#[derive(Default)]
pub struct Callers(Mutex<VecDeque<(OwnedUniqueName, Caller)>>);

impl Callers {
    /// The sender of a message. Whatever is unknown about it means: refuse.
    pub async fn identify(&self, connection: &Connection, header: &Header<'_>) -> Result<Caller, Refusal> {
        let sender = header.sender().ok_or_else(|| Refusal::access_denied("the message has no sender"))?;
        if let Some(caller) = self.known(sender) {
            return Ok(caller);
        }
        let credentials = ask(connection, sender).await.map_err(|error| {
            tracing::debug!(%error, sender = %sender, "the bus does not say who is calling");
            Refusal::access_denied("the message bus does not say who is calling")
        })?;
        let caller = understand(credentials)
            .ok_or_else(|| Refusal::access_denied("the message bus does not say which user and groups are calling"))?;
        self.remember(sender, &caller);
        Ok(caller)
    }

    fn known(&self, sender: &UniqueName<'_>) -> Option<Caller> {
        let known = self.lock();
        known.iter().find(|(name, _)| name == sender).map(|(_, caller)| caller.clone())
    }

    fn remember(&self, sender: &UniqueName<'_>, caller: &Caller) {
        let mut known = self.lock();
        known.push_front((sender.to_owned().into(), caller.clone()));
        known.truncate(REMEMBERED);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(OwnedUniqueName, Caller)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn ask(connection: &Connection, sender: &UniqueName<'_>) -> zbus::Result<ConnectionCredentials> {
    let bus = "org.freedesktop.DBus";
    let reply = connection
        .call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "GetConnectionCredentials", sender)
        .await?;
    reply.body().deserialize()
}

fn understand(credentials: ConnectionCredentials) -> Option<Caller> {
    let uid = credentials.unix_user_id()?;
    match credentials.into_unix_group_ids() {
        Some(groups) => Caller::with_groups(uid, groups),
        // Buses before the groups were added to the specification, in 2020.
        None => Caller::of_user(uid),
    }
}

const REMEMBERED: usize = 64;

//! Who sent a message, by the word of the bus: it writes the sender into every message and knows from the kernel who
//! that is.

use std::{
    collections::VecDeque,
    os::fd::AsFd,
    sync::{Mutex, MutexGuard},
};

use zbus::{
    Connection,
    fdo::ConnectionCredentials,
    message::Header,
    names::{OwnedUniqueName, UniqueName},
};

use super::refusal::Refusal;
use crate::platform::{peer::Caller, unit::Units};

/// The callers that the bus was asked about. What it said holds for as long as this bus runs: a connection's
/// credentials are fixed, and a unique name is never given to another one.
#[derive(Default)]
pub struct Callers(Mutex<Known>);

#[derive(Default)]
struct Known {
    callers: VecDeque<(OwnedUniqueName, Caller)>,
    /// The units that they were looked for in.
    units: Option<Units>,
}

impl Callers {
    /// The sender of a message. Whatever is unknown about it means: refuse.
    pub async fn identify(
        &self,
        connection: &Connection,
        header: &Header<'_>,
        units: &Units,
    ) -> Result<Caller, Refusal> {
        let sender = header.sender().ok_or_else(|| Refusal::access_denied("the message has no sender"))?;
        if let Some(caller) = self.known(sender, units) {
            return Ok(caller);
        }
        let credentials = ask(connection, sender).await.map_err(|error| {
            tracing::debug!(%error, sender = %sender, "the bus does not say who is calling");
            Refusal::access_denied("the message bus does not say who is calling")
        })?;
        let caller = understand(credentials, units)
            .ok_or_else(|| Refusal::access_denied("the message bus does not say which user and groups are calling"))?;
        self.remember(sender, &caller, units);
        Ok(caller)
    }

    fn known(&self, sender: &UniqueName<'_>, units: &Units) -> Option<Caller> {
        let mut known = self.lock();
        // A reload may have named other units.
        if known.units.as_ref() != Some(units) {
            *known = Known { callers: VecDeque::new(), units: Some(units.clone()) };
        }
        known.callers.iter().find(|(name, _)| name == sender).map(|(_, caller)| caller.clone())
    }

    fn remember(&self, sender: &UniqueName<'_>, caller: &Caller, units: &Units) {
        let mut known = self.lock();
        if known.units.as_ref() == Some(units) {
            known.callers.push_front((sender.to_owned().into(), caller.clone()));
            known.callers.truncate(REMEMBERED);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
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

fn understand(credentials: ConnectionCredentials, units: &Units) -> Option<Caller> {
    let uid = credentials.unix_user_id()?;
    let process = credentials.process_fd().and_then(|process| process.as_fd().try_clone_to_owned().ok());
    let caller = match credentials.into_unix_group_ids() {
        Some(groups) => Caller::with_groups(uid, groups),
        // Buses before the groups were added to the specification, in 2020.
        None => Some(Caller::of_user(uid)),
    };
    // dbus-daemon has it since 1.16.
    Some(caller?.in_unit(process.as_ref().map(AsFd::as_fd), units))
}

const REMEMBERED: usize = 64;

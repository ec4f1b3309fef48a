//! Keeps the objects on the bus in step with the accounts, and tells the bus what changed.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt::Write,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use zbus::{Connection, OwnedObjectPath, Variant, fdo::Properties, names::WellKnownName, object_server::SignalEmitter};

use super::{PATH, account::AccountObject, door::Door, facts};
use crate::{
    account::{AccountName, Prompt},
    broker::Sight,
    platform::peer::Caller,
};

/// The account objects of one connection.
pub struct Objects {
    connection: Connection,
    door: Arc<Door>,
    changes: watch::Receiver<u64>,
    ourselves: Caller,
    shown: BTreeMap<AccountName, Shown>,
}

/// What the bus was told of an account last.
struct Shown {
    issuer: String,
    revision: u64,
    announced: [(&'static str, Variant<'static>); 4],
    prompt: Option<Arc<Prompt>>,
}

impl Objects {
    /// No objects yet; [`Objects::update`] puts them up.
    pub fn new(connection: Connection, door: Arc<Door>) -> Self {
        let changes = door.broker.changes();
        Self { connection, door, changes, ourselves: Caller::ourselves(), shown: BTreeMap::new() }
    }

    /// Follows the accounts until the connection ends.
    pub async fn follow(&mut self) -> zbus::Result<()> {
        let connection = self.connection.clone();
        let follow = async {
            while self.changes.changed().await.is_ok() {
                self.update().await?;
            }
            Ok(())
        };
        tokio::select! {
            () = connection.closed() => Ok(()),
            end = follow => end,
        }
    }

    /// Gives the name back, so that nobody calls any more, and lets the answers under way go out.
    pub async fn leave(self, name: &'static str, patience: Duration) {
        let Self { connection, .. } = self;
        let farewell = async {
            let _ = connection.release_name(WellKnownName::from_static_str_unchecked(name)).await;
            connection.graceful_shutdown().await;
        };
        // The process ends in any case.
        let _ = timeout(patience, farewell).await;
    }

    /// Ends the connection, whoever still uses it.
    pub async fn close(self) {
        // There is nothing to be done about a connection that cannot even be closed.
        let _ = self.connection.close().await;
    }

    /// Puts up and takes down objects, and announces what changed.
    pub async fn update(&mut self) -> zbus::Result<()> {
        let sights = self.door.broker.list(&self.ourselves);
        // They come by name.
        let gone = |name: &&AccountName| sights.binary_search_by(|sight| sight.name.cmp(name)).is_err();
        let gone: Vec<AccountName> = self.shown.keys().filter(gone).cloned().collect();
        for name in gone {
            self.remove(&name).await?;
        }
        for sight in &sights {
            match self.shown.get(&sight.name) {
                Some(shown) if shown.revision == sight.view.revision && shown.issuer == sight.issuer => continue,
                Some(shown) if shown.issuer == sight.issuer => self.announce(shown, sight).await?,
                // A property that never changes has changed: it is another object.
                Some(_) => {
                    self.remove(&sight.name).await?;
                    self.add(sight).await?;
                }
                None => self.add(sight).await?,
            }
            self.shown.insert(sight.name.clone(), Shown::of(sight));
        }
        Ok(())
    }

    async fn add(&self, sight: &Sight) -> zbus::Result<()> {
        let object = AccountObject::new(self.door.clone(), sight.name.clone());
        self.connection.object_server().at(path(&sight.name), object).await?;
        Ok(())
    }

    async fn remove(&mut self, name: &AccountName) -> zbus::Result<()> {
        self.shown.remove(name);
        self.connection.object_server().remove::<AccountObject, _>(path(name)).await?;
        Ok(())
    }

    /// One `PropertiesChanged` for all that changed: with the values where anyone may see them, else by name alone.
    async fn announce(&self, before: &Shown, sight: &Sight) -> zbus::Result<()> {
        let now = facts::announced(sight);
        let pairs = before.announced.iter().zip(now);
        let changed = pairs.filter(|(before, now)| *before != now).map(|(_, now)| now);
        let anyone_may_see = self.door.broker.look(&Caller::unknown(), Some(sight.name.as_str())).is_ok();
        let (told, hidden): (Vec<_>, Vec<_>) = changed.partition(|_| anyone_may_see);
        let prompt = (before.prompt != sight.view.snapshot.prompt).then_some("Prompt");
        let invalidated: Vec<&str> = hidden.iter().map(|(name, _)| *name).chain(prompt).collect();
        if told.is_empty() && invalidated.is_empty() {
            return Ok(());
        }
        let emitter = SignalEmitter::new(&self.connection, path(&sight.name))?;
        let told: HashMap<&str, Variant<'_>> = told.into_iter().collect();
        Properties::properties_changed(&emitter, AccountObject::interface(), told, Cow::Owned(invalidated)).await
    }
}

impl Shown {
    fn of(sight: &Sight) -> Self {
        Self {
            issuer: sight.issuer.clone(),
            revision: sight.view.revision,
            announced: facts::announced(sight),
            prompt: sight.view.snapshot.prompt.clone(),
        }
    }
}

/// Where an account's object is.
pub fn path(name: &AccountName) -> OwnedObjectPath {
    let text = format!("{PATH}/accounts/{}", escaped(name.as_str()));
    zbus::ObjectPath::from_string_unchecked(text).into()
}

/// A text as one component of an object path, as systemd does it (`sd_bus_path_encode(3)`).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && at > 0) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "_{byte:02x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_systemd_does() {
        for (name, component) in
            [("kinde", "kinde"), ("a-b.c_d", "a_2db_2ec_5fd"), ("0x1", "_30x1"), ("a9", "a9"), ("9", "_39")]
        {
            assert_eq!(escaped(name), component);
        }
    }
}

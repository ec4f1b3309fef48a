//! A look at the message bus from outside: whether the service is on it.

use zbus::{Connection, connection::Builder};

use crate::config::Bus;

/// Whether the service has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    Owned,
    /// It has not, and a call would start it.
    Activatable,
    /// It has not.
    Absent,
}

/// Looks at that bus; `None` where none is to be used.
pub async fn presence(bus: &Bus) -> Option<Result<Presence, String>> {
    let presence = match connect(bus).await? {
        Ok(connection) => ask(&connection).await,
        Err(error) => Err(error),
    };
    Some(presence.map_err(|error| error.to_string()))
}

/// A connection of its own for a question; `None` where no bus is to be used.
pub(super) async fn connect(bus: &Bus) -> Option<zbus::Result<Connection>> {
    match bus {
        Bus::None => None,
        Bus::System => Some(Connection::system().await),
        Bus::Session => Some(Connection::session().await),
        Bus::Address(address) => Some(Builder::address(address.as_str()).build().await),
    }
}

/// Whether somebody has that name now.
pub(super) async fn is_owned(connection: &Connection, name: &str) -> zbus::Result<bool> {
    connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "NameHasOwner", &name).await?.body().deserialize()
}

async fn ask(connection: &Connection) -> zbus::Result<Presence> {
    if is_owned(connection, NAME).await? {
        return Ok(Presence::Owned);
    }
    let reply = connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "ListActivatableNames", &()).await?;
    let names: Vec<String> = reply.body().deserialize()?;
    Ok(if names.iter().any(|name| name == NAME) { Presence::Activatable } else { Presence::Absent })
}

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// The name of the service.
pub const NAME: &str = "io.github.bearerd.Bearerd1";

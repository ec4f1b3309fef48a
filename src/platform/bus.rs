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
    let connection = match bus {
        Bus::None => return None,
        Bus::System => Connection::system().await,
        Bus::Session => Connection::session().await,
        Bus::Address(address) => Builder::address(address.as_str()).build().await,
    };
    let presence = match connection {
        Ok(connection) => ask(&connection).await,
        Err(error) => Err(error),
    };
    Some(presence.map_err(|error| error.to_string()))
}

async fn ask(connection: &Connection) -> zbus::Result<Presence> {
    let bus = "org.freedesktop.DBus";
    let path = "/org/freedesktop/DBus";
    let reply = connection.call_method(Some(bus), path, Some(bus), "NameHasOwner", &NAME).await?;
    if reply.body().deserialize()? {
        return Ok(Presence::Owned);
    }
    let reply = connection.call_method(Some(bus), path, Some(bus), "ListActivatableNames", &()).await?;
    let names: Vec<String> = reply.body().deserialize()?;
    Ok(if names.iter().any(|name| name == NAME) { Presence::Activatable } else { Presence::Absent })
}

/// The name of the service.
pub const NAME: &str = "io.github.bearerd.Bearerd1";

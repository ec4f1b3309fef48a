//! The second door: `io.github.bearerd.Bearerd1` on a message bus. `dbus/io.github.bearerd.Bearerd1.xml` is the contract.
//!
//! A bus that is absent, or goes away, is a state and not an error: it is joined again for as long as the daemon runs,
//! and HTTP goes on meanwhile.
//!
//! Signals reach everybody on the bus, so they are made for a caller of whom nothing is known: they carry what an
//! account shows to anyone, else only that it changed, and never a token or a code.

mod account;
mod caller;
mod door;
mod facts;
mod log_control;
mod manager;
mod object_manager;
mod objects;
mod options;
mod refusal;

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use zbus::{connection::Builder, fdo::RequestNameFlags};

use self::{door::Door, log_control::LogControl, manager::Manager, object_manager::ObjectManager, objects::Objects};
use crate::{broker::Broker, config::Bus, platform::journal::LogLevel};

/// Serves the broker's verbs on `bus` until `shutdown`.
pub async fn serve(broker: Arc<Broker>, bus: Bus, log_level: LogLevel, shutdown: CancellationToken) {
    let mut outage = Outage::default();
    while let Some(builder) = builder(&bus) {
        let door = Arc::new(Door::new(broker.clone()));
        let joined = tokio::select! {
            joined = join(builder, door, log_level.clone()) => joined,
            () = shutdown.cancelled() => return,
        };
        match joined {
            Ok(mut objects) => {
                outage.end();
                let end = tokio::select! {
                    end = objects.follow() => end,
                    () = shutdown.cancelled() => return objects.leave(BUS_NAME, FAREWELL).await,
                };
                outage.begin(end.err());
                objects.close().await;
            }
            Err(error) => outage.go_on(&error),
        }
        tokio::select! {
            () = sleep(outage.next_pause()) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

fn builder(bus: &Bus) -> Option<Builder<'static>> {
    match bus {
        Bus::System => Some(Builder::system()),
        Bus::Session => Some(Builder::session()),
        Bus::Address(address) => Some(Builder::address(address.as_str())),
        Bus::None => None,
    }
}

/// Connects, puts all objects up, and only then asks for the name: whoever finds the name finds the objects.
async fn join(builder: Builder<'static>, door: Arc<Door>, log_level: LogLevel) -> zbus::Result<Objects> {
    let connection = builder
        .method_timeout(BUS_PATIENCE)
        .serve_at(PATH, Manager(door.clone()))
        .serve_at(PATH, ObjectManager(door.clone()))
        .serve_at(LOG_CONTROL_PATH, LogControl::new(door.clone(), log_level))
        .build()
        .await?;
    let mut objects = Objects::new(connection.clone(), door);
    objects.update().await?;
    // Nobody can take the name away, and it is not taken away from anybody: who has it hands out tokens.
    connection.request_name_with_flags(BUS_NAME, RequestNameFlags::DO_NOT_QUEUE).await?;
    Ok(objects)
}

/// The time without a bus, of which the log tells once.
#[derive(Default)]
struct Outage {
    told: bool,
    attempts: u32,
    name_taken: bool,
}

impl Outage {
    fn begin(&mut self, error: Option<zbus::Error>) {
        let cause = error.map_or(String::new(), |error| format!(" ({error})"));
        tracing::warn!(
            "the message bus is gone{cause}; HTTP goes on, and the bus is joined again as soon as it is back"
        );
        *self = Self { told: true, ..Self::default() };
    }

    fn go_on(&mut self, error: &zbus::Error) {
        self.attempts += 1;
        let name_taken = matches!(error, zbus::Error::NameTaken);
        // Another reason is worth another line.
        let told = std::mem::replace(&mut self.told, true) && self.name_taken == name_taken;
        self.name_taken = name_taken;
        match name_taken {
            _ if told => tracing::debug!(%error, attempt = self.attempts, "still not on the message bus"),
            true => tracing::warn!(
                "another program has the name {BUS_NAME} on the message bus; HTTP goes on, D-Bus callers reach the \
                 other program; if that is a second bearerd, stop it"
            ),
            false => tracing::warn!(
                %error,
                "the message bus cannot be joined; HTTP goes on, and D-Bus callers find bearerd as soon as it can"
            ),
        }
    }

    fn end(&mut self) {
        tracing::info!("on the message bus as {BUS_NAME}");
        *self = Self::default();
    }

    fn next_pause(&self) -> Duration {
        if self.name_taken {
            return LONGEST_PAUSE;
        }
        FIRST_PAUSE.saturating_mul(1 << self.attempts.saturating_sub(1).min(5)).min(LONGEST_PAUSE)
    }
}

const BUS_NAME: &str = "io.github.bearerd.Bearerd1";
const PATH: &str = "/io/github/bearerd/Bearerd1";
const LOG_CONTROL_PATH: &str = "/org/freedesktop/LogControl1";
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the bus itself may take for an answer.
const BUS_PATIENCE: Duration = Duration::from_secs(3);
/// How long answers that are under way may take when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute_and_a_taken_name_is_tried_slowly() {
        let mut outage = Outage::default();
        let pauses: Vec<u64> = (0..7)
            .map(|_| {
                outage.go_on(&zbus::Error::InvalidReply);
                outage.next_pause().as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        outage.end();
        outage.go_on(&zbus::Error::NameTaken);
        assert_eq!(outage.next_pause(), LONGEST_PAUSE);
    }
}

//! The sockets of clients: the same door as the API's socket, where the socket itself says who is calling. They come
//! and go with the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::Porter;
use crate::{
    api::limits::Limits,
    broker::{Broker, General},
    platform::{client_socket, peer::Socket},
};

/// All sockets of clients that are open.
pub struct Clients {
    broker: Arc<Broker>,
    general: watch::Receiver<Option<General>>,
    run: PathBuf,
    limits: Arc<Limits>,
    open: BTreeMap<Arc<str>, Door>,
}

struct Door {
    close: CancellationToken,
    served: JoinHandle<()>,
}

impl Clients {
    /// Opens the sockets that the settings in force name, in the folder `run`.
    pub async fn open(broker: Arc<Broker>, run: PathBuf, limits: Arc<Limits>) -> Self {
        let general = broker.general();
        let mut clients = Self { broker, general, run, limits, open: BTreeMap::new() };
        clients.update().await;
        clients
    }

    /// Follows the settings until `shutdown`, then closes all.
    pub async fn follow(mut self, shutdown: CancellationToken) {
        while let Some(Ok(())) = shutdown.run_until_cancelled(self.general.changed()).await {
            self.update().await;
        }
        for (_, door) in self.open {
            door.leave().await;
        }
    }

    async fn update(&mut self) {
        let wanted: BTreeSet<Arc<str>> =
            self.general.borrow_and_update().as_ref().map(|general| general.clients.clone()).unwrap_or_default();
        let gone: Vec<_> = self.open.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in gone {
            if let Some(door) = self.open.remove(&name) {
                door.leave().await;
                client_socket::forget(&self.run, &name);
            }
        }
        for name in wanted {
            if !self.open.contains_key(&name)
                && let Some(door) = self.door(&name)
            {
                self.open.insert(name, door);
            }
        }
    }

    /// One that cannot be opened is told, and tried again at the next reload; the others are served.
    fn door(&self, name: &Arc<str>) -> Option<Door> {
        let complain = |error: &dyn std::fmt::Display| {
            tracing::error!(client = %name, "the client {name} has no socket: {error}");
        };
        let (listener, own) = client_socket::open(&self.run, name).map_err(|error| complain(&error)).ok()?;
        let socket = Socket::Client(name.clone());
        let porter = Porter::new(listener, socket, self.broker.clone(), self.limits.clone());
        let porter = porter.map_err(|error| complain(&error)).ok()?;
        let close = CancellationToken::new();
        let (until, (_, no_pulses)) = (close.clone(), mpsc::channel(1));
        let served = tokio::spawn(async move {
            let _own = own;
            super::serve(porter, no_pulses, until).await;
        });
        Some(Door { close, served })
    }
}

impl Door {
    async fn leave(self) {
        self.close.cancel();
        // A panic in a connection stays in that connection; the accept loop has nothing that could.
        let _ = self.served.await;
    }
}

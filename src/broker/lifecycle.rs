//! How accounts come and go: start, reload and stop.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use tokio::sync::watch;

use super::{
    Accounts, Broker, Entry, Error, Tally,
    driver::{self, Command, Driver, Handle, World},
    stored,
};
use crate::{
    account::{Account, AccountName, Schedule},
    config::{AccountSettings, Action, ConfigError, Display, Settings},
    platform::{catalog, clock, peer::Caller, provider::Provider, store::Protection, unit::Units},
};

/// The settings in force that belong to no account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct General {
    /// The file that a reload reads again.
    pub path: PathBuf,
    /// How much is logged.
    pub log: tracing::Level,
    /// How many connections, and calls on the bus, one user may have at a time.
    pub connections_per_user: usize,
    /// Where a pending code is shown.
    pub display: Display,
    /// The clients that have a socket of their own.
    pub clients: BTreeSet<Arc<str>>,
    /// The units that rules name.
    pub units: Units,
}

impl Broker {
    /// Puts settings into force: accounts are started, stopped, or left running where nothing but their rules changed.
    /// An account whose client changed is stopped after its refresh in flight, and started from its record.
    pub async fn apply(&self, settings: &Settings) {
        let _one_at_a_time = self.reloading.lock().await;
        let general = General {
            path: settings.path.clone(),
            log: settings.log,
            connections_per_user: usize::from(settings.connections_per_user.get()),
            display: settings.display.clone(),
            clients: settings.clients.clone(),
            units: units_named(settings),
        };
        self.general.send_replace(Some(general));
        let old = self.all();
        let mut new = Accounts::new();
        for (name, settings) in &settings.accounts {
            for file in &settings.exposed {
                let file = file.display();
                tracing::warn!(account = %name, %file, "every user of this machine can read this secret: chmod o-r {file}");
            }
            let tally = old.get(name.as_str()).map(|entry| entry.tally.clone()).unwrap_or_default();
            let running = old.get(name.as_str()).filter(|entry| entry.settings.runs_like(settings));
            let handle = match running {
                Some(entry) => entry.handle.clone(),
                None => {
                    if let Some(entry) = old.get(name.as_str()) {
                        entry.handle.stop().await;
                    }
                    self.start(name, settings, tally.clone())
                }
            };
            new.insert(name.clone(), Arc::new(Entry { settings: settings.clone(), handle, tally }));
        }
        *self.accounts.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(new);
        for (name, entry) in old.iter() {
            if !settings.accounts.contains_key(name) {
                entry.handle.stop().await;
            }
        }
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Reads the configuration again and puts it into force, or changes nothing and says what is wrong. Returns the
    /// accounts there are then.
    pub async fn reload(self: &Arc<Self>, caller: &Caller) -> Result<Result<Vec<AccountName>, ConfigError>, Error> {
        if !self.may_manage_daemon(caller) {
            return Err(Error::NotAuthorized { caller: caller.clone(), action: Action::Manage });
        }
        let path = self.general.borrow().as_ref().map(|general| general.path.clone()).unwrap_or_default();
        match Settings::load(&path) {
            Ok(settings) => {
                let names = settings.accounts.keys().cloned().collect();
                let broker = self.clone();
                // A task of its own: a caller that hangs up half-way would leave accounts stopped.
                let applied = tokio::spawn(async move { broker.apply(&settings).await });
                if let Some(panic) = applied.await.err().and_then(|error| error.try_into_panic().ok()) {
                    std::panic::resume_unwind(panic);
                }
                tracing::info!(
                    caller_uid = caller.uid,
                    caller_unit = caller.unit.as_deref(),
                    "the configuration was read again"
                );
                Ok(Ok(names))
            }
            Err(error) => {
                let (caller_uid, message_id) = (caller.uid, catalog::CONFIGURATION_REJECTED);
                let message = "the new configuration is not used, the old one stays in force";
                tracing::error!(%error, caller_uid, message_id, "{message}");
                Ok(Err(error))
            }
        }
    }

    /// The settings in force that belong to no account; `None` before the first [`Broker::apply`].
    pub fn general(&self) -> watch::Receiver<Option<General>> {
        self.general.subscribe()
    }

    /// Lets every refresh in flight finish and be saved, and stops all accounts.
    pub async fn stop(&self) {
        let all = self.all();
        // Together, for each may take some seconds.
        all.values().for_each(|entry| entry.handle.begin_to_stop());
        for entry in all.values() {
            entry.handle.stop().await;
        }
    }

    /// Returns once every account's task has answered: they are alive.
    pub async fn prove_alive(&self) {
        for entry in self.all().values() {
            let _: Option<()> = entry.handle.ask(Command::Alive).await;
        }
    }

    /// Completes when an account's task has ended by a panic; the process has to end then too.
    pub async fn failed(&self) -> AccountName {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|name| name.clone()) {
            Ok(Some(name)) => name,
            // The broker has the other end.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// The way to the account's server.
    pub(super) fn provider_for(&self, settings: &AccountSettings) -> Provider {
        match (&settings.ca, settings.client.auth.identity()) {
            (None, None) => self.provider.clone(),
            (ca, identity) => Provider::new(ca.clone(), identity.cloned()),
        }
    }

    fn start(&self, name: &AccountName, settings: &AccountSettings, tally: Arc<Tally>) -> Handle {
        let record = stored::load(&self.store, name);
        let provider = self.provider_for(settings);
        let now = clock::now();
        let (client, boot_id) = (settings.client.clone(), self.boot_id.clone());
        let sealed = self.store.protection() != Protection::None;
        let schedule = Schedule { sealed, ..settings.schedule };
        let machine = Account::new(client, schedule, record, boot_id, driver::seed(), now);
        let world = World {
            provider,
            store: self.store.clone(),
            changed: self.changed.clone(),
            failed: self.failed.clone(),
            general: self.general(),
            tally,
            ticks: self.ticks(),
            unsettled: self.unsettled.clone(),
        };
        Driver::start(name.clone(), machine, world)
    }
}

fn units_named(settings: &Settings) -> Units {
    let rules = settings.accounts.values().flat_map(|account| &account.rules.allow);
    rules.filter_map(|rule| rule.unit.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

impl AccountSettings {
    /// Whether an account with these settings and one with those behave alike, whoever may ask.
    fn runs_like(&self, other: &Self) -> bool {
        self.client == other.client && self.ca == other.ca && self.schedule == other.schedule
    }
}

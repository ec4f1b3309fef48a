//! What is stored of the accounts: read at their start, and sealed anew.

use super::{Broker, Error, driver::Command};
use crate::{
    account::{AccountName, Reason, Record},
    config::Action,
    platform::{
        catalog,
        peer::Caller,
        store::{Incident, Protection, Store},
    },
};

/// What was sealed anew.
#[derive(Debug, Clone)]
pub struct Rekeyed {
    /// The accounts that have something stored, those that are not configured any more among them.
    pub accounts: Vec<AccountName>,
    /// How it is protected now.
    pub protection: Protection,
}

impl Broker {
    /// How what is stored is protected; a device code may be stored only where it is sealed.
    pub fn protection(&self) -> Protection {
        self.store.protection()
    }

    /// Saves every account under the current key, so that an older one is not needed any more.
    pub async fn rekey(&self, caller: &Caller) -> Result<Rekeyed, Error> {
        if !self.may_manage_daemon(caller) {
            return Err(Error::NotAuthorized { caller: caller.clone(), action: Action::Manage });
        }
        // No account may start from its record while this saves it.
        let _no_reload = self.reloading.lock().await;
        let running = self.all();
        for (name, entry) in running.iter() {
            let saved = entry.handle.ask(Command::Save).await;
            saved.unwrap_or(Err(Error::Timeout { account: name.clone() }))?;
        }
        let store = self.store.clone();
        let others = move || {
            let names = store.accounts().unwrap_or_default();
            names.into_iter().filter(|name| !running.contains_key(name)).find_map(|name| save_again(&store, name).err())
        };
        match tokio::task::spawn_blocking(others).await {
            Ok(None) => {}
            Ok(Some(error)) => return Err(error),
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
        let accounts = self.store.accounts().unwrap_or_default().into_iter().collect();
        let protection = self.protection();
        tracing::info!(protection = protection.as_str(), "everything that is stored was saved again");
        Ok(Rekeyed { accounts, protection })
    }
}

/// An account's record at its start. Where there was one that cannot be used, a record that says so takes its place.
pub(super) fn load(store: &Store, name: &AccountName) -> Option<Record> {
    let loaded = store.load(name);
    let usable = loaded.record.is_some();
    for incident in &loaded.incidents {
        tell(name, incident, usable);
    }
    let lost = !usable && !loaded.incidents.is_empty();
    let lost = lost.then(|| Record { reason: Some(Reason::Storage), ..Record::default() });
    let record = loaded.record.or(lost)?;
    // The reason has to outlive a restart, for it may take days until somebody looks. What was not set aside may still
    // become readable, and is left alone.
    let untold = !usable && loaded.incidents.iter().all(|incident| incident.aside.is_some());
    // And what is said of the protection has to be true from the start.
    if (untold || loaded.outdated)
        && let Err(error) = store.save(name, &record)
    {
        tracing::warn!(account = %name, %error, "the state cannot be written; it is tried again with the next change");
    }
    Some(record)
}

fn tell(account: &AccountName, incident: &Incident, usable: bool) {
    let Incident { file, damage, aside } = incident;
    let fate = match aside {
        Some(aside) => format!("it was set aside as {}", aside.display()),
        None => "it was left where it is".to_owned(),
    };
    let file = file.display();
    if usable {
        tracing::warn!(%account, %file, "one of two copies of the stored sign-in is not used: {damage}; {fate}");
    } else {
        tracing::error!(
            %account, %file, message_id = catalog::STATE_DAMAGED,
            "the stored sign-in cannot be used: {damage}; {fate}; sign in again: bearerd login {account}"
        );
    }
}

/// Saves an account again that nobody runs. What is wrong with its files is told as at a start.
fn save_again(store: &Store, account: AccountName) -> Result<(), Error> {
    match load(store, &account) {
        Some(record) => {
            let saved = store.save(&account, &record);
            saved.map_err(|error| Error::Storage { account, cause: error.to_string() })
        }
        None => Ok(()),
    }
}

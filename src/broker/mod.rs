//! The verbs that both doors offer, who may use them, and one task per account behind them.
//!
//! A cached token costs a look into a map, the policy, and a read of what the account last published; only what is not
//! there yet goes through the account's task.

mod audit;
mod driver;
mod error;
mod inbox;
mod lifecycle;
mod news;
pub mod policy;
mod probe;
mod proof;
mod published;
pub mod repeats;
mod sight;
mod stored;
pub mod story;
mod tally;
mod token;
mod unsettled;
mod waiting;
mod work;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, RwLock},
    time::Duration,
};

use tokio::sync::{Mutex, oneshot, watch};

use self::driver::{Command, Handle};
pub use self::{
    driver::View,
    error::Error,
    lifecycle::General,
    probe::{Finding, Verdict},
    proof::{ProofAnswer, ProofRequest},
    sight::Sight,
    stored::Rekeyed,
    tally::{Histogram, Tally},
    token::{Offer, TokenAnswer, TokenRequest, Wait},
    unsettled::Unsettled,
};
pub use crate::platform::store::Protection;
use crate::{
    account::{AccountName, Prompt},
    config::{AccountSettings, Action, Rules, TokenFile},
    platform::{clock, peer::Caller, provider::Provider, store::Store, tick::Ticks, unit::Units},
};

/// All accounts, and what callers may do to them.
pub struct Broker {
    accounts: RwLock<Arc<Accounts>>,
    store: Store,
    boot_id: Option<Arc<str>>,
    own_uid: u32,
    /// One client for all accounts without certificates of their own.
    provider: Provider,
    changed: watch::Sender<u64>,
    failed: watch::Sender<Option<AccountName>>,
    general: watch::Sender<Option<General>>,
    reloading: Mutex<()>,
    audit: audit::Audit,
    ticks: OnceLock<Ticks>,
    unsettled: Unsettled,
}

type Accounts = BTreeMap<AccountName, Arc<Entry>>;

struct Entry {
    settings: AccountSettings,
    handle: Handle,
    tally: Arc<Tally>,
}

impl Broker {
    /// A broker without accounts; [`Broker::apply`] gives it some.
    pub fn new(store: Store) -> Self {
        Self {
            accounts: RwLock::default(),
            store,
            boot_id: clock::boot_id().map(Arc::from),
            own_uid: Caller::ourselves().uid,
            provider: Provider::default(),
            // No run makes a change each microsecond, so the next one begins above all numbers of this one.
            changed: watch::Sender::new(u64::try_from(clock::since_1970().as_micros()).unwrap_or_default()),
            failed: watch::Sender::new(None),
            general: watch::Sender::new(None),
            reloading: Mutex::default(),
            audit: audit::Audit::default(),
            ticks: OnceLock::new(),
            unsettled: Unsettled::default(),
        }
    }

    /// Every account by name, for what is shown to the owner of the machine.
    pub fn views(&self) -> Vec<(AccountName, Arc<View>)> {
        self.all().iter().map(|(name, entry)| (name.clone(), entry.handle.view())).collect()
    }

    /// The accounts whose token is kept in a file, for who keeps it there.
    pub fn token_files(&self) -> Vec<(AccountName, Arc<TokenFile>, Arc<View>)> {
        let all = self.all();
        let kept = all.iter().filter_map(|(name, entry)| Some((name, entry.settings.token_file.clone()?, entry)));
        kept.map(|(name, file, entry)| (name.clone(), file, entry.handle.view())).collect()
    }

    /// What was counted of an account.
    pub fn tally(&self, name: &AccountName) -> Option<Arc<Tally>> {
        self.all().get(name).map(|entry| entry.tally.clone())
    }

    /// Whether the caller may change the daemon as a whole.
    pub fn may_manage_daemon(&self, caller: &Caller) -> bool {
        policy::is_privileged(caller, self.own_uid)
    }

    /// Whether the caller has any right at all.
    pub fn knows(&self, caller: &Caller) -> bool {
        let all = self.all();
        let known = |entry: &Arc<Entry>| self.is_visible(caller, entry);
        self.may_manage_daemon(caller) || all.values().any(known)
    }

    /// How many connections, and calls on the bus, one user may have at a time.
    pub fn connections_per_user(&self) -> usize {
        self.general.borrow().as_ref().map_or(0, |general| general.connections_per_user)
    }

    /// The units that rules name: no caller's unit is looked for among others.
    pub fn units(&self) -> Units {
        self.general.borrow().as_ref().map_or_else(|| Units::from([]), |general| general.units.clone())
    }

    /// Ticks whenever an account publishes something, or accounts come or go: the number of the last change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What wakes everybody who waits long, together and in suspend too. The caller has to be in a runtime.
    pub fn ticks(&self) -> Ticks {
        self.ticks.get_or_init(Ticks::start).clone()
    }

    /// Whether the machine had better not be suspended now.
    pub fn unsettled(&self) -> Unsettled {
        self.unsettled.clone()
    }

    /// The accounts that the caller has any right to.
    pub fn list(&self, caller: &Caller) -> Vec<Sight> {
        let all = self.all();
        let seen = all.iter().filter(|(_, entry)| self.allows(&entry.settings.rules, caller, Action::Status));
        let now = clock::now();
        seen.map(|(name, entry)| self.sight(caller, name, entry, now)).collect()
    }

    /// The full name of an account, for a caller with any right to it.
    pub fn find(&self, caller: &Caller, name: Option<&str>) -> Result<AccountName, Error> {
        self.visible(caller, name).map(|(name, _)| name)
    }

    /// One account.
    pub fn look(&self, caller: &Caller, name: Option<&str>) -> Result<Sight, Error> {
        let (name, entry) = self.account(caller, name, Action::Status)?;
        Ok(self.sight(caller, &name, &entry, clock::now()))
    }

    /// One account, as soon as it differs from `revision`, or when `patience` has run out.
    pub async fn look_after(
        &self,
        caller: &Caller,
        name: &str,
        revision: u64,
        patience: Duration,
    ) -> Result<Sight, Error> {
        let (_, entry) = self.account(caller, Some(name), Action::Status)?;
        let differs = entry.handle.wait_until(|view| view.revision != revision);
        // Time is up, or the account has gone: either way the last word is what there is to say.
        let _ = tokio::time::timeout(patience, differs).await;
        self.look(caller, Some(name))
    }

    /// Starts a login, or joins the one that is running, and returns its prompt (RFC 8628 §3.3). With `replace`, whoever
    /// signs in takes over from the person who signed in before.
    pub async fn login(
        &self,
        caller: &Caller,
        name: Option<&str>,
        replace: bool,
    ) -> Result<(AccountName, Arc<Prompt>), Error> {
        let (name, entry) = self.account(caller, name, Action::Login)?;
        if replace {
            // As much as a logout and a login in one.
            self.account(caller, Some(name.as_str()), Action::Manage)?;
        }
        news::asked(&name, caller, "a sign-in");
        let answer = entry.handle.ask(|reply| Command::Login { replace, reply }).await;
        let prompt = answer.unwrap_or_else(|| Err(Error::Timeout { account: name.clone() }))?;
        Ok((name, prompt))
    }

    /// The prompt of the login that is running, if one is.
    pub fn prompt(&self, caller: &Caller, name: Option<&str>) -> Result<(AccountName, Option<Arc<Prompt>>), Error> {
        let (name, entry) = self.account(caller, name, Action::Login)?;
        Ok((name, entry.handle.view().snapshot.prompt.clone()))
    }

    /// Ends the login that is running.
    pub async fn cancel_login(&self, caller: &Caller, name: Option<&str>) -> Result<(), Error> {
        let (name, entry) = self.account(caller, name, Action::Login)?;
        news::asked(&name, caller, "the end of a sign-in that was under way");
        let _: bool = entry.handle.ask(Command::CancelLogin).await.ok_or(Error::Timeout { account: name })?;
        Ok(())
    }

    /// Forgets the grant, here first and then at the server.
    pub async fn logout(&self, caller: &Caller, name: Option<&str>) -> Result<(), Error> {
        let (name, entry) = self.account(caller, name, Action::Manage)?;
        news::asked(&name, caller, "a sign-out");
        entry.handle.ask(Command::Logout).await.unwrap_or(Err(Error::Timeout { account: name }))
    }

    /// Refreshes now, and returns the account as it is after that.
    pub async fn refresh(&self, caller: &Caller, name: Option<&str>) -> Result<Sight, Error> {
        let (name, entry) = self.account(caller, name, Action::Manage)?;
        news::asked(&name, caller, "a refresh");
        entry.handle.ask(Command::Refresh).await.unwrap_or(Err(Error::Timeout { account: name.clone() }))?;
        Ok(self.sight(caller, &name, &entry, clock::now()))
    }

    fn all(&self) -> Arc<Accounts> {
        self.accounts.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn allows(&self, rules: &Rules, caller: &Caller, action: Action) -> bool {
        policy::decide(rules, caller, action, self.own_uid, &[]).is_some()
    }

    fn is_visible(&self, caller: &Caller, entry: &Entry) -> bool {
        policy::ACTIONS.iter().any(|any| self.allows(&entry.settings.rules, caller, *any))
    }

    /// The account of that name, if the caller may do that to it.
    fn account(&self, caller: &Caller, name: Option<&str>, action: Action) -> Result<(AccountName, Arc<Entry>), Error> {
        let (name, entry) = self.visible(caller, name)?;
        if self.allows(&entry.settings.rules, caller, action) {
            Ok((name, entry))
        } else {
            Err(Error::NotAuthorized { caller: caller.clone(), action })
        }
    }

    /// The account of that name, or the only one, or `default`. One that the caller has no right to at all does not
    /// exist for it.
    fn visible(&self, caller: &Caller, name: Option<&str>) -> Result<(AccountName, Arc<Entry>), Error> {
        let all = self.all();
        let visible = |entry: &Entry| self.is_visible(caller, entry);
        let named = |name: &str| all.get_key_value(name).filter(|(_, entry)| visible(entry));
        let found = match name {
            Some(name) => named(name),
            None => {
                let mut seen = all.iter().filter(|(_, entry)| visible(entry));
                match (seen.next(), seen.next()) {
                    (Some(only), None) => Some(only),
                    _ => named(DEFAULT),
                }
            }
        };
        let (name, entry) = found.ok_or_else(|| Error::NoSuchAccount { name: name.unwrap_or(DEFAULT).to_owned() })?;
        Ok((name.clone(), entry.clone()))
    }
}

/// The account that is meant where none is named and there are several.
const DEFAULT: &str = "default";

/// How an answer comes back from an account's task.
type Reply<T> = oneshot::Sender<T>;

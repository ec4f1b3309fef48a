//! The verbs that both doors offer, who may use them, and one task per account behind them.
//!
//! A cached token costs a look into a map, the policy, and a read of what the account last published; only what is not
//! there yet goes through the account's task.

mod driver;
mod error;
pub mod policy;
mod stored;
pub mod story;
mod waiting;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use tokio::sync::{Mutex, oneshot, watch};

use self::driver::{Command, Driver, Handle, World};
pub use self::{driver::View, error::Error, stored::Rekeyed};
pub use crate::platform::store::Protection;
use crate::{
    account::{Account, AccountName, Answer, Need, Prompt, Reason, Schedule, Token},
    config::{AccountSettings, Action, ConfigError, Display, Rule, Settings},
    platform::{clock, peer::Caller, provider::Provider, store::Store},
    secret::Fingerprint,
    time::Now,
};

/// All accounts, and what callers may do to them.
pub struct Broker {
    accounts: RwLock<Arc<Accounts>>,
    store: Store,
    boot_id: Option<String>,
    own_uid: u32,
    /// One client for all accounts without certificates of their own.
    provider: Provider,
    changed: watch::Sender<u64>,
    general: watch::Sender<Option<General>>,
    reloading: Mutex<()>,
}

/// The settings in force that belong to no account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct General {
    /// The file that a reload reads again.
    pub path: PathBuf,
    /// How much is logged.
    pub log: tracing::Level,
    /// Where a pending code is shown.
    pub display: Display,
}

type Accounts = BTreeMap<AccountName, Arc<Entry>>;

struct Entry {
    settings: AccountSettings,
    handle: Handle,
}

/// What a caller asks of a token, as both doors read it.
#[derive(Debug, Clone, Default)]
pub struct TokenRequest {
    /// How long it has to live at least; the account's setting where the caller does not say.
    pub min_validity: Option<Duration>,
    /// How long the caller is ready to wait, for a person too; where it does not say, it waits for a refresh alone.
    pub wait: Option<Duration>,
    /// The SHA-256 of a token that an API refused.
    pub rejected: Option<Fingerprint>,
    /// A scope of its own.
    pub scope: Option<String>,
    /// An audience of its own.
    pub audience: Option<String>,
    /// A resource of its own.
    pub resource: Option<String>,
}

/// A token for a caller, with its times counted from now.
pub struct TokenAnswer {
    /// The account it belongs to.
    pub account: AccountName,
    /// The token.
    pub token: Arc<Token>,
    /// Seconds it still lives, where the server said.
    pub expires_in: Option<u64>,
    /// When it ends in Unix seconds, where the server said.
    pub expires_at: Option<u64>,
}

/// An account, as a caller with the right to see it does.
pub struct Sight {
    /// Its name.
    pub name: AccountName,
    /// The issuer, or the token endpoint's address where none is configured.
    pub issuer: String,
    /// What it published last.
    pub view: Arc<View>,
    /// When this was read.
    pub now: Now,
    /// The caller may see the code that is out.
    pub may_see_prompt: bool,
    /// How what is stored of it is protected.
    pub protection: Protection,
}

impl Broker {
    /// A broker without accounts; [`Broker::apply`] gives it some.
    pub fn new(store: Store) -> Self {
        Self {
            accounts: RwLock::default(),
            store,
            boot_id: clock::boot_id(),
            own_uid: Caller::ourselves().uid,
            provider: Provider::default(),
            changed: watch::Sender::new(0),
            general: watch::Sender::new(None),
            reloading: Mutex::default(),
        }
    }

    /// Puts settings into force: accounts are started, stopped, or left running where nothing but their rules changed.
    /// An account whose client changed is stopped after its refresh in flight, and started from its record.
    pub async fn apply(&self, settings: &Settings) {
        let _one_at_a_time = self.reloading.lock().await;
        let Settings { ref path, log, display, .. } = *settings;
        self.general.send_replace(Some(General { path: path.clone(), log, display }));
        let old = self.all();
        let mut new = Accounts::new();
        for (name, settings) in &settings.accounts {
            let running = old.get(name.as_str()).filter(|entry| entry.settings.runs_like(settings));
            let handle = match running {
                Some(entry) => entry.handle.clone(),
                None => {
                    if let Some(entry) = old.get(name.as_str()) {
                        entry.handle.stop().await;
                    }
                    self.start(name, settings)
                }
            };
            new.insert(name.clone(), Arc::new(Entry { settings: settings.clone(), handle }));
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
                tracing::info!("the configuration was read again");
                Ok(Ok(names))
            }
            Err(error) => {
                tracing::error!(%error, "the new configuration is not used, the old one stays in force");
                Ok(Err(error))
            }
        }
    }

    /// The settings in force that belong to no account; `None` before the first [`Broker::apply`].
    pub fn general(&self) -> watch::Receiver<Option<General>> {
        self.general.subscribe()
    }

    /// Every account by name, for what is shown to the owner of the machine.
    pub fn views(&self) -> Vec<(AccountName, Arc<View>)> {
        self.all().iter().map(|(name, entry)| (name.clone(), entry.handle.view())).collect()
    }

    /// Whether the caller may change the daemon as a whole.
    pub fn may_manage_daemon(&self, caller: &Caller) -> bool {
        caller.uid == 0 || caller.uid == self.own_uid
    }

    /// Lets every refresh in flight finish and be saved, and stops all accounts.
    pub async fn stop(&self) {
        for entry in self.all().values() {
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
        loop {
            let mut changes = self.changed.subscribe();
            if let Some((name, _)) = self.all().iter().find(|(_, entry)| entry.handle.has_failed()) {
                return name.clone();
            }
            let _ = changes.changed().await;
        }
    }

    /// Ticks whenever an account publishes something, or accounts come or go.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A token (RFC 6749 §5.1) of that account, or of the only one, or of `default`.
    pub async fn token(
        &self,
        caller: &Caller,
        name: Option<&str>,
        request: &TokenRequest,
    ) -> Result<TokenAnswer, Error> {
        let (name, entry) = self.account(caller, name, Action::Token)?;
        let mut need = Need {
            min_validity: request.min_validity.unwrap_or(entry.settings.min_validity),
            rejected: request.rejected,
            attempts: 0,
        };
        entry.settings.refuse_other_targets(request)?;
        let view = entry.handle.view();
        need.attempts = view.snapshot.attempts;
        let token = match view.snapshot.answer(&need, clock::boot()) {
            Answer::Token(token) => token,
            _ => {
                let may_see_prompt = self.allows(&entry.settings.rules, caller, Action::Login);
                let answer = entry.handle.ask(|reply| Command::Token { need, wait: request.wait, reply }).await;
                let answer = answer.unwrap_or_else(|| Err(Error::Timeout { account: name.clone() }));
                answer.map_err(|error| if may_see_prompt { error } else { error.without_prompt() })?
            }
        };
        let now = clock::now();
        Ok(TokenAnswer {
            account: name,
            expires_in: token.remaining(now.boot).map(|left| left.as_secs()),
            expires_at: token.expires.map(|end| now.wall_at(end).0),
            token,
        })
    }

    /// The accounts that the caller has any right to.
    pub fn list(&self, caller: &Caller) -> Vec<Sight> {
        let all = self.all();
        let seen = all.iter().filter(|(_, entry)| self.allows(&entry.settings.rules, caller, Action::Status));
        seen.map(|(name, entry)| self.sight(caller, name, entry)).collect()
    }

    /// The full name of an account, for a caller with any right to it.
    pub fn find(&self, caller: &Caller, name: Option<&str>) -> Result<AccountName, Error> {
        self.visible(caller, name).map(|(name, _)| name)
    }

    /// One account.
    pub fn look(&self, caller: &Caller, name: Option<&str>) -> Result<Sight, Error> {
        let (name, entry) = self.account(caller, name, Action::Status)?;
        Ok(self.sight(caller, &name, &entry))
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
        let mut views = entry.handle.views();
        let differs = views.wait_for(|view| view.revision != revision);
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
        let _: bool = entry.handle.ask(Command::CancelLogin).await.ok_or(Error::Timeout { account: name })?;
        Ok(())
    }

    /// Forgets the grant, here first and then at the server.
    pub async fn logout(&self, caller: &Caller, name: Option<&str>) -> Result<(), Error> {
        let (name, entry) = self.account(caller, name, Action::Manage)?;
        entry.handle.ask(Command::Logout).await.unwrap_or(Err(Error::Timeout { account: name }))
    }

    /// Refreshes now, and returns the account as it is after that.
    pub async fn refresh(&self, caller: &Caller, name: Option<&str>) -> Result<Sight, Error> {
        let (name, entry) = self.account(caller, name, Action::Manage)?;
        entry.handle.ask(Command::Refresh).await.unwrap_or(Err(Error::Timeout { account: name.clone() }))?;
        Ok(self.sight(caller, &name, &entry))
    }

    fn start(&self, name: &AccountName, settings: &AccountSettings) -> Handle {
        let record = stored::load(&self.store, name);
        let provider = match &settings.ca {
            Some(ca) => Provider::new(Some(ca.clone())),
            None => self.provider.clone(),
        };
        let now = clock::now();
        let (client, boot_id) = (settings.client.clone(), self.boot_id.clone());
        let sealed = self.store.protection() != Protection::None;
        let schedule = Schedule { sealed, ..settings.schedule };
        let machine = Account::new(client, schedule, record, boot_id, driver::seed(), now);
        let world =
            World { provider, store: self.store.clone(), changed: self.changed.clone(), general: self.general() };
        Driver::start(name.clone(), machine, world)
    }

    fn all(&self) -> Arc<Accounts> {
        self.accounts.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn allows(&self, rules: &[Rule], caller: &Caller, action: Action) -> bool {
        policy::allows(rules, caller, action, self.own_uid)
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
        let visible =
            |entry: &Entry| policy::ACTIONS.iter().any(|any| self.allows(&entry.settings.rules, caller, *any));
        let name = match name {
            Some(name) => name,
            None => {
                let mut seen = all.iter().filter(|(_, entry)| visible(entry)).map(|(name, _)| name.as_str());
                match (seen.next(), seen.next()) {
                    (Some(only), None) => only,
                    _ => "default",
                }
            }
        };
        let found = all.get_key_value(name).filter(|(_, entry)| visible(entry));
        let (name, entry) = found.ok_or_else(|| Error::NoSuchAccount { name: name.to_owned() })?;
        Ok((name.clone(), entry.clone()))
    }

    fn sight(&self, caller: &Caller, name: &AccountName, entry: &Entry) -> Sight {
        let client = &entry.settings.client;
        let token_endpoint = || client.endpoints.token.as_ref().map(|token| token.as_str().to_owned());
        Sight {
            name: name.clone(),
            issuer: client.issuer.clone().or_else(token_endpoint).unwrap_or_default(),
            view: entry.handle.view(),
            now: clock::now(),
            may_see_prompt: self.allows(&entry.settings.rules, caller, Action::Login),
            protection: self.protection(),
        }
    }
}

impl Sight {
    /// The one sentence that says how the account is and what to do.
    pub fn sentence(&self) -> String {
        self.told(self.may_see_prompt)
    }

    /// The same, with the code or without it.
    pub fn told(&self, with_code: bool) -> String {
        story::sentence(self.name.as_str(), &self.view.snapshot, self.now, with_code)
    }

    /// Why it is signed out, when it is.
    pub fn reason(&self) -> Option<Reason> {
        self.view.snapshot.reason
    }
}

impl AccountSettings {
    /// Whether an account with these settings and one with those behave alike, whoever may ask.
    fn runs_like(&self, other: &Self) -> bool {
        self.client == other.client && self.ca == other.ca && self.schedule == other.schedule
    }

    /// A token with a target of its own cannot be had yet, and a broader one is never handed out instead.
    fn refuse_other_targets(&self, request: &TokenRequest) -> Result<(), Error> {
        let refused = |parameter: &'static str| Error::InvalidOption {
            parameter: parameter.to_owned(),
            why: format!("a token with a {parameter} other than the account's own cannot be had in this version"),
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let own = |asked: &Option<String>, own: &str| asked.as_ref().is_none_or(|asked| words(asked) == words(own));
        if !own(&request.scope, &self.client.scopes.join(" ")) {
            return Err(refused("scope"));
        }
        if !own(&request.audience, &self.client.audience.join(" ")) {
            return Err(refused("audience"));
        }
        if !own(&request.resource, &self.client.resource.join(" ")) {
            return Err(refused("resource"));
        }
        Ok(())
    }
}

/// How an answer comes back from an account's task.
type Reply<T> = oneshot::Sender<T>;

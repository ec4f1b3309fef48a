//! `[accounts.NAME.file]`: the token in a file, for programs that can only read one. An account never suffers from its
//! file: what cannot be written is told once and tried again.

use std::{collections::BTreeMap, panic::resume_unwind, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    account::{AccountName, Token},
    broker::Broker,
    config::{Bus, TokenFile},
    platform::{
        clock, reload,
        tick::Ticks,
        token_file::{self, Failure},
    },
    secret::Fingerprint,
};

/// Keeps the files of all accounts until `stopped`, which is to come when the accounts have stopped: what the last
/// refresh brought is still written. The files stay then, because the tokens in them are still good.
pub(super) async fn keep(broker: Arc<Broker>, bus: Bus, stopped: CancellationToken) {
    let (mut changes, mut ticks) = (broker.changes(), broker.ticks());
    let mut keeper = Keeper { bus, kept: BTreeMap::new(), reloads: JoinSet::new() };
    loop {
        changes.mark_unchanged();
        let pause = keeper.update(&broker).await;
        let end = tokio::select! {
            () = stopped.cancelled() => true,
            () = keeper.wait(&mut changes, &mut ticks, pause) => false,
        };
        if end {
            keeper.update(&broker).await;
            let _ = tokio::time::timeout(FAREWELL, keeper.finish_reloads()).await;
            return;
        }
    }
}

struct Keeper {
    bus: Bus,
    kept: BTreeMap<AccountName, Kept>,
    /// Each is the account, its unit, and what is wrong.
    reloads: JoinSet<(AccountName, String, Result<(), String>)>,
}

/// A file, and what is known of it.
struct Kept {
    file: Arc<TokenFile>,
    stands: Stands,
    /// The token that the unit was last reloaded for, or that was there when the daemon came.
    reloaded: Option<Fingerprint>,
    failures: u32,
    /// What the journal knows to be wrong.
    trouble: Option<String>,
    reload_trouble: Option<String>,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// Nobody has looked, or the file is to be another one.
    Unknown,
    Nothing,
    Token(Fingerprint),
}

impl Keeper {
    /// Brings every file to what it is to be, and returns when to look again.
    async fn update(&mut self, broker: &Broker) -> Duration {
        let files = broker.token_files();
        // First of all what goes: another account may get the path.
        for (name, file) in self.leaving(&files.iter().map(|(name, file, _)| (name, file)).collect()) {
            forget(&name, file).await;
        }
        let mut pause = Duration::MAX;
        for (name, file, view) in files {
            let now = clock::boot();
            let token = view.snapshot.valid_token(now);
            // An account that publishes nothing at the end of its token is looked at then all the same.
            pause = token.and_then(|token| token.remaining(now)).map_or(pause, |left| left.min(pause));
            let kept = self.kept.entry(name.clone()).or_insert_with(|| Kept::new(file.clone()));
            if kept.file != file {
                (kept.file, kept.stands) = (file, Stands::Unknown);
            }
            if kept.settle(&name, token).await
                && let Some(unit) = kept.file.reload_unit.clone()
            {
                let bus = self.bus.clone();
                self.reloads.spawn(async move {
                    let outcome = reload::reload(&bus, &unit).await;
                    (name, unit, outcome)
                });
            }
            pause = kept.pause().map_or(pause, |again| again.min(pause));
        }
        pause
    }

    /// The files that are kept no more, and are not known from here on.
    fn leaving(&mut self, wanted: &BTreeMap<&AccountName, &Arc<TokenFile>>) -> Vec<(AccountName, Arc<TokenFile>)> {
        let stays = |name: &AccountName, kept: &Kept| wanted.get(name).is_some_and(|file| file.path == kept.file.path);
        let gone = self.kept.iter().filter(|(name, kept)| !stays(name, kept)).map(|(name, _)| name.clone());
        let gone: Vec<_> = gone.collect();
        gone.into_iter().filter_map(|name| self.kept.remove(&name).map(|kept| (name, kept.file))).collect()
    }

    async fn wait(&mut self, changes: &mut watch::Receiver<u64>, ticks: &mut Ticks, pause: Duration) {
        let wake = ticks.wait(pause);
        tokio::pin!(wake);
        loop {
            tokio::select! {
                Some(done) = self.reloads.join_next() => self.tell_reload(done),
                // The sender lives as long as the broker, which our caller holds.
                _ = changes.changed() => return,
                () = &mut wake => return,
            }
        }
    }

    async fn finish_reloads(&mut self) {
        while let Some(done) = self.reloads.join_next().await {
            self.tell_reload(done);
        }
    }

    /// A reload that failed is not tried again before the next token: whoever denied it would be asked each minute.
    fn tell_reload(&mut self, done: Result<(AccountName, String, Result<(), String>), tokio::task::JoinError>) {
        let Ok((name, unit, outcome)) = done else { return };
        let Some(kept) = self.kept.get_mut(&name) else { return };
        let (account, trouble) = (name.as_str(), outcome.err());
        if kept.reload_trouble != trouble {
            match &trouble {
                Some(error) => {
                    tracing::warn!(account, "{account}: {unit} cannot be told of the new token in its file: {error}");
                }
                None => tracing::info!(account, "{account}: {unit} can be told of new tokens again"),
            }
        }
        kept.reload_trouble = trouble;
    }
}

impl Kept {
    fn new(file: Arc<TokenFile>) -> Self {
        Self { file, stands: Stands::Unknown, reloaded: None, failures: 0, trouble: None, reload_trouble: None }
    }

    /// Puts the token into the file, or takes the file away. Returns whether the unit has to hear of it.
    async fn settle(&mut self, name: &AccountName, token: Option<&Arc<Token>>) -> bool {
        let wanted = token.filter(|token| token.key.is_none());
        let wants = wanted.map_or(Stands::Nothing, |token| Stands::Token(token.fingerprint));
        // Programs whose own directory it is in take it away with that when they restart.
        let lost = matches!(self.stands, Stands::Token(_)) && !token_file::exists(&self.file);
        let before = self.stands;
        let mut trouble = (wanted.is_none() && token.is_some()).then(|| BOUND.to_owned());
        let mut news = false;
        if wants != before || lost {
            match place(self.file.clone(), wanted.cloned()).await {
                Ok(changed) => {
                    (self.stands, self.failures) = (wants, 0);
                    if let Stands::Token(fingerprint) = wants {
                        news = changed && self.reloaded != Some(fingerprint);
                        self.reloaded = Some(fingerprint);
                    }
                }
                Err(failure) => {
                    self.failures += 1;
                    trouble = Some(failure.to_string());
                }
            }
        } else {
            self.failures = 0;
        }
        self.tell(name, before, trouble);
        news
    }

    /// When to try again what has failed.
    fn pause(&self) -> Option<Duration> {
        let doublings = self.failures.checked_sub(1)?;
        Some(FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(LONGEST_PAUSE))
    }

    /// One line for each change that a person would want to know of; a token that takes the place of another is none.
    fn tell(&mut self, name: &AccountName, before: Stands, trouble: Option<String>) {
        let (account, path) = (name.as_str(), self.file.path.display());
        match (&trouble, before, self.stands) {
            (Some(error), _, _) if self.trouble.as_ref() != Some(error) => {
                tracing::warn!(account, "{account}: the token file {path} is not kept: {error}");
            }
            (None, _, Stands::Token(_)) if !matches!(before, Stands::Token(_)) || self.trouble.is_some() => {
                tracing::info!(account, "{account}: the token is in {path}");
            }
            (None, Stands::Token(_), Stands::Nothing) => {
                tracing::info!(account, "{account}: there is no token, and {path} is gone");
            }
            (Some(_) | None, _, _) => {}
        }
        self.trouble = trouble;
    }
}

/// Does it where the disk keeps nobody waiting.
async fn place(file: Arc<TokenFile>, token: Option<Arc<Token>>) -> Result<bool, Failure> {
    let placed = tokio::task::spawn_blocking(move || match token {
        Some(token) => token_file::write(&file, &token.secret),
        None => token_file::remove(&file).map(|()| false),
    });
    match placed.await {
        Ok(placed) => placed,
        // Nothing cancels it while the runtime lives.
        Err(error) => resume_unwind(error.into_panic()),
    }
}

async fn forget(name: &AccountName, file: Arc<TokenFile>) {
    let (account, path) = (name.as_str(), file.path.clone());
    let path = path.display();
    match place(file, None).await {
        Ok(_) => tracing::info!(account, "{account}: the token file {path} is not configured any more, and is gone"),
        Err(error) => tracing::warn!(
            account,
            "{account}: the token file {path} is not configured any more and cannot be removed; do so by hand: {error}"
        ),
    }
}

const BOUND: &str = "the server binds this account's tokens to a key (DPoP), and without the key's proofs a file with one is \
                     of no use; programs have to ask for token and proof, or take out dpop = true";
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Also because timers stand still in suspend.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long reloads may take when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(2);

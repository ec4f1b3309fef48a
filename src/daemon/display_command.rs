//! `display.command`: the owner's program hears of every code that comes out, is reminded of it while nobody enters it, and
//! hears when it has gone. One call at a time; what happens meanwhile is told by the next one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    account::{AccountName, Prompt},
    broker::{Broker, View, story},
    platform::{
        clock,
        hook::{self, Message},
    },
    time::{Instant, Now},
};

/// Tells the program of the configuration until `shutdown`; a call that runs then is killed, and codes that were shown are
/// withdrawn, because nobody would do it later.
pub(super) async fn tell(broker: Arc<Broker>, shutdown: CancellationToken) {
    let mut teller = Teller::default();
    if shutdown.run_until_cancelled(teller.tell(&broker)).await.is_none() {
        teller.withdraw_all(LIMIT_AT_STOP).await;
    }
}

/// The program, and what it knows.
#[derive(Default)]
struct Teller {
    command: Vec<String>,
    /// The program's output may have the code in it.
    log_code: bool,
    told: Told,
}

impl Teller {
    async fn tell(&mut self, broker: &Broker) {
        let mut changes = broker.changes();
        loop {
            changes.mark_unchanged();
            let display = broker.general().borrow().as_ref().map(|general| general.display.clone());
            let (command, log_code) = display.map_or((Vec::new(), false), |display| (display.command, display.log));
            if command != self.command {
                self.withdraw_all(LIMIT).await;
            }
            (self.command, self.log_code) = (command, log_code);
            let views = if self.command.is_empty() { Vec::new() } else { broker.views() };
            match self.told.next(&views, clock::now()) {
                Some(call) => self.run(&call, LIMIT).await,
                None => wait(&mut changes, self.told.reminder()).await,
            }
        }
    }

    async fn withdraw_all(&mut self, limit: Duration) {
        while let Some(call) = self.told.next(&[], clock::now()) {
            self.run(&call, limit).await;
        }
    }

    async fn run(&self, call: &Call, limit: Duration) {
        let text = call.message.to_string() + "\n";
        let hidden = (!self.log_code).then_some(call.code.as_str());
        hook::run(&self.command, Message { text: &text, hidden }, limit).await;
    }
}

async fn wait(changes: &mut tokio::sync::watch::Receiver<u64>, reminder: Option<Instant>) {
    let pause = reminder.map_or(LONGEST_WAIT, |at| clock::boot().until(at)).min(LONGEST_WAIT);
    let _ = tokio::time::timeout(pause, changes.changed()).await;
}

/// What the program knows: the codes that it has heard of and not heard the end of.
#[derive(Default)]
struct Told(BTreeMap<AccountName, Known>);

struct Known {
    code: String,
    remind_at: Instant,
    pause: Duration,
}

/// One thing to tell.
struct Call {
    message: Value,
    code: String,
}

impl Told {
    /// The next thing to tell, which counts as told from here on.
    fn next(&mut self, views: &[(AccountName, Arc<View>)], now: Now) -> Option<Call> {
        self.withdrawal(views, now).or_else(|| views.iter().find_map(|(name, view)| self.prompt(name, view, now)))
    }

    /// When the next reminder is due.
    fn reminder(&self) -> Option<Instant> {
        self.0.values().map(|known| known.remind_at).min()
    }

    fn withdrawal(&mut self, views: &[(AccountName, Arc<View>)], now: Now) -> Option<Call> {
        let view = |name: &AccountName| views.iter().find(|(other, _)| other == name).map(|(_, view)| view);
        let out = |name: &AccountName| view(name).is_some_and(|view| view.snapshot.prompt.is_some());
        let gone = self.0.keys().find(|name| !out(name)).cloned()?;
        let known = self.0.remove(&gone)?;
        let mut message = json!({ "event": "withdrawn", "account": gone.as_str() });
        if let Some(view) = view(&gone) {
            message["state"] = view.snapshot.state.as_str().into();
            message["message"] = story::sentence(gone.as_str(), &view.snapshot, now, false).into();
        }
        Some(Call { message, code: known.code })
    }

    fn prompt(&mut self, name: &AccountName, view: &View, now: Now) -> Option<Call> {
        let prompt = view.snapshot.prompt.as_ref()?;
        let (event, pause) = match self.0.get(name).filter(|known| known.code == prompt.user_code) {
            None => ("prompt", FIRST_PAUSE),
            Some(known) if known.remind_at <= now.boot => ("reminder", known.pause * 2),
            Some(_) => return None,
        };
        let code = prompt.user_code.clone();
        self.0.insert(name.clone(), Known { code: code.clone(), remind_at: now.boot + pause, pause });
        let mut message = describe(name, prompt, now);
        message["event"] = event.into();
        message["state"] = view.snapshot.state.as_str().into();
        message["message"] = story::sentence(name.as_str(), &view.snapshot, now, true).into();
        Some(Call { message, code })
    }
}

/// The members that the API's prompt has, but for the picture: whoever can draw makes it of the address.
fn describe(account: &AccountName, prompt: &Prompt, now: Now) -> Value {
    let mut members = json!({
        "account": account.as_str(),
        "user_code": prompt.user_code,
        "verification_uri": prompt.verification_uri,
        "expires_in": now.boot.until(prompt.expires).as_secs(),
        "expires_at": now.wall_at(prompt.expires).0,
    });
    if let Some(complete) = &prompt.verification_uri_complete {
        members["verification_uri_complete"] = complete.as_str().into();
    }
    members
}

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The same while the daemon stops.
const LIMIT_AT_STOP: Duration = Duration::from_secs(2);
/// Before the first reminder; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Timers stand still in suspend, and the boot clock does not.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

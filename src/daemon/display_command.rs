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
        let (mut changes, mut ticks) = (broker.changes(), broker.ticks());
        loop {
            changes.mark_unchanged();
            let display = broker.general().borrow().as_ref().map(|general| general.display.clone());
            let (command, log_code) = display.map_or((Vec::new(), false), |display| (display.command, display.log));
            if command != self.command {
                self.withdraw_all(LIMIT).await;
            }
            (self.command, self.log_code) = (command, log_code);
            let views = if self.command.is_empty() { Vec::new() } else { broker.views() };
            match self.told.next(&prompts(&views), clock::boot()) {
                Some(call) => self.run(&call, &views, LIMIT).await,
                None => {
                    let pause = self.told.reminder().map_or(Duration::MAX, |at| clock::boot().until(at));
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = ticks.wait(pause) => {}
                    }
                }
            }
        }
    }

    async fn withdraw_all(&mut self, limit: Duration) {
        while let Some(call) = self.told.next(&[], clock::boot()) {
            self.run(&call, &[], limit).await;
        }
    }

    async fn run(&self, call: &Call, views: &[(AccountName, Arc<View>)], limit: Duration) {
        let text = message(call, views, clock::now()).to_string() + "\n";
        let hidden = (!self.log_code).then_some(call.code.as_str());
        hook::run(&self.command, Message { text: &text, hidden }, limit).await;
    }
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
#[derive(Debug, PartialEq, Eq)]
struct Call {
    account: AccountName,
    event: &'static str,
    code: String,
}

impl Told {
    /// The next thing to tell of the codes that are out, which counts as told from here on.
    fn next(&mut self, out: &[(AccountName, Arc<Prompt>)], now: Instant) -> Option<Call> {
        let gone = self.0.keys().find(|name| out.iter().all(|(other, _)| other != *name)).cloned();
        if let Some((account, known)) = gone.and_then(|name| self.0.remove_entry(&name)) {
            return Some(Call { account, event: "withdrawn", code: known.code });
        }
        out.iter().find_map(|(name, prompt)| self.prompt(name, prompt, now))
    }

    /// When the next reminder is due.
    fn reminder(&self) -> Option<Instant> {
        self.0.values().map(|known| known.remind_at).min()
    }

    fn prompt(&mut self, name: &AccountName, prompt: &Prompt, now: Instant) -> Option<Call> {
        let (event, pause) = match self.0.get(name).filter(|known| known.code == prompt.user_code) {
            None => ("prompt", FIRST_PAUSE),
            Some(known) if known.remind_at <= now => ("reminder", known.pause * 2),
            Some(_) => return None,
        };
        let (account, code) = (name.clone(), prompt.user_code.clone());
        self.0.insert(account.clone(), Known { code: code.clone(), remind_at: now + pause, pause });
        Some(Call { account, event, code })
    }
}

/// The codes that are out.
fn prompts(views: &[(AccountName, Arc<View>)]) -> Vec<(AccountName, Arc<Prompt>)> {
    views.iter().filter_map(|(name, view)| Some((name.clone(), view.snapshot.prompt.clone()?))).collect()
}

/// What the program reads. Of a code that has gone, only that; at a stop there is nothing to say of the account either.
fn message(call: &Call, views: &[(AccountName, Arc<View>)], now: Now) -> Value {
    let view = views.iter().find(|(name, _)| *name == call.account).map(|(_, view)| view);
    let prompt = view.and_then(|view| view.snapshot.prompt.as_ref()).filter(|_| call.event != "withdrawn");
    let mut message = prompt.map_or_else(|| json!({}), |prompt| describe(prompt, now));
    message["event"] = call.event.into();
    message["account"] = call.account.as_str().into();
    if let Some(view) = view {
        message["state"] = view.snapshot.state.as_str().into();
        message["message"] = story::sentence(call.account.as_str(), &view.snapshot, now, prompt.is_some()).into();
    }
    message
}

/// The members that the API's prompt has, but for the picture: whoever can draw makes it of the address.
fn describe(prompt: &Prompt, now: Now) -> Value {
    let mut members = json!({
        "user_code": prompt.user_code,
        "verification_uri": prompt.verification_uri,
        "expires_in": now.boot.until(prompt.expires).as_secs(),
        "expires_at": now.wall_at(prompt.expires).0,
    });
    if let Some(complete) = &prompt.verification_uri_complete {
        members["verification_uri_complete"] = complete.as_str().into();
    }
    if let Some(warning) = prompt.warning() {
        members["warning"] = warning.into();
    }
    members
}

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The same while the daemon stops.
const LIMIT_AT_STOP: Duration = Duration::from_secs(2);
/// Before the first reminder; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    fn out(codes: &[(&str, &str)]) -> Vec<(AccountName, Arc<Prompt>)> {
        let prompt = |code: &str| Prompt {
            user_code: code.to_owned(),
            verification_uri: "https://a.example/device".into(),
            verification_uri_complete: None,
            stranger: None,
            expires: at(10_000),
            interval: Duration::from_secs(5),
            qr_code: None,
        };
        codes.iter().map(|(name, code)| (name.parse().expect("a name"), Arc::new(prompt(code)))).collect()
    }

    fn events(told: &mut Told, codes: &[(&str, &str)], now: u64) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(call) = told.next(&out(codes), at(now)) {
            events.push(format!("{} {} {}", call.account, call.event, call.code));
        }
        events
    }

    #[test]
    fn reminders_come_with_growing_pauses_until_the_code_goes() {
        let mut told = Told::default();
        let codes = [("a", "AAAA")];
        let mut heard = Vec::new();
        for now in 0..2000 {
            heard.extend(events(&mut told, &codes, now).into_iter().map(|event| (now, event)));
        }
        let times: Vec<u64> = heard.iter().map(|(now, _)| *now).collect();
        assert_eq!(times, [0, 60, 180, 420, 900, 1860], "{heard:?}");
        assert!(heard[0].1 == "a prompt AAAA" && heard[1..].iter().all(|(_, event)| event == "a reminder AAAA"));
        assert_eq!(events(&mut told, &[], 2000), ["a withdrawn AAAA"]);
        assert!(told.reminder().is_none() && events(&mut told, &[], 9000).is_empty());
    }

    #[test]
    fn a_new_code_and_another_account_are_told_at_once() {
        let mut told = Told::default();
        assert_eq!(events(&mut told, &[("a", "AAAA")], 0), ["a prompt AAAA"]);
        assert_eq!(events(&mut told, &[("a", "BBBB"), ("b", "CCCC")], 1), ["a prompt BBBB", "b prompt CCCC"]);
        assert_eq!(told.reminder(), Some(at(61)));
        assert_eq!(events(&mut told, &[("b", "CCCC")], 2), ["a withdrawn BBBB"]);
    }
}

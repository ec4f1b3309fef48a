//! `GET /v1/events`: server-sent events (WHATWG HTML §9.2) about the accounts that the caller may see.
//!
//! A client is told how things are, never each step on the way there: one that reads slowly misses steps and holds
//! nothing up. What is told of an account at one time ends with its `state`, which alone carries the id, so that a client that
//! comes back with `Last-Event-ID` has missed nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Channel;
use hyper::{
    Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    answer::{self, Answer},
    body::Body,
};
use crate::{
    account::{AccountName, Prompt},
    broker::{Broker, Sight},
    platform::peer::Caller,
    time::Instant,
};

/// Tells the caller what changes, from now on or from the event `since` on, until it goes or `shutdown`.
pub fn stream(broker: &Arc<Broker>, caller: &Arc<Caller>, since: Option<u64>, shutdown: &CancellationToken) -> Answer {
    let (mut sender, channel) = Channel::new(FRAMES);
    let (broker, caller, shutdown) = (broker.clone(), caller.clone(), shutdown.clone());
    let task = tokio::spawn(async move {
        let mut changes = broker.changes();
        let mut told = Told::new(since);
        let mut frame = format!("retry: {RETRY_MS}\n\n");
        let following = async {
            loop {
                let newest = *changes.borrow_and_update();
                frame.extend(told.news(&broker.list(&caller), newest).iter().map(Event::frame));
                if !frame.is_empty() && sender.send_data(Bytes::from(std::mem::take(&mut frame))).await.is_err() {
                    return;
                }
                match tokio::time::timeout(KEEP_ALIVE, changes.changed()).await {
                    Ok(Ok(())) => {}
                    // The accounts have ended, and so has the daemon.
                    Ok(Err(_)) => return,
                    // Something has to be written now and then for either side to notice that the other has gone.
                    Err(_) => frame.push_str(":\n\n"),
                }
            }
        };
        shutdown.run_until_cancelled(following).await;
    });
    let mut answer = Response::new(Body::stream(channel, AbortOnDropHandle::new(task)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// One event.
struct Event {
    name: &'static str,
    /// From which the client may go on later.
    id: Option<u64>,
    data: Value,
}

impl Event {
    /// As it goes over the wire. JSON has no line ends outside of its strings, and none unescaped in them.
    fn frame(&self) -> String {
        let id = self.id.map_or(String::new(), |id| format!("id: {id}\n"));
        format!("event: {}\n{id}data: {}\n\n", self.name, self.data)
    }
}

/// What a client has been told.
struct Told {
    /// How far it had come in an earlier connection, until the first news of this one.
    since: Option<u64>,
    last: u64,
    accounts: BTreeMap<AccountName, Known>,
}

struct Known {
    revision: u64,
    prompt: Option<Arc<Prompt>>,
    token: Option<(u64, Option<Instant>)>,
    may_see_prompt: bool,
}

impl Told {
    fn new(since: Option<u64>) -> Self {
        Self { since, last: 0, accounts: BTreeMap::new() }
    }

    /// What is new in what the caller sees now; `newest` is the number of the last change there was.
    fn news(&mut self, sights: &[Sight], newest: u64) -> Vec<Event> {
        // An id from the future is one of an earlier run whose clock was ahead: then all is news.
        let since = self.since.take().filter(|since| *since <= newest);
        let mut sights: Vec<&Sight> = sights.iter().collect();
        sights.sort_by_key(|sight| sight.view.revision);
        let mut events = Vec::new();
        for sight in &sights {
            let now = Known::of(sight);
            let known = self.accounts.get(&sight.name);
            let is_news = match (known, since) {
                (Some(known), _) => known.revision != now.revision || known.may_see_prompt != now.may_see_prompt,
                (None, Some(since)) => now.revision > since,
                (None, None) => true,
            };
            if is_news {
                self.last = self.last.max(now.revision);
                now.tell(known, since.is_some(), sight, self.last, &mut events);
            }
            self.accounts.insert(sight.name.clone(), now);
        }
        let seen: BTreeSet<&AccountName> = sights.iter().map(|sight| &sight.name).collect();
        let gone: Vec<AccountName> = self.accounts.keys().filter(|name| !seen.contains(name)).cloned().collect();
        for name in gone {
            self.accounts.remove(&name);
            self.last = self.last.max(newest);
            events.push(Event { name: "removed", id: Some(self.last), data: json!({ "account": name.as_str() }) });
        }
        events
    }
}

impl Known {
    fn of(sight: &Sight) -> Self {
        let snapshot = &sight.view.snapshot;
        Self {
            revision: sight.view.revision,
            prompt: snapshot.prompt.clone().filter(|_| sight.may_see_prompt),
            token: snapshot.token.as_ref().map(|token| (snapshot.generation, token.expires)),
            may_see_prompt: sight.may_see_prompt,
        }
    }

    /// Tells the difference to what was known before; a client that `resumes` may know of a prompt that we do not.
    fn tell(&self, before: Option<&Self>, resumes: bool, sight: &Sight, id: u64, events: &mut Vec<Event>) {
        if self.token.is_some() && before.is_none_or(|before| before.token != self.token) {
            events.push(Event { name: "token", id: None, data: token(sight) });
        }
        let known = before.and_then(|before| before.prompt.as_ref());
        let withdrawn = (known.is_some() || resumes) && sight.may_see_prompt && self.prompt.is_none();
        if withdrawn {
            let data = json!({ "account": sight.name.as_str(), "withdrawn": true });
            events.push(Event { name: "prompt", id: None, data });
        }
        if let Some(prompt) = self.prompt.as_ref().filter(|prompt| Some(*prompt) != known) {
            events.push(Event { name: "prompt", id: None, data: answer::prompt_json(&sight.name, prompt) });
        }
        events.push(Event { name: "state", id: Some(id), data: answer::state_json(sight) });
    }
}

/// A token as anybody who may see the account may know it: which one, and until when.
fn token(sight: &Sight) -> Value {
    let (snapshot, now) = (&sight.view.snapshot, sight.now);
    let mut data = json!({ "account": sight.name.as_str(), "generation": snapshot.generation });
    if let Some(end) = snapshot.token.as_ref().and_then(|token| token.expires) {
        data["expires_in"] = now.boot.until(end).as_secs().into();
        data["expires_at"] = now.wall_at(end).0.into();
    }
    data
}

/// How much is kept for a client that does not read: after that its task waits, and tells it later how things are then.
const FRAMES: usize = 1;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a browser comes back after the connection broke.
const RETRY_MS: u32 = 1000;

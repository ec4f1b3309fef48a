//! An authorization server for tests: it behaves as Kinde's does, can be scripted to misbehave, and asserts what it
//! receives.
//!
//! It serves plain http on 127.0.0.1 from a thread of its own, so that blocking tests can use it. What a client does
//! wrong is kept in [`AuthorizationServer::violations`], and dropping the server panics with it.

#![allow(dead_code, unused_imports, reason = "each program that includes this module uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "the server's clock is the machine's")]

mod endpoints;
mod grants;
mod page;
mod provider;
mod qr_png;
mod received;
mod reply;
mod serve;
mod settings;

use std::{
    collections::VecDeque,
    io, net,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use self::{
    grants::Decision,
    provider::Provider,
    reply::{Answer, End},
    serve::Mode,
};
pub use self::{
    received::{Endpoint, Received},
    reply::Reply,
    settings::{Discovery, Settings},
};

/// A running server; it ends when this is dropped.
pub struct AuthorizationServer {
    shared: Arc<Shared>,
    mode: watch::Sender<Mode>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the handle and the serving thread have in common.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    provider: Provider,
    log: Vec<Received>,
    replies: Vec<(Endpoint, VecDeque<Reply>)>,
    mode: Option<Mode>,
}

/// One request that is being answered.
struct Turn<'a> {
    shared: &'a Shared,
    index: usize,
    received: Received,
    answer: Option<Answer>,
    delay: Duration,
    end: End,
}

impl AuthorizationServer {
    /// A server with the default settings.
    pub fn start() -> Self {
        Self::with(Settings::default()).unwrap_or_else(|error| panic!("the authorization server: {error}"))
    }

    /// A server with these settings.
    pub fn with(settings: Settings) -> io::Result<Self> {
        let listener = net::TcpListener::bind(("127.0.0.1", settings.port))?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let provider = Provider::new(settings, issuer);
        let state = State { provider, log: Vec::new(), replies: Vec::new(), mode: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (mode, receiver) = watch::channel(Mode::Up);
        let thread = serve::spawn(listener, Arc::clone(&shared), receiver)?;
        Ok(Self { shared, mode, thread: Some(thread) })
    }

    /// The issuer, and the base of every address: `http://127.0.0.1:PORT`.
    pub fn issuer(&self) -> String {
        self.shared.lock().provider.issuer.clone()
    }

    /// Changes settings while the server runs; the port stays.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.lock().provider.settings);
    }

    /// Takes the listener and every connection away (connections are refused), or gives them back.
    pub fn set_reachable(&self, reachable: bool) {
        let wanted = if reachable { Mode::Up } else { Mode::Down };
        self.mode.send_replace(wanted);
        let applied = self.shared.wait(LIMIT, |state| (state.mode == Some(wanted)).then_some(()));
        assert!(applied.is_some(), "the authorization server does not come to {wanted:?}");
    }

    /// Puts a reply in the queue of an endpoint: it is for the next request that no earlier reply is for.
    pub fn reply_next(&self, endpoint: Endpoint, reply: Reply) {
        let mut state = self.shared.lock();
        state.provider.redirecting(&reply);
        match state.replies.iter_mut().find(|(known, _)| *known == endpoint) {
            Some((_, queue)) => queue.push_back(reply),
            None => state.replies.push((endpoint, VecDeque::from([reply]))),
        }
    }

    /// A person approves the newest code that is waiting. Panics if there is none.
    pub fn approve(&self) {
        self.decide(Decision::Approved);
    }

    /// The same; returns whether a code was waiting.
    pub fn try_approve(&self) -> bool {
        self.shared.lock().provider.decide(None, Decision::Approved)
    }

    /// A person denies the newest code that is waiting. Panics if there is none.
    pub fn deny(&self) {
        self.decide(Decision::Denied);
    }

    /// The newest code that is waiting expires. Panics if there is none.
    pub fn expire_code(&self) {
        self.decide(Decision::Expired);
    }

    fn decide(&self, decision: Decision) {
        let decided = self.shared.lock().provider.decide(None, decision);
        assert!(decided, "no device code is waiting");
    }

    /// The provider takes every grant back: refreshes are refused, access tokens are not valid any more.
    pub fn revoke_grants(&self) {
        self.shared.lock().provider.grants.iter_mut().for_each(grants::Grant::kill);
    }

    /// Every access token is refused from now on; the grants live.
    pub fn revoke_access_tokens(&self) {
        let mut state = self.shared.lock();
        let tokens = state.provider.grants.iter_mut().flat_map(|grant| &mut grant.access);
        tokens.for_each(|token| token.revoked = true);
    }

    /// Whether the resource accepts this access token now.
    pub fn accepts(&self, access_token: &str) -> bool {
        let now = Instant::now();
        let state = self.shared.lock();
        let mut tokens = state.provider.grants.iter().flat_map(|grant| &grant.access);
        tokens.any(|token| token.value == access_token && token.is_valid(now))
    }

    /// The requests of one kind so far, oldest first.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Received> {
        self.shared.lock().of_kind(endpoint).cloned().collect()
    }

    /// How many requests of one kind there were.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.shared.lock().of_kind(endpoint).count()
    }

    /// The request with this number in the order of arrival, from 0, of whatever kind, once the server is done with it;
    /// `None` when the time is over.
    pub fn any_answer(&self, number: usize, limit: Duration) -> Option<Received> {
        self.shared.wait(limit, |state| state.log.get(number).filter(|received| received.done).cloned())
    }

    /// Waits until the `n`th request of a kind is there and has been acted on, and returns it. Panics after 60 s.
    pub fn wait_for(&self, endpoint: Endpoint, n: usize) -> Received {
        self.try_wait_for(endpoint, n, LIMIT).unwrap_or_else(|| self.give_up("requests", endpoint, n))
    }

    /// The same with another limit; `None` when it is over.
    pub fn try_wait_for(&self, endpoint: Endpoint, n: usize, limit: Duration) -> Option<Received> {
        self.shared.wait(limit, |state| state.of_kind(endpoint).nth(n.checked_sub(1)?).cloned())
    }

    /// Waits until the server is done with `n` requests of a kind: answered them, or closed on them. Panics after 60 s.
    pub fn wait_for_answer(&self, endpoint: Endpoint, n: usize) -> Received {
        let done = |state: &State| state.of_kind(endpoint).filter(|received| received.done).nth(n - 1).cloned();
        self.shared.wait(LIMIT, done).unwrap_or_else(|| self.give_up("answers", endpoint, n))
    }

    fn give_up(&self, what: &str, endpoint: Endpoint, n: usize) -> ! {
        let state = self.shared.lock();
        let log: Vec<_> = state.log.iter().map(|received| (received.endpoint, received.status)).collect();
        let violations = state.provider.violations.join("\n");
        drop(state);
        panic!("no {n} {what} of {endpoint:?} within {LIMIT:?}; there were {log:?}\n{violations}")
    }

    /// What clients did wrong so far.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().provider.violations.clone()
    }

    /// The same, and forgets it: for tests in which a client is meant to do wrong.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().provider.violations)
    }

    /// Every access, refresh and ID token and every device code that was issued: none of them belongs into a log.
    pub fn issued_secrets(&self) -> Vec<String> {
        self.shared.lock().provider.secrets.clone()
    }

    /// Every user code, oldest first.
    pub fn user_codes(&self) -> Vec<String> {
        self.shared.lock().provider.codes.iter().map(|code| code.user_code.clone()).collect()
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Stopped);
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        let violations = self.violations();
        if !thread::panicking() {
            assert!(ended, "the authorization server panicked");
            assert!(violations.is_empty(), "a client broke the rules:\n{}", violations.join("\n"));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(&self, limit: Duration, mut found: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if let Some(found) = found(&state) {
                return Some(found);
            }
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn now_in(&self, mode: Mode) {
        self.lock().mode = Some(mode);
        self.changed.notify_all();
    }

    /// Inspects a request, acts on it and writes it down: who waits for it finds the work done.
    fn receive(&self, received: Received) -> Turn<'_> {
        let mut state = self.lock();
        let queue = state.replies.iter_mut().find(|(endpoint, _)| *endpoint == received.endpoint);
        let reply = queue.and_then(|(_, queue)| queue.pop_front()).unwrap_or_else(Reply::usual);
        let provider = &mut state.provider;
        provider.inspect(&received);
        if let Some(grant) = provider.grant_of(&received) {
            grant.under_way = true;
        }
        let usual = reply.acts.then(|| provider.act(&received));
        let (delay, end, index) = (reply.delay, reply.end, state.log.len());
        state.log.push(received.clone());
        self.changed.notify_all();
        Turn { shared: self, index, received, answer: Some(reply.dress(usual)), delay, end }
    }
}

impl State {
    fn of_kind(&self, endpoint: Endpoint) -> impl Iterator<Item = &Received> {
        self.log.iter().filter(move |received| received.endpoint == endpoint)
    }
}

impl Turn<'_> {
    /// Takes the answer out, to be sent now.
    fn finish(&mut self) -> Answer {
        let answer = self.answer.take().expect("a turn is finished once");
        let mut state = self.shared.lock();
        state.provider.told(&self.received, &answer, self.end);
        let entry = &mut state.log[self.index];
        entry.status = (self.end != End::Closed).then_some(answer.status);
        answer
    }
}

impl Drop for Turn<'_> {
    /// Also when the client hung up before the answer.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(grant) = state.provider.grant_of(&self.received) {
            grant.under_way = false;
        }
        state.log[self.index].done = true;
        drop(state);
        self.shared.changed.notify_all();
    }
}

/// Longer than anything a test waits for on the slowest machine.
const LIMIT: Duration = Duration::from_secs(60);

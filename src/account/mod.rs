//! The account machine: the device login and the refresh lifecycle of one account, without any I/O.
//!
//! Events go in through `handle_*`, work comes out through `poll_*`, and time is an argument: the machine reads no
//! clock, opens nothing and draws no randomness but from the seed it is given. The caller owes it four things: to send
//! what [`Account::poll_request`] returns and bring back the reply, to write what [`Account::poll_save`] returns and
//! bring back the result, to call [`Account::handle_deadline`] when [`Account::poll_deadline`] has come, and to poll
//! all of them after every event.
//!
//! `login` and `session` are separate parts, so that an old session serves while a new login waits for a person.
//! They share one request slot: an account never has two requests in flight.

mod backoff;
mod ledger;
mod login;
mod name;
mod record;
mod session;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use self::{
    ledger::Ledger,
    login::{Login, Outcome},
    record::{Grant, revocations},
    session::Session,
};
pub use self::{
    name::{AccountName, BadName},
    record::{Record, StoredGrant},
    snapshot::{Answer, Fault, Need, Prompt, Reason, Snapshot, State, Token, Trouble},
};
use crate::{
    oauth::{
        client::Client,
        error::Failure,
        exchange::{Endpoint, Request, Response, Unreachable},
        token::TokenResponse,
    },
    time::{Instant, Now},
};

/// When a login begins by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginMode {
    /// At start, and again when a grant ends.
    Auto,
    /// When a caller who may have a token asks for one.
    #[default]
    OnDemand,
    /// Only by hand.
    Manual,
}

/// What the machine has to know besides the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedule {
    /// When a login begins by itself.
    pub login: LoginMode,
    /// How long before its end a token is renewed; `None` follows the token's lifetime.
    pub refresh_margin: Option<Duration>,
}

/// Names a request, so that its reply can be told from a late one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

/// The machine of one account.
pub struct Account {
    client: Arc<Client>,
    schedule: Schedule,
    boot_id: Option<String>,
    rng: fastrand::Rng,
    session: Session,
    login: Login,
    ledger: Ledger,
    in_flight: Option<InFlight>,
    outgoing: Option<(RequestId, Request)>,
    last_id: u64,
    /// Requests that end tokens nobody needs any more.
    revocations: VecDeque<Request>,
    /// The stored grant belongs to another server or client and is left alone.
    foreign: bool,
}

struct InFlight {
    id: RequestId,
    purpose: Purpose,
    asked_at: Instant,
    /// Where a token can be ended that arrives after nobody wants it any more.
    revocation: Option<Endpoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Login,
    Refresh,
    Revoke,
    /// What it was for is over; a token in its reply is ended at once.
    Abandoned,
}

impl Account {
    /// The machine as `record` left it. `boot_id` names the running boot, `seed` feeds the jitter.
    pub fn new(
        client: Arc<Client>,
        schedule: Schedule,
        record: Option<Record>,
        boot_id: Option<String>,
        seed: u64,
        now: Now,
    ) -> Self {
        let record = record.unwrap_or_default();
        let restored = Grant::restore(&record, boot_id.as_deref(), now);
        let foreign = restored.as_ref().is_some_and(|grant| !grant.belongs_to(&client));
        let grant = restored.filter(|_| !foreign);
        let mut reason = record.reason.unwrap_or(Reason::Never);
        if foreign {
            reason = Reason::Policy;
        }
        let mut account = Self {
            session: Session::new(grant, reason, record.generation, record.refreshing, now.boot),
            login: Login::new(now.boot),
            client,
            schedule,
            boot_id,
            rng: fastrand::Rng::with_seed(seed),
            ledger: Ledger::default(),
            in_flight: None,
            outgoing: None,
            last_id: 0,
            revocations: VecDeque::new(),
            foreign,
        };
        account.session.schedule_restored(schedule.refresh_margin, now.boot, &mut account.rng);
        account.advance(now.boot);
        account
    }

    /// The next request to send. The caller owes [`Account::handle_reply`] for each.
    pub fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.outgoing.take()
    }

    /// The next state to make durable, as a version and its record. The caller owes [`Account::handle_saved`] for each,
    /// and the record must survive a power cut before that says `Ok`.
    pub fn poll_save(&mut self, now: Now) -> Option<(u64, Record)> {
        let version = self.ledger.begin(now.boot)?;
        Some((version, self.record(now)))
    }

    /// When [`Account::handle_deadline`] is to be called; `None` while only a reply, a write or a verb can change
    /// anything.
    pub fn poll_deadline(&self, now: Instant) -> Option<Instant> {
        let idle = self.in_flight.is_none();
        let parts = [
            self.ledger.deadline(),
            // The end of a token changes the state, whatever else goes on.
            self.session.token().and_then(|token| token.expires).filter(|end| *end > now),
            // While a request is in flight, its reply drives the parts.
            self.session.deadline().filter(|_| idle),
            self.login.deadline(now).filter(|_| idle),
            self.unattended_login_at().filter(|_| idle),
        ];
        parts.into_iter().flatten().min()
    }

    /// Something that was due has come.
    pub fn handle_deadline(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The reply to a request, or how it failed. A reply to anything but the request in flight is ignored.
    pub fn handle_reply(&mut self, id: RequestId, reply: Result<Response, Unreachable>, now: Instant) {
        let matching = self.in_flight.take_if(|request| request.id == id);
        let Some(InFlight { purpose, asked_at, revocation, .. }) = matching else { return };
        match purpose {
            Purpose::Login => {
                let reply = reply.map_err(|u| Failure::Unreachable(u).without(&self.login.sent_secrets()));
                let outcome = self.login.reply(reply, &self.client, asked_at, now, &mut self.rng);
                self.finish_login(outcome);
            }
            Purpose::Refresh => {
                let read = self.read_token(reply).map_err(|failure| failure.without(&self.session.sent_secrets()));
                self.session.reply(read, asked_at, now, &mut self.ledger, &mut self.rng);
            }
            Purpose::Abandoned => {
                if let Ok(got) = self.read_token(reply) {
                    let (refresh, access) = (got.refresh_token.as_ref(), &got.access_token);
                    self.revocations.extend(revocations(&self.client, revocation.as_ref(), refresh, access));
                }
            }
            Purpose::Revoke => {}
        }
        self.advance(now);
    }

    /// The result of a write that [`Account::poll_save`] asked for.
    pub fn handle_saved(&mut self, version: u64, result: Result<(), String>, now: Instant) {
        let failed = result.is_err();
        self.ledger.end(version, result, now, &mut self.rng);
        let margin = self.schedule.refresh_margin;
        if self.session.wrote(failed, &mut self.ledger, margin, now, &mut self.rng) {
            self.foreign = false;
        }
        self.advance(now);
    }

    /// Somebody asks for a login, or joins the one that is running.
    pub fn handle_login(&mut self, now: Instant) {
        self.login.forgive(now);
        self.login.begin(&self.client, false, now);
        self.advance(now);
    }

    /// Ends the login that is running. Returns whether there was one.
    pub fn handle_cancel_login(&mut self, now: Instant) -> bool {
        self.abandon(Purpose::Login);
        let was_running = self.login.cancel(now);
        self.advance(now);
        was_running
    }

    /// Signs out: forgets the grant, ends it at the server, and ends a login that is running. Returns the version that
    /// has to be durable before anyone is told.
    pub fn handle_logout(&mut self, now: Instant) -> u64 {
        if let Some(grant) = self.session.durable_grant() {
            self.revocations.extend(grant.revocations(&self.client));
        }
        self.abandon(Purpose::Login);
        self.abandon(Purpose::Refresh);
        self.login.cancel(now);
        self.login.forgive(now);
        self.session.end(Reason::LoggedOut);
        self.session.forget_trouble();
        self.foreign = false;
        let version = self.ledger.want();
        self.advance(now);
        version
    }

    /// The state is to be made durable once more, though nothing of it has changed: what protects it has. Returns the
    /// version that has to be durable before anyone is told.
    pub fn handle_save(&mut self, now: Instant) -> u64 {
        let version = self.ledger.want();
        self.advance(now);
        version
    }

    /// Somebody wants a new token now; it comes as soon as the floor between refreshes allows.
    pub fn handle_refresh(&mut self, now: Instant) {
        self.session.hurry(now);
        self.advance(now);
    }

    /// A caller who may have a token wants one: what is missing is begun, a refresh or, in that mode, a login.
    pub fn handle_need(&mut self, need: &Need, now: Now) {
        match self.snapshot(now.boot).answer(need, now.boot) {
            Answer::AwaitRefresh => self.session.hurry(now.boot),
            // A refused client is tried again as well, once the gate opens: the server may have been mended.
            Answer::LoginRequired | Answer::Configuration
                if self.schedule.login == LoginMode::OnDemand && self.may_begin(now.boot) =>
            {
                self.login.begin(&self.client, true, now.boot);
            }
            _ => {}
        }
        self.advance(now.boot);
    }

    /// Whether that version is durable.
    pub fn is_saved(&self, version: u64) -> bool {
        self.ledger.is_stored(version)
    }

    /// Whether stopping now would leave a reply or a write behind.
    pub fn is_busy(&self) -> bool {
        let waiting = self.in_flight.as_ref().is_some_and(|request| request.purpose != Purpose::Login);
        waiting || self.session.is_busy() || self.ledger.is_writing()
    }

    /// The account as it is now.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let unsaved = self.ledger.trouble();
        let grant = self.session.grant();
        // While there is a grant, what it suffers from counts; without one, why there is none.
        let trouble = match grant {
            Some(_) => self.session.trouble().or(self.login.trouble()),
            None => self.login.trouble().or(self.session.trouble()),
        };
        let trouble = trouble.cloned().or_else(|| {
            let text = unsaved.map(|text| format!("the newest state is not on disk yet: {text}"))?;
            Some(Trouble { fault: Fault::Storage, text, retry_at: self.ledger.deadline() })
        });
        let no_refresh = grant.is_some() && !self.session.refreshable();
        Snapshot {
            state: self.state(unsaved.is_some(), now),
            reason: self.session.reason(),
            token: self.session.token().cloned(),
            refreshable: self.session.refreshable(),
            renews_early: self.session.renews_early(),
            refresh_at: self.session.refresh_at(),
            login_starting: self.login.is_starting(),
            prompt: self.login.prompt().cloned(),
            trouble: trouble.or_else(|| self.foreign.then(foreign_grant)).map(Arc::new),
            missing_scope: no_refresh.then(|| self.client.profile.offline_scope.clone()).flatten(),
            attempts: self.session.attempts(),
            generation: self.session.generation(),
        }
    }

    fn state(&self, unsaved: bool, now: Instant) -> State {
        if self.login.prompt().is_some() {
            return State::Authorizing;
        }
        let refused = self.login.trouble().is_some_and(|trouble| trouble.fault == Fault::Configuration);
        match self.session.state(unsaved, now) {
            State::SignedOut if refused => State::Misconfigured,
            state => state,
        }
    }

    fn record(&self, now: Now) -> Record {
        let grant = self.session.durable_grant();
        Record {
            boot_id: self.boot_id.clone(),
            saved_at: now.wall.0,
            generation: self.session.durable_generation(),
            grant: grant.map(|grant| grant.store(now)),
            refreshing: self.session.is_interrupted_if_killed_now(),
            reason: self.session.reason(),
        }
    }

    /// Does everything that has come due, and picks the next request if none is in flight.
    fn advance(&mut self, now: Instant) {
        let polling = self.in_flight.as_ref().is_some_and(|request| request.purpose == Purpose::Login);
        if !polling && let Some(reason) = self.login.expire(now, &mut self.rng) {
            self.session.set_reason_if_none(reason);
        }
        if self.session.expire(now) {
            self.ledger.want();
        }
        if self.unattended_login_at().is_some_and(|at| at <= now) {
            self.login.begin(&self.client, true, now);
        }
        self.session.begin(&mut self.ledger, now);
        if self.in_flight.is_some() {
            return;
        }
        let next = self.session.request(&self.client, &self.ledger).map(|request| (Purpose::Refresh, request));
        let next = next.or_else(|| self.login.request(&self.client, now).map(|request| (Purpose::Login, request)));
        let next = next.or_else(|| self.revocations.pop_front().map(|request| (Purpose::Revoke, request)));
        if let Some((purpose, request)) = next {
            self.last_id += 1;
            let id = RequestId(self.last_id);
            self.in_flight = Some(InFlight { id, purpose, asked_at: now, revocation: None });
            self.outgoing = Some((id, request));
        }
    }

    fn read_token(&self, reply: Result<Response, Unreachable>) -> Result<TokenResponse, Failure> {
        let response = reply.map_err(Failure::Unreachable)?;
        TokenResponse::read(&response, &self.client.profile)
    }

    fn finish_login(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::GoesOn | Outcome::Over(None) => {}
            Outcome::Granted(grant) => self.session.adopt(*grant, &mut self.ledger),
            Outcome::Over(Some(reason)) => self.session.set_reason_if_none(reason),
        }
    }

    /// What is in flight for that purpose is not wanted any more; its slot stays taken until the reply is in.
    fn abandon(&mut self, purpose: Purpose) {
        if let Some(request) = self.in_flight.as_mut().filter(|request| request.purpose == purpose) {
            if self.outgoing.take_if(|(id, _)| *id == request.id).is_some() {
                self.in_flight = None;
            } else {
                request.purpose = Purpose::Abandoned;
                request.revocation = match purpose {
                    Purpose::Login => self.login.revocation_endpoint().cloned(),
                    _ => self.session.grant().and_then(|grant| grant.revocation_endpoint.clone()),
                };
            }
        }
    }

    /// When a login is to begin by itself, if it ever is.
    fn unattended_login_at(&self) -> Option<Instant> {
        let wanted = self.schedule.login == LoginMode::Auto && self.wants_login();
        (wanted && self.login.is_idle()).then(|| self.login.gate())
    }

    fn may_begin(&self, now: Instant) -> bool {
        self.wants_login() && self.login.gate() <= now
    }

    /// Whether a login that nobody asked for by hand makes sense: not after somebody said no.
    fn wants_login(&self) -> bool {
        self.session.reason().is_some_and(|reason| !matches!(reason, Reason::LoggedOut | Reason::Denied))
    }
}

fn foreign_grant() -> Trouble {
    let text = "the stored sign-in belongs to another issuer, client or token endpoint than the configuration names now, \
                so it is not used; sign in again, or restore the configuration";
    Trouble { fault: Fault::Configuration, text: text.into(), retry_at: None }
}

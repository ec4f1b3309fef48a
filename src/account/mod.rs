//! The account machine: the device login and the refresh lifecycle of one account, without any I/O.
//!
//! Events go in through `handle_*`, work comes out through `poll_*`, and time is an argument: the machine reads no
//! clock, opens nothing and draws no randomness but from the seed it is given. The caller owes it five things: to send
//! what [`Account::poll_request`] returns and bring back the reply, to write what [`Account::poll_save`] returns and
//! bring back the result, to read the record again when [`Account::poll_load`] says so, to call
//! [`Account::handle_deadline`] when [`Account::poll_deadline`] has come, and to poll all of them after every event.
//!
//! `login` and `session` are separate parts, so that an old session serves while a new login waits for a person.
//! They share one request slot: an account never has two requests in flight.

mod backoff;
mod discovery;
mod errands;
mod grant;
mod identity;
mod ledger;
mod login;
mod name;
mod pace;
mod proof;
mod record;
mod replies;
mod revocation;
mod session;
mod show;
mod snapshot;
mod targets;
#[cfg(test)]
mod tests;
mod verbs;
mod verdict;
mod waiting;

use std::{sync::Arc, time::Duration};

pub use self::{
    discovery::StoredServer,
    grant::StoredGrant,
    identity::Identity,
    name::{AccountName, BadName},
    proof::Seed,
    record::{Record, StoredMoment},
    revocation::StoredRevocation,
    snapshot::{Answer, Fault, Hindrance, Need, Obstacle, Prompt, Reason, Snapshot, State, Token, Trouble},
    waiting::StoredLogin,
};
use self::{
    grant::Grant,
    ledger::Ledger,
    login::Login,
    proof::Proofs,
    record::Clocks,
    revocation::Revocations,
    session::{Means, Session, Wrote},
    targets::Targets,
};
use crate::{
    oauth::{
        client::{Client, Server},
        exchange::Request,
        target::Target,
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
    /// Records are sealed, so that a device code that is out may be written down.
    pub sealed: bool,
}

/// Names a request, so that its reply can be told from a late one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

/// The machine of one account.
pub struct Account {
    client: Arc<Client>,
    schedule: Schedule,
    boot_id: Option<Arc<str>>,
    rng: fastrand::Rng,
    proofs: Proofs,
    /// Both clocks, when they were last seen together.
    clock: Now,
    session: Session,
    targets: Targets,
    login: Login,
    ledger: Ledger,
    /// Who signed in first, if the server says such things.
    identity: Option<Identity>,
    revocations: Revocations,
    /// The stored grant, if it belongs to another server or client: it is left alone. On the heap, as what few accounts
    /// have, or any for long.
    foreign: Option<Box<Foreign>>,
    in_flight: Option<InFlight>,
    outgoing: Option<Box<(RequestId, Request)>>,
    last_id: u64,
    /// The record is being read again.
    loading: bool,
    /// Nothing new is begun any more, but for the tries after a lost reply until then.
    stopping: Option<Instant>,
}

/// A grant that the configuration does not mean any more; it may again one day.
struct Foreign {
    grant: Grant,
    refreshing: bool,
}

struct InFlight {
    id: RequestId,
    purpose: Purpose,
    asked_at: Instant,
    /// What was sent, where the server may want it again with another nonce.
    proven: Option<Box<Request>>,
    nonces: u32,
}

enum Purpose {
    Login,
    Refresh,
    /// Of the account's token for one with another target.
    Exchange(Box<Target>),
    Revoke,
    /// What it was for is over; a token in its reply is ended at once.
    Abandoned(Option<Origin>),
}

/// Where a token comes from that nobody wants any more.
enum Origin {
    Login(Box<Server>),
    Refresh(Box<Grant>),
}

impl Account {
    /// The machine as `record` left it. `boot_id` names the running boot, `seed` is what keys and jitter are made of.
    pub fn new(
        client: Arc<Client>,
        schedule: Schedule,
        record: Option<Record>,
        boot_id: Option<Arc<str>>,
        seed: Seed,
        now: Now,
    ) -> Self {
        let record = record.unwrap_or_default();
        let clocks = Clocks::new(&record, boot_id.as_deref(), now);
        let mut rng = seed.jitter();
        let mut ledger = Ledger::default();
        let mut login = Login::restore(&record, &client, &clocks);
        if !schedule.sealed {
            login.discard();
        }
        if record.login.is_some() && login.is_idle() {
            ledger.want();
        }
        let restored = record.grant.and_then(|grant| Grant::restore(grant, &client, &clocks));
        let (grant, foreign) = match restored {
            Some(grant) if !grant.belongs_to(&client) => {
                (None, Some(Box::new(Foreign { grant, refreshing: record.refreshing })))
            }
            grant => (grant, None),
        };
        let reason = if foreign.is_some() { Reason::Policy } else { record.reason.unwrap_or(Reason::Never) };
        let margin = schedule.refresh_margin;
        let mut means = Means { client: &client, margin, ledger: &mut ledger, rng: &mut rng, now: now.boot };
        let mut account = Self {
            session: Session::new(grant, reason, record.generation, record.refreshing, &mut means),
            targets: Targets::default(),
            login,
            identity: record.identity,
            revocations: Revocations::restore(record.revocations, &clocks),
            client,
            schedule,
            boot_id,
            rng,
            proofs: Proofs::new(seed),
            clock: now,
            ledger,
            foreign,
            in_flight: None,
            outgoing: None,
            last_id: 0,
            loading: false,
            stopping: None,
        };
        account.advance(now.boot);
        account
    }

    /// The next request to send. The caller owes [`Account::handle_reply`] for each.
    pub fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.outgoing.take().map(|outgoing| *outgoing)
    }

    /// The next state to make durable, as a version and its record. The caller owes [`Account::handle_saved`] for each,
    /// and the record must survive a power cut before that says `Ok`.
    pub fn poll_save(&mut self, now: Now) -> Option<(u64, Record)> {
        self.clock = now;
        // What is on disk must not be overwritten while it is being asked for.
        if self.session.is_checking() {
            return None;
        }
        let version = self.ledger.begin(now.boot)?;
        Some((version, self.record(now)))
    }

    /// Whether the record is to be read from the disk once more, before a grant is given up that the server says has
    /// ended. The caller owes [`Account::handle_loaded`] when it does.
    pub fn poll_load(&mut self) -> bool {
        let wanted = self.session.is_checking() && !self.loading && !self.ledger.is_writing();
        self.loading |= wanted;
        wanted
    }

    /// When [`Account::handle_deadline`] is to be called; `None` while only a reply, a write or a verb can change
    /// anything.
    pub fn poll_deadline(&self, now: Instant) -> Option<Instant> {
        let idle = self.in_flight.is_none() && self.stopping.is_none();
        let trying = self.in_flight.is_none() && self.is_trying(now);
        let parts = [
            self.ledger.deadline().filter(|_| !self.session.is_checking()),
            // The end of a token changes the state, whatever else goes on.
            self.session.token().and_then(|token| token.expires).filter(|end| *end > now),
            // While a request is in flight, its reply drives the parts.
            self.session.deadline().filter(|_| idle || trying),
            self.stopping.filter(|_| trying),
            self.login.deadline(now).filter(|_| idle),
            self.unattended_login_at().filter(|_| idle),
            self.errand_deadline(now).filter(|_| idle),
            self.revocations.deadline().filter(|_| idle),
        ];
        parts.into_iter().flatten().min()
    }

    /// Something that was due has come.
    pub fn handle_deadline(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The result of a write that [`Account::poll_save`] asked for.
    pub fn handle_saved(&mut self, version: u64, result: Result<(), String>, now: Instant) {
        let failed = result.is_err();
        self.ledger.end(version, result, now, &mut self.rng);
        let margin = self.schedule.refresh_margin;
        let mut means = Means { client: &self.client, margin, ledger: &mut self.ledger, rng: &mut self.rng, now };
        match self.session.wrote(failed, &mut means) {
            Wrote::Nothing => {}
            Wrote::Grant => {
                self.foreign = None;
                self.login.forget_trouble();
            }
            Wrote::Other(brought) => self.brought(*brought, now),
        }
        self.advance(now);
    }

    /// What came of the reading that [`Account::poll_load`] asked for; `None` where there is nothing to be read.
    pub fn handle_loaded(&mut self, record: Option<Record>, now: Now) {
        self.loading = false;
        // A disk that could not be written lately holds an older one.
        let newer = record.filter(|record| record.generation > self.session.generation());
        let generation = newer.as_ref().map_or(0, |record| record.generation);
        let found = newer.and_then(|mut record| {
            let clocks = Clocks::new(&record, self.boot_id.as_deref(), now);
            Grant::restore(record.grant.take()?, &self.client, &clocks)
        });
        let ours = found.filter(|grant| grant.belongs_to(&self.client));
        self.session.checked(ours, generation, &mut self.ledger, now.boot);
        self.advance(now.boot);
    }

    /// Does everything that has come due, and picks the next request if none is in flight.
    fn advance(&mut self, now: Instant) {
        let polling = self.in_flight.as_ref().is_some_and(|request| matches!(request.purpose, Purpose::Login));
        if !polling && let Some(reason) = self.login.expire(now, &mut self.rng) {
            self.session.set_reason_if_none(reason);
            self.ledger.want();
        }
        if self.session.expire(now) {
            self.ledger.want();
        }
        if self.stopping.is_some() {
            return self.try_again(now);
        }
        if self.unattended_login_at().is_some_and(|at| at <= now) {
            self.login.begin(&self.client, true, now);
        }
        self.session.begin(&mut self.ledger, now);
        self.begin_errand(now);
        if self.in_flight.is_some() {
            return;
        }
        if let Some((purpose, request)) = self.next_request(now) {
            self.send(purpose, request, 0, now);
        }
    }

    /// The next request and what it is for, proven where its sender has a key.
    fn next_request(&mut self, now: Instant) -> Option<(Purpose, Request)> {
        if let Some(refresh) = self.refresh_request() {
            return Some(refresh);
        }
        if let Some(exchange) = self.exchange(now) {
            return Some(exchange);
        }
        if self.client.dpop && self.login.is_starting() {
            self.login.bind(|| self.proofs.new_key());
        }
        if let Some(request) = self.login.request(&self.client, now) {
            return Some((Purpose::Login, self.proofs.prove_if(request, self.login.key())));
        }
        self.revocations.request(&self.client, now).map(|request| (Purpose::Revoke, request))
    }

    fn refresh_request(&mut self) -> Option<(Purpose, Request)> {
        let request = self.session.request(&self.client, &self.ledger)?;
        let key = self.session.grant().and_then(|grant| grant.key.as_ref());
        Some((Purpose::Refresh, self.proofs.prove_if(request, key)))
    }

    fn send(&mut self, purpose: Purpose, request: Request, nonces: u32, now: Instant) {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        let proven = request.proof.is_some().then(|| Box::new(request.clone()));
        self.in_flight = Some(InFlight { id, purpose, asked_at: now, proven, nonces });
        self.outgoing = Some(Box::new((id, request)));
    }
}

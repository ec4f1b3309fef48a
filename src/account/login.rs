//! The device authorization grant (RFC 8628), from the first request to the tokens.
//!
//! Polling is never early: each poll waits a whole interval after the previous *reply*, the first one included, and
//! `slow_down` lengthens the interval for good. See [`super::waiting`].

mod view;

use std::time::Duration;

use super::{
    backoff::{Backoff, between},
    discovery::{Discovered, Search, StoredServer},
    grant::{Asked, Grant},
    record::{Clocks, Record, StoredMoment},
    snapshot::{Fault, Reason, Trouble},
    verdict::fault_of,
    waiting::{Polled, StoredLogin, Waiting},
};
use crate::{
    oauth::{
        client::{Client, Server},
        device::DeviceAuthorization,
        dpop::ProofKey,
        error::Failure,
        exchange::{Endpoint, Request, Response},
        token::TokenResponse,
    },
    secret::Secret,
    time::{Instant, Now, span},
};

/// The login part of an account: nothing, or one device login.
pub(super) struct Login {
    step: Step,
    /// What the tokens of this login are to be bound to.
    key: Option<ProofKey>,
    /// What the server's metadata said last.
    known: Option<StoredServer>,
    /// Nobody asked for this login by hand.
    unattended: bool,
    /// Whoever signs in takes over.
    replace: bool,
    trouble: Option<Box<Trouble>>,
    /// Before this no login begins by itself.
    gate: Instant,
    /// Codes that lapsed unattended, in a row.
    lapses: u32,
    backoff: Backoff,
}

enum Step {
    Idle,
    /// The metadata document is asked for.
    Discovering(Search),
    /// The device authorization is asked for.
    Requesting(Box<Server>),
    /// A code is out.
    Waiting(Box<Waiting>),
}

/// What a reply did to the login.
pub(super) enum Outcome {
    /// It goes on.
    GoesOn,
    /// The person approved.
    Granted(Box<Grant>),
    /// It is over without a grant, for this reason; `None` when it may simply be tried again.
    Over(Option<Reason>),
}

impl Login {
    /// The login as it was written down: one that waits for a person goes on waiting.
    pub fn restore(record: &Record, client: &Client, clocks: &Clocks) -> Self {
        let waiting = record.login.as_ref().and_then(|stored| Waiting::restore(stored, client, clocks));
        let stored = record.login.as_ref().filter(|_| waiting.is_some());
        Self {
            known: record.server.clone(),
            step: waiting.map_or(Step::Idle, |waiting| Step::Waiting(Box::new(waiting))),
            key: stored.and_then(|stored| stored.proof_key.as_ref()).and_then(ProofKey::read),
            unattended: stored.is_some_and(|stored| stored.unattended),
            replace: stored.is_some_and(|stored| stored.replace),
            trouble: None,
            gate: record.gate.map_or(clocks.now(), |gate| clocks.moment_at_the_latest(gate)),
            lapses: record.lapses,
            backoff: Backoff::default(),
        }
    }

    /// Forgets a code that is out.
    pub fn discard(&mut self) {
        self.step = Step::Idle;
    }

    /// What a restart must know of it: a code that is out.
    pub fn store(&self, client: &Client, now: Now) -> Option<StoredLogin> {
        match &self.step {
            Step::Waiting(waiting) => {
                let mut stored = waiting.store(client, self.unattended, self.replace, now);
                stored.proof_key = self.key.as_ref().map(ProofKey::expose);
                Some(stored)
            }
            _ => None,
        }
    }

    /// What the server's metadata said last.
    pub fn known_server(&self) -> Option<StoredServer> {
        self.known.clone()
    }

    /// The same for the time before the next one: when it may begin by itself, and how many have lapsed.
    pub fn store_gate(&self, now: Now) -> (Option<StoredMoment>, u32) {
        (Some(StoredMoment::new(self.gate, now)).filter(|_| self.gate > now.boot), self.lapses)
    }

    /// Begins a login unless one is running, which is then joined. Asked for by hand, it also takes over an
    /// unattended one.
    pub fn begin(&mut self, client: &Client, unattended: bool, now: Instant) {
        if !unattended {
            (self.unattended, self.lapses) = (false, 0);
        }
        if !matches!(self.step, Step::Idle) {
            return;
        }
        (self.unattended, self.replace) = (unattended, false);
        (self.key, self.trouble) = (None, None);
        match client.endpoints.clone().complete() {
            Some(server) => self.step = Step::Requesting(Box::new(server)),
            None if client.issuer.as_deref().is_some_and(|issuer| Endpoint::parse(issuer).is_ok()) => {
                self.step = Step::Discovering(Search::default());
            }
            None => {
                self.misconfigured("neither an issuer nor the device authorization and token endpoints are given", now);
            }
        }
    }

    /// Binds what the login brings to a key, one for each login: as long as a grant lives, its key never changes.
    pub fn bind(&mut self, key: impl FnOnce() -> ProofKey) {
        self.key.get_or_insert_with(key);
    }

    /// Whoever signs in by the login that is running takes over. Returns whether that has to be written down.
    pub fn let_replace(&mut self) -> bool {
        !std::mem::replace(&mut self.replace, true) && self.prompt().is_some()
    }

    /// Ends the login, if one is running, and lets none begin by itself for a while: whoever cancels does not want the
    /// next code at once. Returns whether one was running.
    pub fn cancel(&mut self, now: Instant) -> bool {
        self.gate = now + OPERATOR_RETRY;
        !matches!(std::mem::replace(&mut self.step, Step::Idle), Step::Idle)
    }

    /// Forgets the last failure, and the codes that lapsed: somebody is signed in.
    pub fn forget_trouble(&mut self) {
        (self.trouble, self.lapses) = (None, 0);
    }

    /// Forgets the last failure and lets the next login begin by itself at once.
    pub fn forgive(&mut self, now: Instant) {
        (self.trouble, self.gate, self.lapses) = (None, now, 0);
        self.backoff.reset();
    }

    /// Whether a code is out and what is written down of it is not right any more.
    pub fn take_change(&mut self) -> bool {
        match &mut self.step {
            Step::Waiting(waiting) => waiting.take_change(),
            _ => false,
        }
    }

    /// When this part next has something to do, provided that no request is in flight.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        match &self.step {
            Step::Idle => None,
            Step::Discovering(_) | Step::Requesting(_) => Some(now),
            Step::Waiting(waiting) => Some(waiting.next()),
        }
    }

    /// The next request, when it is due.
    pub fn request(&self, client: &Client, now: Instant) -> Option<Request> {
        match &self.step {
            Step::Idle => None,
            Step::Discovering(search) => search.request(client),
            Step::Requesting(server) => {
                let mut request = client.device_authorization(&server.device_authorization);
                if let (Some(form), Some(key)) = (&mut request.form, &self.key) {
                    form.set("dpop_jkt", &key.thumbprint());
                }
                Some(request)
            }
            Step::Waiting(waiting) => waiting.request(client, now),
        }
    }

    /// Ends a login whose code has lapsed.
    pub fn expire(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Option<Reason> {
        match &self.step {
            Step::Waiting(waiting) if waiting.is_over(now) => Some(self.lapse(now, rng)),
            _ => None,
        }
    }

    /// Takes the reply to the request that went out at `asked`.
    pub fn reply(
        &mut self,
        reply: Result<Response, Failure>,
        client: &Client,
        asked: Asked,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Outcome {
        let secret: Vec<&Secret> = client.auth.sent_secret().into_iter().collect();
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => Outcome::GoesOn,
            Step::Discovering(search) => self.discovered(search, reply, client, now, rng),
            Step::Requesting(server) => {
                let read = reply.and_then(|response| DeviceAuthorization::read(&response, &client.profile));
                match read {
                    Ok(answer) => {
                        self.backoff.reset();
                        self.step = Step::Waiting(Box::new(Waiting::new(answer, *server, client, asked.at, now)));
                        Outcome::GoesOn
                    }
                    Err(failure) => self.fail(&failure.without(&secret), now, rng),
                }
            }
            Step::Waiting(waiting) => {
                let read =
                    reply.and_then(|response| TokenResponse::read(&response, &client.profile, self.key.is_some()));
                self.polled(waiting, read.map_err(|failure| failure.without(&secret)), client, asked, now, rng)
            }
        }
    }

    fn discovered(
        &mut self,
        search: Search,
        reply: Result<Response, Failure>,
        client: &Client,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Outcome {
        match search.look(reply, client) {
            Discovered::Server(server) => {
                self.known = Some(StoredServer::new(&server, client));
                self.step = Step::Requesting(server);
            }
            Discovered::NotThere(search) => self.step = Step::Discovering(search),
            Discovered::Outage(failure) => match self.known.as_ref().and_then(|known| known.restore(client)) {
                Some(server) => self.step = Step::Requesting(Box::new(server)),
                None => return self.fail(&failure, now, rng),
            },
            Discovered::Unusable(why) => {
                self.misconfigured(why, now);
                return Outcome::Over(None);
            }
        }
        Outcome::GoesOn
    }

    fn polled(
        &mut self,
        mut waiting: Box<Waiting>,
        reply: Result<TokenResponse, Failure>,
        client: &Client,
        asked: Asked,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Outcome {
        match waiting.reply(reply, now) {
            Polled::Again => {
                self.step = Step::Waiting(waiting);
                Outcome::GoesOn
            }
            Polled::Granted(got) => {
                let key = self.key.take();
                Outcome::Granted(Box::new(Grant::new(client, waiting.server().clone(), key, got, asked)))
            }
            Polled::Lapsed => Outcome::Over(Some(self.lapse(now, rng))),
            Polled::Over(reason, text) => {
                self.over(text, now, rng);
                Outcome::Over(Some(reason))
            }
            Polled::Refused(failure) => self.fail(&failure, now, rng),
        }
    }

    /// The code is of no use any more, and nobody said no.
    fn lapse(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Reason {
        self.step = Step::Idle;
        if self.unattended {
            // The first lapsed code may be followed by another at once, then the pauses grow.
            let grown = FIRST_LAPSE.saturating_mul((1 << self.lapses.min(16)) - 1).min(LONGEST_LAPSE);
            self.lapses += 1;
            self.gate = now + grown + between(Duration::ZERO, grown / 10, rng);
        }
        Reason::CodeExpired
    }

    /// The login has come to an end that a person should know of.
    pub fn over(&mut self, text: String, now: Instant, rng: &mut fastrand::Rng) {
        self.lapse(now, rng);
        self.trouble = Some(Box::new(Trouble { fault: Fault::Provider, text, retry_at: None }));
    }

    /// The login could not begin, or the client is refused.
    fn fail(&mut self, failure: &Failure, now: Instant, rng: &mut fastrand::Rng) -> Outcome {
        let fault = match failure {
            Failure::Garbled { .. } => Fault::Provider,
            failure => fault_of(failure),
        };
        let usual = match fault {
            Fault::Configuration => OPERATOR_RETRY,
            Fault::Clock => between(CLOCK_RETRY / 2, CLOCK_RETRY, rng),
            _ => self.backoff.pause(FIRST_RETRY, LAST_RETRY, rng),
        };
        self.gate = now + usual.max(failure.retry_after().unwrap_or_default().min(OPERATOR_RETRY));
        let retry_at = self.unattended.then_some(self.gate);
        self.trouble = Some(Box::new(Trouble { fault, text: with_pause(failure), retry_at }));
        Outcome::Over(None)
    }

    /// Only the operator can make a login possible.
    fn misconfigured(&mut self, why: &str, now: Instant) {
        self.gate = now + OPERATOR_RETRY;
        self.trouble = Some(Box::new(Trouble { fault: Fault::Configuration, text: why.into(), retry_at: None }));
    }
}

/// What happened, and how long whoever asked by hand should wait before they ask again.
fn with_pause(failure: &Failure) -> String {
    match (failure, failure.retry_after().filter(|pause| !pause.is_zero())) {
        (_, Some(pause)) => format!("{failure}; it asks for a pause of {}", span(pause)),
        (Failure::Busy { status: 429, .. }, None) => format!("{failure}; wait some minutes"),
        (_, None) => failure.to_string(),
    }
}

const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(900);
const CLOCK_RETRY: Duration = Duration::from_secs(30);
const OPERATOR_RETRY: Duration = Duration::from_secs(3600);
const FIRST_LAPSE: Duration = Duration::from_secs(600);
const LONGEST_LAPSE: Duration = Duration::from_secs(6 * 3600);

//! The refresh lifecycle of a grant (RFC 6749 §6).
//!
//! A refresh is: the intent on disk, the request, the reply on disk, and only then the new token for everybody. What
//! may have been lost on the way is remembered, so that a dead grant can be told from one that lost its last reply.

use std::{sync::Arc, time::Duration};

use super::{
    backoff::{Backoff, between},
    ledger::Ledger,
    record::Grant,
    snapshot::{Fault, Reason, State, Token, Trouble},
};
use crate::{
    oauth::{
        client::Client,
        error::{ErrorCode, Failure, Refusal},
        exchange::Request,
        token::TokenResponse,
    },
    secret::Secret,
    time::Instant,
};

/// The grant of an account and the refreshing of it.
pub(super) struct Session {
    grant: Option<Grant>,
    token: Option<Arc<Token>>,
    reason: Reason,
    step: Step,
    /// When the next refresh is due; `None` where there is nothing to refresh with.
    due: Option<Instant>,
    /// Before this no refresh goes out, whoever asks: a hot loop must not be possible.
    not_before: Instant,
    /// When the last token was published, and how many followed hard on another.
    published: Option<Instant>,
    haste: u32,
    trouble: Option<Trouble>,
    backoff: Backoff,
    /// Refreshes in a row of which nobody knows whether the server acted on them.
    lost_replies: u32,
    /// Refusals in a row that may or may not mean the grant is dead, and when the first of them came.
    doubtful: u32,
    doubtful_since: Instant,
    /// The server returns the same access token while it is valid.
    returns_same_token: bool,
    attempts: u64,
    generation: u64,
}

enum Step {
    Resting,
    /// The intent is on its way to disk.
    Recording(u64),
    Refreshing,
    /// The reply is on its way to disk.
    Storing(u64, Box<Grant>),
}

impl Session {
    /// A session as it was written down, or none.
    pub fn new(grant: Option<Grant>, reason: Reason, generation: u64, interrupted: bool, now: Instant) -> Self {
        let mut session = Self {
            token: grant.as_ref().map(|grant| Arc::new(grant.token())),
            grant,
            reason,
            step: Step::Resting,
            due: None,
            not_before: now,
            published: None,
            haste: 0,
            trouble: None,
            backoff: Backoff::default(),
            lost_replies: u32::from(interrupted),
            doubtful: 0,
            doubtful_since: now,
            returns_same_token: false,
            attempts: 0,
            generation,
        };
        if interrupted && session.refreshable() {
            session.due = Some(now);
        }
        session
    }

    /// Sets the moment of the next refresh of a session that was just read back.
    pub fn schedule_restored(&mut self, margin: Option<Duration>, now: Instant, rng: &mut fastrand::Rng) {
        if self.due.is_none() {
            self.schedule(margin, now, rng);
        }
    }

    pub fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    pub fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// Why there is no grant; `None` too while the first one is on its way to disk.
    pub fn reason(&self) -> Option<Reason> {
        self.durable_grant().is_none().then_some(self.reason)
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// [`Session::generation`] as it belongs on disk, together with [`Session::durable_grant`].
    pub fn durable_generation(&self) -> u64 {
        match &self.step {
            Step::Storing(_, fresh) if self.is_another(fresh) => self.generation + 1,
            _ => self.generation,
        }
    }

    pub fn refreshable(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.refresh_token.is_some())
    }

    pub fn renews_early(&self) -> bool {
        !self.returns_same_token
    }

    pub fn refresh_at(&self) -> Option<Instant> {
        self.due
    }

    /// What belongs on disk now: the newest grant that is known, published or not.
    pub fn durable_grant(&self) -> Option<&Grant> {
        match &self.step {
            Step::Storing(_, fresh) => Some(fresh),
            _ => self.grant.as_ref(),
        }
    }

    /// Whether a reply to a refresh of [`Session::durable_grant`] is, or may be, outstanding.
    pub fn is_interrupted_if_killed_now(&self) -> bool {
        match self.step {
            Step::Recording(_) | Step::Refreshing => true,
            Step::Storing(..) => false,
            Step::Resting => self.lost_replies > 0 && self.grant.is_some(),
        }
    }

    /// Whether a refresh has begun and its result is not published yet.
    pub fn is_busy(&self) -> bool {
        !matches!(self.step, Step::Resting)
    }

    /// The state, as far as this part alone decides it.
    pub fn state(&self, unsaved: bool, now: Instant) -> State {
        let Some(token) = self.token.as_ref().filter(|_| self.grant.is_some()) else {
            return if self.is_busy() { State::Refreshing } else { State::SignedOut };
        };
        let valid = token.is_valid(now);
        match &self.trouble {
            Some(Trouble { fault: Fault::Configuration, .. }) => State::Misconfigured,
            Some(_) if valid => State::Degraded,
            Some(_) => State::Stale,
            None if unsaved && valid && !self.is_busy() => State::Degraded,
            None if self.is_busy() => State::Refreshing,
            None => State::Active,
        }
    }

    /// When this part next has something to do; `None` while it waits for a write or a reply.
    pub fn deadline(&self) -> Option<Instant> {
        let end = self.token.as_ref().and_then(|token| token.expires);
        if self.is_busy() { None } else { self.due.or(end) }
    }

    /// Ends a grant whose token ran out and that has nothing to renew it with. Returns whether that happened.
    pub fn expire(&mut self, now: Instant) -> bool {
        let ended = self.token.as_ref().is_some_and(|token| !token.is_valid(now));
        if self.grant.is_none() || self.refreshable() || !ended || self.is_busy() {
            return false;
        }
        self.end(Reason::Expired);
        true
    }

    /// Brings the next refresh forward to the earliest moment that is allowed.
    pub fn hurry(&mut self, now: Instant) {
        if self.refreshable() && !self.is_busy() {
            let earliest = now.max(self.not_before);
            self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
        }
    }

    /// Begins a refresh when it is due, by asking for the intent to be written down.
    pub fn begin(&mut self, ledger: &mut Ledger, now: Instant) {
        let due = self.due.is_some_and(|due| due <= now);
        if due && self.refreshable() && !self.is_busy() {
            self.step = Step::Recording(ledger.want());
        }
    }

    /// The refresh request, once the intent is on disk.
    pub fn request(&mut self, client: &Client, ledger: &Ledger) -> Option<Request> {
        let Step::Recording(version) = self.step else { return None };
        let grant = self.grant.as_ref().filter(|_| ledger.is_stored(version))?;
        let request = client.refresh(&grant.token_endpoint, grant.refresh_token.as_ref()?);
        self.step = Step::Refreshing;
        Some(request)
    }

    /// What the request in flight carries, to be kept out of every text.
    pub fn sent_secrets(&self) -> Vec<&Secret> {
        let grant = self.grant.as_ref();
        grant.into_iter().flat_map(|grant| grant.refresh_token.iter().chain([&grant.access_token])).collect()
    }

    /// Takes the reply to a refresh that was asked for at `asked_at`.
    pub fn reply(
        &mut self,
        reply: Result<TokenResponse, Failure>,
        asked_at: Instant,
        now: Instant,
        ledger: &mut Ledger,
        rng: &mut fastrand::Rng,
    ) {
        let Some(grant) = &self.grant else { return };
        match reply {
            Ok(got) => {
                self.returns_same_token = grant.access_token.same_as(&got.access_token);
                let fresh = Box::new(grant.renewed(got, asked_at));
                self.step = Step::Storing(ledger.want(), fresh);
            }
            Err(failure) => {
                self.step = Step::Resting;
                self.attempts += 1;
                self.fail(&failure, now, rng);
                ledger.want();
            }
        }
    }

    /// Takes over the grant of a new login; a refresh of the old one that had not gone out yet is forgotten.
    pub fn adopt(&mut self, fresh: Grant, ledger: &mut Ledger) {
        self.returns_same_token = false;
        self.step = Step::Storing(ledger.want(), Box::new(fresh));
    }

    /// Goes on after a write: publishes what is on disk. When the disk refused, a new grant is published all the same,
    /// callers come first; an intent is not, for then the refresh token would be spent without a trace, unless the
    /// token has ended and nothing is left to lose. Returns the grant's arrival, if there was one.
    pub fn wrote(
        &mut self,
        failed: bool,
        ledger: &mut Ledger,
        margin: Option<Duration>,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> bool {
        match std::mem::replace(&mut self.step, Step::Resting) {
            Step::Storing(version, fresh) if failed || ledger.is_stored(version) => {
                self.publish(*fresh, margin, now, rng);
                true
            }
            Step::Recording(version) if failed && !ledger.is_stored(version) => {
                if self.token.as_ref().is_some_and(|token| token.is_valid(now)) {
                    let pause = self.backoff.pause(FIRST_RETRY, STORAGE_RETRY, rng);
                    self.due = Some(now + pause);
                    self.trouble = Some(Trouble {
                        fault: Fault::Storage,
                        text: "the refresh waits until the disk can be written again, so that the grant cannot be lost"
                            .into(),
                        retry_at: self.due,
                    });
                } else {
                    self.step = Step::Recording(0);
                }
                false
            }
            step => {
                self.step = step;
                false
            }
        }
    }

    /// Ends the grant.
    pub fn end(&mut self, reason: Reason) {
        self.grant = None;
        self.token = None;
        self.reason = reason;
        self.step = Step::Resting;
        self.due = None;
        self.lost_replies = 0;
    }

    /// Changes why there is no grant, after a login that brought none.
    pub fn set_reason_if_none(&mut self, reason: Reason) {
        if self.grant.is_none() {
            self.reason = reason;
        }
    }

    /// Forgets the last failure.
    pub fn forget_trouble(&mut self) {
        self.trouble = None;
        self.backoff.reset();
    }

    fn publish(&mut self, fresh: Grant, margin: Option<Duration>, now: Instant, rng: &mut fastrand::Rng) {
        self.attempts += 1;
        self.generation += u64::from(self.is_another(&fresh));
        self.token = Some(Arc::new(fresh.token()));
        self.grant = Some(fresh);
        self.trouble = None;
        self.backoff.reset();
        (self.lost_replies, self.doubtful) = (0, 0);
        let lifetime = self.grant.as_ref().and_then(|grant| grant.lifetime);
        self.not_before = now + self.floor(lifetime, now);
        self.schedule(margin, now, rng);
    }

    /// The pause before the next refresh, whoever asks for it: a second, twice that for each one that followed hard on
    /// another, so that a server whose tokens are refused or over at once is not asked in a hot loop. A token of
    /// seconds is renewed in time all the same.
    fn floor(&mut self, lifetime: Option<Duration>, now: Instant) -> Duration {
        let hasty = self.published.is_some_and(|before| now.since(before) < FLOOR * 2);
        self.haste = if hasty { (self.haste + 1).min(5) } else { 0 };
        self.published = Some(now);
        let grown = SHORTEST_FLOOR.saturating_mul(1 << self.haste).min(FLOOR);
        match lifetime {
            Some(lifetime) if lifetime > SHORTEST_FLOOR => grown.min((lifetime / 2).max(SHORTEST_FLOOR)),
            _ => grown,
        }
    }

    /// Whether this grant brings a token that is not the published one.
    fn is_another(&self, fresh: &Grant) -> bool {
        !self.grant.as_ref().is_some_and(|old| old.access_token.same_as(&fresh.access_token))
    }

    /// Plans the next refresh: a margin before the end, and up to another margin earlier by chance, so that boxes that
    /// were switched on together drift apart.
    fn schedule(&mut self, margin: Option<Duration>, now: Instant, rng: &mut fastrand::Rng) {
        self.due = None;
        let Some(grant) = self.grant.as_ref().filter(|grant| grant.refresh_token.is_some()) else { return };
        let (Some(end), Some(lifetime)) = (grant.expires, grant.lifetime) else {
            self.due = Some(now + between(UNKNOWN_LIFETIME * 5 / 6, UNKNOWN_LIFETIME, rng));
            return;
        };
        let due = if self.returns_same_token {
            end + Duration::from_secs(1)
        } else {
            let usual = (lifetime / 10).clamp(SHORTEST_MARGIN, LONGEST_MARGIN);
            let margin = margin.unwrap_or(usual).min(lifetime / 5);
            let before_end = between(margin, margin * 2, rng);
            Instant::from_boot(end.since_boot().saturating_sub(before_end))
        };
        self.due = Some(due.max(now).max(self.not_before));
    }

    fn fail(&mut self, failure: &Failure, now: Instant, rng: &mut fastrand::Rng) {
        let text = failure.to_string();
        let pause = match failure {
            Failure::Refused(refusal) => match self.judge(refusal, now) {
                Verdict::Dead(reason) => {
                    self.trouble = Some(Trouble { fault: Fault::Provider, text, retry_at: None });
                    return self.end(reason);
                }
                Verdict::Operator => OPERATOR_RETRY,
                Verdict::Again => self.backoff.pause(FIRST_RETRY, LAST_RETRY, rng).max(DOUBTFUL_RETRY),
                Verdict::Later => self.backoff.pause(FIRST_RETRY, LAST_RETRY, rng),
            },
            _ if failure.is_ambiguous() => {
                // The server may hold the old token valid for some seconds longer: the first retry comes at once.
                self.lost_replies += 1;
                match self.lost_replies {
                    1 => SHORTEST_FLOOR,
                    2 => between(Duration::from_secs(3), Duration::from_secs(5), rng),
                    _ => self.backoff.pause(FIRST_RETRY, LAST_RETRY, rng),
                }
            }
            _ => self.backoff.pause(FIRST_RETRY, LAST_RETRY, rng),
        };
        let asked_for = failure.retry_after().unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let pause = pause.max(asked_for);
        let fault = match failure {
            Failure::Refused(refusal) if is_operators(&refusal.error) => Fault::Configuration,
            Failure::Refused(_) => Fault::Provider,
            _ => Fault::Unreachable,
        };
        self.due = Some(now + pause);
        self.not_before = now + pause.min(FLOOR).max(asked_for);
        self.trouble = Some(Trouble { fault, text, retry_at: self.due });
    }

    fn judge(&mut self, refusal: &Refusal, now: Instant) -> Verdict {
        use ErrorCode as E;
        match &refusal.error {
            E::InvalidGrant | E::ExpiredToken if self.lost_replies > 0 => Verdict::Dead(Reason::LostRotation),
            E::InvalidGrant | E::ExpiredToken => Verdict::Dead(Reason::Revoked),
            E::InteractionRequired => Verdict::Dead(Reason::Policy),
            error if is_operators(error) => Verdict::Operator,
            E::ServerError | E::TemporarilyUnavailable | E::SlowDown => Verdict::Later,
            // Hydra answers invalid_request to a refresh that should be tried again, Dex to one that is dead: some
            // tries over at least a minute tell them apart.
            _ => {
                if self.doubtful == 0 {
                    self.doubtful_since = now;
                }
                self.doubtful += 1;
                let patient = self.doubtful > DOUBTFUL_TRIES && now.since(self.doubtful_since) >= DOUBTFUL_TIME;
                let denied = refusal.error == E::AccessDenied;
                match (patient, denied) {
                    (true, true) => Verdict::Dead(Reason::Policy),
                    (true, false) if self.lost_replies > 0 => Verdict::Dead(Reason::LostRotation),
                    (true, false) => Verdict::Dead(Reason::Revoked),
                    (false, _) => Verdict::Again,
                }
            }
        }
    }
}

/// What a refusal of a refresh means.
enum Verdict {
    /// The grant has ended.
    Dead(Reason),
    /// The client is refused, not the grant.
    Operator,
    /// It may or may not have ended.
    Again,
    /// The server cannot say now.
    Later,
}

/// The refusals that only a change of the configuration can mend.
pub(super) fn is_operators(error: &ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        error,
        E::InvalidClient | E::UnauthorizedClient | E::UnsupportedGrantType | E::InvalidScope | E::InvalidTarget
    )
}

impl Grant {
    fn token(&self) -> Token {
        Token {
            secret: self.access_token.clone(),
            fingerprint: self.access_token.fingerprint(),
            expires: self.expires,
            lifetime: self.lifetime,
            scope: self.scope.clone(),
            id_token: self.id_token.clone(),
        }
    }
}

/// How long a token of unknown lifetime is trusted before it is renewed.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(3600);
const SHORTEST_MARGIN: Duration = Duration::from_secs(60);
const LONGEST_MARGIN: Duration = Duration::from_secs(600);
/// Two refreshes of one grant are never closer than this, or than half a lifetime where that is shorter.
const FLOOR: Duration = Duration::from_secs(30);
const SHORTEST_FLOOR: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(600);
const STORAGE_RETRY: Duration = Duration::from_secs(50);
const OPERATOR_RETRY: Duration = Duration::from_secs(3600);
const DOUBTFUL_RETRY: Duration = Duration::from_secs(21);
const DOUBTFUL_TRIES: u32 = 3;
const DOUBTFUL_TIME: Duration = Duration::from_secs(60);
/// A server that asks for more is asked again all the same: it cannot take us out for good.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

//! A device code that is out: when to poll (RFC 8628 §3.4), what the answers mean (§3.5), and how it outlives a restart.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    record::{Clocks, StoredMoment},
    snapshot::{Prompt, Reason},
    verdict::is_operators,
};
use crate::{
    oauth::{
        client::{Client, Server},
        code_page,
        device::DeviceAuthorization,
        error::{ErrorCode, Failure, Refusal},
        exchange::{Endpoint, Request},
        token::TokenResponse,
    },
    secret::{Secret, exposed},
    time::{Instant, Now},
};

/// A device code, and the polling for it.
pub(super) struct Waiting {
    device_code: Secret,
    prompt: Arc<Prompt>,
    server: Server,
    interval: Duration,
    next_poll: Instant,
    deadline: Instant,
    /// Polls in a row that brought no OAuth answer: each doubles the pause (RFC 8628 §3.5).
    stumbles: u32,
    server_errors: u32,
    /// A poll since the server last called the code pending may have been acted on without our having the answer.
    lost_reply: bool,
    /// It is to be written down again, because what a restart must respect has changed.
    changed: bool,
}

/// A login that waits for a person, as it is written down.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredLogin {
    pub(super) unattended: bool,
    pub(super) replace: bool,
    issuer: Option<String>,
    client_id: Option<String>,
    scope: String,
    device_authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    #[serde(with = "exposed")]
    device_code: Secret,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    qr_code: Option<String>,
    interval_ms: u64,
    next_poll: StoredMoment,
    deadline: StoredMoment,
    #[serde(with = "exposed::optional", default)]
    pub(super) proof_key: Option<Secret>,
}

/// What a poll brought.
pub(super) enum Polled {
    /// Patience.
    Again,
    /// The person approved.
    Granted(TokenResponse),
    /// Nobody did in time.
    Lapsed,
    /// The server has ended the login.
    Over(Reason, String),
    /// The server refuses the client.
    Refused(Failure),
}

impl Waiting {
    /// A code that the server has just given out, asked for at `asked_at`.
    pub fn new(answer: DeviceAuthorization, server: Server, client: &Client, asked_at: Instant, now: Instant) -> Self {
        let deadline = asked_at + answer.expires_in;
        let addresses = [Some(&answer.verification_uri), answer.verification_uri_complete.as_ref()];
        Self {
            device_code: answer.device_code,
            prompt: Arc::new(Prompt {
                stranger: code_page::stranger(addresses.into_iter().flatten(), &server, client),
                user_code: answer.user_code,
                verification_uri: answer.verification_uri,
                verification_uri_complete: answer.verification_uri_complete,
                expires: deadline,
                interval: answer.interval,
                qr_code: answer.qr_code,
            }),
            server,
            interval: answer.interval,
            next_poll: now + answer.interval + MARGIN,
            deadline,
            stumbles: 0,
            server_errors: 0,
            lost_reply: false,
            changed: true,
        }
    }

    pub fn prompt(&self) -> &Arc<Prompt> {
        &self.prompt
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn device_code(&self) -> &Secret {
        &self.device_code
    }

    /// When it next has something to do.
    pub fn next(&self) -> Instant {
        self.next_poll.min(self.deadline)
    }

    /// Whether the code has ended, by our own clock whatever the server says (RFC 8628 §3.5).
    pub fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now
    }

    /// The poll, when it is due.
    pub fn request(&self, client: &Client, now: Instant) -> Option<Request> {
        let due = self.next_poll <= now && !self.is_over(now);
        due.then(|| client.device_token(&self.server.token, &self.device_code))
    }

    /// Whether it has to be written down again.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Takes the answer to a poll.
    pub fn reply(&mut self, reply: Result<TokenResponse, Failure>, now: Instant) -> Polled {
        let failure = match reply {
            Ok(got) => return Polled::Granted(got),
            Err(failure) => failure.without(&[&self.device_code]),
        };
        let pause = match &failure {
            Failure::Refused(refusal) => match self.refused(refusal, &failure) {
                Ok(pause) => pause,
                Err(end) => return end,
            },
            Failure::Busy { status: 429, .. } => self.slow_down(None),
            _ => self.stumble(),
        };
        self.lost_reply |= failure.is_ambiguous();
        let pause = pause.max(failure.retry_after().unwrap_or_default());
        self.changed |= pause > self.interval;
        self.next_poll = now + pause + MARGIN;
        Polled::Again
    }

    /// What the server says in OAuth's own words: how long to wait, or that it is over.
    fn refused(&mut self, refusal: &Refusal, failure: &Failure) -> Result<Duration, Polled> {
        use ErrorCode as E;
        let error = &refusal.error;
        self.server_errors = if *error == E::ServerError { self.server_errors + 1 } else { 0 };
        match error {
            E::AuthorizationPending => {
                self.lost_reply = false;
                self.stumbles = 0;
                Ok(self.interval)
            }
            E::SlowDown => {
                self.lost_reply = false;
                Ok(self.slow_down(refusal.interval))
            }
            // Kinde says so of a code that it cannot make sense of.
            E::ServerError if self.server_errors >= SERVER_ERRORS => {
                Err(Polled::Over(Reason::CodeExpired, failure.to_string()))
            }
            E::ServerError | E::TemporarilyUnavailable | E::UseDpopNonce | E::InvalidDpopProof => Ok(self.stumble()),
            E::AccessDenied => Err(Polled::Over(Reason::Denied, failure.to_string())),
            E::ExpiredToken => Err(Polled::Lapsed),
            error if is_operators(error) => Err(Polled::Refused(failure.clone())),
            // A code that nobody knows any more has no remedy; a policy that stands in the way has.
            E::InvalidGrant if refusal.remedy.is_some() => Err(Polled::Over(Reason::Denied, failure.to_string())),
            _ if self.lost_reply => {
                let text = "the code was used up while a reply was lost, so the approval did not arrive; sign in again";
                Err(Polled::Over(Reason::LostRotation, text.into()))
            }
            _ => Err(Polled::Over(Reason::CodeExpired, failure.to_string())),
        }
    }

    /// Five seconds more from now on, or what the server says if that is more.
    fn slow_down(&mut self, wanted: Option<Duration>) -> Duration {
        self.interval = (self.interval + SLOW_DOWN).max(wanted.unwrap_or_default());
        self.prompt = Arc::new(Prompt { interval: self.interval, ..(*self.prompt).clone() });
        self.stumbles = 0;
        self.changed = true;
        self.interval
    }

    /// Twice the pause of before, for as long as no OAuth answer comes.
    fn stumble(&mut self) -> Duration {
        self.stumbles = (self.stumbles + 1).min(16);
        self.interval.saturating_mul(1 << self.stumbles).min(LONGEST_STUMBLE.max(self.interval))
    }

    /// As it is written down.
    pub fn store(&self, client: &Client, unattended: bool, replace: bool, now: Now) -> StoredLogin {
        StoredLogin {
            unattended,
            replace,
            issuer: client.issuer.clone(),
            client_id: client.client_id.clone(),
            scope: client.scopes.join(" "),
            device_authorization_endpoint: self.server.device_authorization.as_str().to_owned(),
            token_endpoint: self.server.token.as_str().to_owned(),
            revocation_endpoint: self.server.revocation.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
            device_code: self.device_code.clone(),
            user_code: self.prompt.user_code.clone(),
            verification_uri: self.prompt.verification_uri.clone(),
            verification_uri_complete: self.prompt.verification_uri_complete.clone(),
            qr_code: self.prompt.qr_code.clone(),
            interval_ms: u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX),
            next_poll: StoredMoment::new(self.next_poll, now),
            deadline: StoredMoment::new(self.deadline, now),
            proof_key: None,
        }
    }

    /// As it is read back: nothing where it is over, where nobody knows how long the box was off, or where the
    /// configuration means something else now. The next poll waits a whole interval from here, for one may have gone out
    /// just before the end, and so may its answer.
    pub fn restore(stored: &StoredLogin, client: &Client, clocks: &Clocks) -> Option<Self> {
        let endpoint = |text: &str| Endpoint::parse(text).ok();
        let server = Server {
            device_authorization: endpoint(&stored.device_authorization_endpoint)?,
            token: endpoint(&stored.token_endpoint)?,
            revocation: stored.revocation_endpoint.as_deref().and_then(endpoint),
        };
        let elsewhere = client.endpoints.token.as_ref().is_some_and(|token| !token.same_origin(&server.token));
        let ours = stored.issuer == client.issuer && stored.client_id == client.client_id && !elsewhere;
        let deadline = clocks.moment(stored.deadline).filter(|end| *end > clocks.now())?;
        let interval = Duration::from_millis(stored.interval_ms);
        let next_poll = clocks.moment(stored.next_poll)?.max(clocks.now() + interval + MARGIN);
        let addresses = [Some(&stored.verification_uri), stored.verification_uri_complete.as_ref()];
        let stranger = code_page::stranger(addresses.into_iter().flatten(), &server, client);
        (ours && stored.scope == client.scopes.join(" ")).then(|| Self {
            device_code: stored.device_code.clone(),
            prompt: Arc::new(Prompt {
                user_code: stored.user_code.clone(),
                verification_uri: stored.verification_uri.clone(),
                verification_uri_complete: stored.verification_uri_complete.clone(),
                expires: deadline,
                interval,
                qr_code: stored.qr_code.clone(),
                stranger,
            }),
            server,
            interval,
            next_poll,
            deadline,
            stumbles: 0,
            server_errors: 0,
            lost_reply: true,
            changed: false,
        })
    }
}

/// On top of every interval: servers that count whole seconds take an exact interval for an early poll.
const MARGIN: Duration = Duration::from_millis(500);
const SLOW_DOWN: Duration = Duration::from_secs(5);
const SERVER_ERRORS: u32 = 3;
const LONGEST_STUMBLE: Duration = Duration::from_secs(300);

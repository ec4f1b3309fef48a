//! The device authorization grant (RFC 8628), from the first request to the tokens.
//!
//! Polling is never early: each poll waits a whole interval after the previous *reply*, the first one included, and
//! `slow_down` lengthens the interval for good.

use std::{sync::Arc, time::Duration};

use super::{
    backoff::Backoff,
    record::Grant,
    session::is_operators,
    snapshot::{Fault, Prompt, Reason, Trouble},
};
use crate::{
    oauth::{
        client::{Client, Endpoints},
        device::DeviceAuthorization,
        error::{ErrorCode, Failure},
        exchange::{Endpoint, Request, Response},
        metadata,
        token::TokenResponse,
    },
    secret::Secret,
    time::Instant,
};

/// The login part of an account: nothing, or one device login.
pub(super) struct Login {
    step: Step,
    /// Nobody asked for this login by hand.
    unattended: bool,
    trouble: Option<Trouble>,
    /// Before this no login begins by itself.
    gate: Instant,
    /// Codes that lapsed unattended, in a row.
    lapses: u32,
    backoff: Backoff,
}

enum Step {
    Idle,
    /// The metadata document at one of the well-known places is asked for.
    Discovering(usize),
    /// The device authorization is asked for.
    Requesting {
        device_authorization: Endpoint,
        rest: Box<Endpoints>,
    },
    /// A code is out.
    Waiting(Box<Waiting>),
}

struct Waiting {
    device_code: Secret,
    prompt: Arc<Prompt>,
    token_endpoint: Endpoint,
    endpoints: Endpoints,
    interval: Duration,
    next_poll: Instant,
    deadline: Instant,
    /// Polls in a row that brought no OAuth answer: each doubles the pause (RFC 8628 §3.5).
    stumbles: u32,
    server_errors: u32,
    /// A poll since the server last called the code pending may have been acted on without our having the answer.
    lost_reply: bool,
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
    pub fn new(now: Instant) -> Self {
        Self { step: Step::Idle, unattended: false, trouble: None, gate: now, lapses: 0, backoff: Backoff::default() }
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
        self.unattended = unattended;
        self.trouble = None;
        let known = client.endpoints.clone();
        match (known.device_authorization.clone(), &known.token) {
            (Some(device_authorization), Some(_)) => {
                self.step = Step::Requesting { device_authorization, rest: Box::new(known) };
            }
            _ if places(client).is_empty() => {
                self.misconfigured("neither an issuer nor the device authorization and token endpoints are given", now);
            }
            _ => self.step = Step::Discovering(0),
        }
    }

    /// Ends the login, if one is running, and lets none begin by itself for a while: whoever cancels does not want the
    /// next code at once. Returns whether one was running.
    pub fn cancel(&mut self, now: Instant) -> bool {
        self.close_gate(OPERATOR_RETRY, now);
        !matches!(std::mem::replace(&mut self.step, Step::Idle), Step::Idle)
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.step, Step::Idle)
    }

    /// Whether it has begun and its code is not out yet.
    pub fn is_starting(&self) -> bool {
        matches!(self.step, Step::Discovering(_) | Step::Requesting { .. })
    }

    pub fn prompt(&self) -> Option<&Arc<Prompt>> {
        match &self.step {
            Step::Waiting(waiting) => Some(&waiting.prompt),
            _ => None,
        }
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Where a token that this login may still bring can be ended.
    pub fn revocation_endpoint(&self) -> Option<&Endpoint> {
        match &self.step {
            Step::Waiting(waiting) => waiting.endpoints.revocation.as_ref(),
            _ => None,
        }
    }

    /// Forgets the last failure and lets the next login begin by itself at once.
    pub fn forgive(&mut self, now: Instant) {
        (self.trouble, self.gate, self.lapses) = (None, now, 0);
        self.backoff.reset();
    }

    /// Before this no login begins by itself.
    pub fn gate(&self) -> Instant {
        self.gate
    }

    /// When this part next has something to do, provided that no request is in flight.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        match &self.step {
            Step::Idle => None,
            Step::Discovering(_) | Step::Requesting { .. } => Some(now),
            Step::Waiting(waiting) => Some(waiting.next_poll.min(waiting.deadline)),
        }
    }

    /// The next request, when it is due.
    pub fn request(&self, client: &Client, now: Instant) -> Option<Request> {
        match &self.step {
            Step::Idle => None,
            Step::Discovering(place) => {
                let endpoint = places(client).into_iter().nth(*place)?;
                Some(Request { endpoint, form: None, authorization: None })
            }
            Step::Requesting { device_authorization, .. } => Some(client.device_authorization(device_authorization)),
            Step::Waiting(waiting) => {
                let due = waiting.next_poll <= now && now < waiting.deadline;
                due.then(|| client.device_token(&waiting.token_endpoint, &waiting.device_code))
            }
        }
    }

    /// Ends a login whose code has lapsed, by our own clock whatever the server says (RFC 8628 §3.5).
    pub fn expire(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Option<Reason> {
        match &self.step {
            Step::Waiting(waiting) if waiting.deadline <= now => Some(self.lapse(now, rng)),
            _ => None,
        }
    }

    /// What the request in flight carries, to be kept out of every text.
    pub fn sent_secrets(&self) -> Vec<&Secret> {
        match &self.step {
            Step::Waiting(waiting) => vec![&waiting.device_code],
            _ => Vec::new(),
        }
    }

    /// Takes the reply to the request that was sent at `asked_at`.
    pub fn reply(
        &mut self,
        reply: Result<Response, Failure>,
        client: &Client,
        asked_at: Instant,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Outcome {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => Outcome::GoesOn,
            Step::Discovering(place) => self.discovered(place, reply, client, now, rng),
            Step::Requesting { device_authorization, rest } => {
                let read = reply.and_then(|response| DeviceAuthorization::read(&response, &client.profile));
                match read {
                    Ok(answer) => self.show(answer, device_authorization, *rest, asked_at, now),
                    Err(failure) => self.fail(&failure, now, rng),
                }
            }
            Step::Waiting(waiting) => {
                let read = reply.and_then(|response| TokenResponse::read(&response, &client.profile));
                self.polled(waiting, read, client, asked_at, now, rng)
            }
        }
    }

    fn discovered(
        &mut self,
        place: usize,
        reply: Result<Response, Failure>,
        client: &Client,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Outcome {
        let response = match reply {
            Ok(response) => response,
            Err(failure) => return self.fail(&failure, now, rng),
        };
        let issuer = client.issuer.as_deref().unwrap_or_default();
        let unusable = match metadata::read(&response, issuer) {
            Ok(found) => {
                let endpoints = client.endpoints.clone().or(found);
                match (endpoints.device_authorization.clone(), &endpoints.token) {
                    (Some(device_authorization), Some(_)) => {
                        self.step = Step::Requesting { device_authorization, rest: Box::new(endpoints) };
                        return Outcome::GoesOn;
                    }
                    _ => {
                        "the server's metadata names no device authorization endpoint; it may not offer the device \
                          grant, or device_authorization_endpoint has to be configured"
                    }
                }
            }
            Err(_) if place + 1 < places(client).len() => {
                self.step = Step::Discovering(place + 1);
                return Outcome::GoesOn;
            }
            Err(metadata::Unusable(why)) => match Failure::check(&response, &client.profile.error_aliases) {
                // An outage or a captive portal is nobody's misconfiguration; a 404 is an answer.
                Err(failure) if response.status != 404 => return self.fail(&failure, now, rng),
                _ => why,
            },
        };
        self.misconfigured(unusable, now);
        Outcome::Over(None)
    }

    fn show(
        &mut self,
        answer: DeviceAuthorization,
        device_authorization: Endpoint,
        endpoints: Endpoints,
        asked_at: Instant,
        now: Instant,
    ) -> Outcome {
        let deadline = asked_at + answer.expires_in;
        self.backoff.reset();
        self.step = Step::Waiting(Box::new(Waiting {
            device_code: answer.device_code,
            prompt: Arc::new(Prompt {
                user_code: answer.user_code,
                verification_uri: answer.verification_uri,
                verification_uri_complete: answer.verification_uri_complete,
                expires: deadline,
                interval: answer.interval,
                qr_code: answer.qr_code,
            }),
            token_endpoint: endpoints.token.clone().unwrap_or(device_authorization),
            endpoints,
            interval: answer.interval,
            next_poll: now + answer.interval + MARGIN,
            deadline,
            stumbles: 0,
            server_errors: 0,
            lost_reply: false,
        }));
        Outcome::GoesOn
    }

    fn polled(
        &mut self,
        mut waiting: Box<Waiting>,
        reply: Result<TokenResponse, Failure>,
        client: &Client,
        asked_at: Instant,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Outcome {
        use ErrorCode as E;
        let failure = match reply {
            Ok(got) => {
                self.lapses = 0;
                let Waiting { token_endpoint, endpoints, .. } = *waiting;
                return Outcome::Granted(Box::new(Grant::new(client, &endpoints, token_endpoint, got, asked_at)));
            }
            Err(failure) => failure.without(&[&waiting.device_code]),
        };
        let asked_pause = failure.retry_after().unwrap_or_default();
        let pause = match &failure {
            Failure::Refused(refusal) => match &refusal.error {
                E::AuthorizationPending => {
                    waiting.lost_reply = false;
                    waiting.keep_pace()
                }
                E::SlowDown => {
                    waiting.lost_reply = false;
                    waiting.slow_down(refusal.interval)
                }
                E::ServerError if waiting.server_errors + 1 >= SERVER_ERRORS => {
                    return self.over(Reason::CodeExpired, &failure, now, rng);
                }
                E::ServerError | E::TemporarilyUnavailable => {
                    waiting.server_errors += u32::from(refusal.error == E::ServerError);
                    waiting.stumble()
                }
                E::AccessDenied => return self.over(Reason::Denied, &failure, now, rng),
                E::ExpiredToken => return Outcome::Over(Some(self.lapse(now, rng))),
                error if is_operators(error) => return self.fail(&failure, now, rng),
                _ if waiting.lost_reply => {
                    let _ = self.over(Reason::LostRotation, &failure, now, rng);
                    let text =
                        "the code was used up while a reply was lost, so the approval did not arrive; sign in again";
                    self.trouble = Some(Trouble { fault: Fault::Provider, text: text.into(), retry_at: None });
                    return Outcome::Over(Some(Reason::LostRotation));
                }
                _ => return self.over(Reason::CodeExpired, &failure, now, rng),
            },
            Failure::Busy { status: 429, .. } => waiting.slow_down(None),
            _ => waiting.stumble(),
        };
        waiting.lost_reply |= failure.is_ambiguous();
        waiting.next_poll = now + pause.max(asked_pause) + MARGIN;
        self.step = Step::Waiting(waiting);
        Outcome::GoesOn
    }

    /// The code is of no use any more, and nobody said no.
    fn lapse(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Reason {
        self.step = Step::Idle;
        if self.unattended {
            // The first lapsed code may be followed by another at once, then the pauses grow.
            let grown = FIRST_LAPSE.saturating_mul((1 << self.lapses.min(16)) - 1).min(LONGEST_LAPSE);
            self.lapses += 1;
            self.gate = now + grown + super::backoff::between(Duration::ZERO, grown / 10, rng);
        }
        Reason::CodeExpired
    }

    /// The server has ended the login.
    fn over(&mut self, reason: Reason, failure: &Failure, now: Instant, rng: &mut fastrand::Rng) -> Outcome {
        self.lapse(now, rng);
        self.trouble = Some(Trouble { fault: Fault::Provider, text: failure.to_string(), retry_at: None });
        Outcome::Over(Some(reason))
    }

    /// The login could not begin, or the client is refused.
    fn fail(&mut self, failure: &Failure, now: Instant, rng: &mut fastrand::Rng) -> Outcome {
        let fault = match failure {
            Failure::Refused(refusal) if is_operators(&refusal.error) => Fault::Configuration,
            Failure::Refused(_) | Failure::Garbled { .. } => Fault::Provider,
            Failure::Busy { .. } | Failure::Unreachable(_) => Fault::Unreachable,
        };
        let usual = match fault {
            Fault::Configuration => OPERATOR_RETRY,
            _ => self.backoff.pause(FIRST_RETRY, LAST_RETRY, rng),
        };
        self.close_gate(usual.max(failure.retry_after().unwrap_or_default().min(OPERATOR_RETRY)), now);
        let retry_at = self.unattended.then_some(self.gate);
        self.trouble = Some(Trouble { fault, text: failure.to_string(), retry_at });
        Outcome::Over(None)
    }

    /// Only the operator can make a login possible.
    fn misconfigured(&mut self, why: &str, now: Instant) {
        self.close_gate(OPERATOR_RETRY, now);
        self.trouble = Some(Trouble { fault: Fault::Configuration, text: why.into(), retry_at: None });
    }

    fn close_gate(&mut self, pause: Duration, now: Instant) {
        self.gate = now + pause;
    }
}

impl Waiting {
    /// The server answered in its own words: the usual interval, and the doubling is over.
    fn keep_pace(&mut self) -> Duration {
        (self.stumbles, self.server_errors) = (0, 0);
        self.interval
    }

    /// Five seconds more from now on, or what the server says if that is more.
    fn slow_down(&mut self, wanted: Option<Duration>) -> Duration {
        self.interval = (self.interval + SLOW_DOWN).max(wanted.unwrap_or_default());
        self.prompt = Arc::new(Prompt { interval: self.interval, ..(*self.prompt).clone() });
        self.keep_pace()
    }

    /// Twice the pause of before, for as long as no OAuth answer comes.
    fn stumble(&mut self) -> Duration {
        self.stumbles = (self.stumbles + 1).min(16);
        self.interval.saturating_mul(1 << self.stumbles).min(LONGEST_STUMBLE.max(self.interval))
    }
}

/// Where the metadata of the issuer may be; nowhere without one.
fn places(client: &Client) -> Vec<Endpoint> {
    let issuer = client.issuer.as_deref().and_then(|issuer| Endpoint::parse(issuer).ok());
    issuer.map_or_else(Vec::new, |issuer| metadata::well_known(&issuer))
}

/// On top of every interval: servers that count whole seconds take an exact interval for an early poll.
const MARGIN: Duration = Duration::from_millis(500);
const SLOW_DOWN: Duration = Duration::from_secs(5);
const SERVER_ERRORS: u32 = 3;
const LONGEST_STUMBLE: Duration = Duration::from_secs(300);
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(900);
const OPERATOR_RETRY: Duration = Duration::from_secs(3600);
const FIRST_LAPSE: Duration = Duration::from_secs(600);
const LONGEST_LAPSE: Duration = Duration::from_secs(6 * 3600);

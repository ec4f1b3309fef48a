//! What a failed exchange means: whose business it is, when to try again, and when a grant has ended.
//!
//! Only the server's own word on the grant ends it. An outage, a captive portal, a proxy or a gateway never does,
//! however long it lasts.

use std::time::Duration;

use super::{
    backoff::{Backoff, between},
    snapshot::{Fault, Reason},
};
use crate::{
    oauth::{
        client::Client,
        error::{ErrorCode, Failure, Found, Refusal},
        exchange::{Stage, Unreachable},
        profile::Doubt,
    },
    time::Instant,
};

/// What a failed refresh means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The grant has ended.
    Ended(Reason),
    /// It has not, as far as anybody knows: to be tried again after this pause.
    Again(Duration),
    /// The server cannot say now: to be tried again after this pause by whoever waits, and later where nobody does.
    Later(Duration),
}

/// What the failures since the last success add up to.
#[derive(Default)]
pub(super) struct Doubts {
    backoff: Backoff,
    /// When a reply was lost, so that nobody knows whether the server acted on the refresh.
    lost: Option<Instant>,
    /// Quick retries since then.
    quick: u32,
    /// Times that the server was there and could not answer, and those of them in a row.
    crowded: u32,
    unable: u32,
    /// Refusals in a row that may or may not mean the end, and when the first of them came.
    doubtful: u32,
    since: Option<Instant>,
    denials: u32,
    /// The server refuses the configured `resource`, so none is named any more.
    anywhere: bool,
}

impl Doubts {
    /// After a restart, `now` where a reply was outstanding.
    pub fn restored(lost: Option<Instant>) -> Self {
        Self { lost, ..Self::default() }
    }

    /// Whether the server may have acted on a refresh without our having the answer.
    pub fn is_reply_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Whether a reply was lost so lately that each moment counts.
    pub fn is_urgent(&self, now: Instant) -> bool {
        !self.is_outage() && self.lost.is_some_and(|since| now.since(since) < QUICK_TIME)
    }

    /// Whether a refresh must not name the configured `resource`.
    pub fn is_anywhere(&self) -> bool {
        self.anywhere
    }

    /// A refresh has succeeded.
    pub fn settle(&mut self) {
        *self = Self { anywhere: self.anywhere, ..Self::default() };
    }

    /// A pause, longer after each failure.
    pub fn pause(&mut self, longest: Duration, rng: &mut fastrand::Rng) -> Duration {
        self.backoff.pause(FIRST_RETRY, longest, rng)
    }

    /// Judges one more failure.
    pub fn judge(&mut self, failure: &Failure, client: &Client, now: Instant, rng: &mut fastrand::Rng) -> Verdict {
        self.unable = if matches!(failure, Failure::Busy { .. }) { self.unable + 1 } else { 0 };
        let verdict = match failure {
            Failure::Refused(refusal) => self.refused(refusal, client, now, rng),
            failure => self.unanswered(failure, client, now, rng),
        };
        let asked_for = failure.retry_after().unwrap_or_default().min(LONGEST_RETRY_AFTER);
        match verdict {
            // All the boxes that were told the same moment must not come in the same second.
            Verdict::Again(pause) if !asked_for.is_zero() => {
                Verdict::Again(pause.max(asked_for + between(Duration::ZERO, asked_for / 10, rng)))
            }
            Verdict::Later(pause) => Verdict::Later(asked_for + pause),
            verdict => verdict,
        }
    }

    fn refused(&mut self, refusal: &Refusal, client: &Client, now: Instant, rng: &mut fastrand::Rng) -> Verdict {
        use ErrorCode as E;
        match &refusal.error {
            E::InvalidGrant | E::ExpiredToken => Verdict::Ended(self.end()),
            E::InteractionRequired => Verdict::Ended(Reason::Policy),
            E::AccessDenied => {
                self.denials += 1;
                if self.denials < DENIALS { self.slowly(rng) } else { Verdict::Ended(Reason::Policy) }
            }
            E::InvalidScope | E::InvalidTarget if !client.resource.is_empty() && !self.anywhere => {
                self.anywhere = true;
                Verdict::Again(AT_ONCE)
            }
            error if is_operators(error) => Verdict::Again(OPERATOR_RETRY),
            // What is wrong is the proof (a clock, a nonce), not the grant.
            E::UseDpopNonce | E::InvalidDpopProof => self.slowly(rng),
            E::ServerError => self.lost(now, rng),
            E::TemporarilyUnavailable | E::SlowDown => self.crowded(refusal.retry_after, now, rng),
            E::InvalidRequest => match client.profile.refresh_invalid_request {
                Doubt::Undecided => self.doubt(now, rng),
                Doubt::Terminal => Verdict::Ended(self.end()),
                Doubt::Retry => self.slowly(rng),
            },
            _ => self.doubt(now, rng),
        }
    }

    fn unanswered(&mut self, failure: &Failure, client: &Client, now: Instant, rng: &mut fastrand::Rng) -> Verdict {
        match failure {
            Failure::Garbled { status: 404, .. } if client.profile.refresh_404 == Doubt::Terminal => {
                self.doubt(now, rng)
            }
            Failure::Garbled { status: 400, found: Found::Nothing }
                if client.profile.refresh_empty_400 == Doubt::Terminal =>
            {
                self.doubt(now, rng)
            }
            failure if is_endpoint_doubtful(failure) => {
                let slowly = self.backoff.pause(ENDPOINT_RETRY, LAST_ENDPOINT_RETRY, rng).max(ENDPOINT_RETRY);
                Verdict::Again(self.quickly(now, rng).unwrap_or(slowly))
            }
            failure if failure.is_ambiguous() => self.lost(now, rng),
            failure if fault_of(failure) == Fault::Clock => Verdict::Again(between(CLOCK_RETRY / 3, CLOCK_RETRY, rng)),
            Failure::Busy { retry_after, .. } => self.crowded(*retry_after, now, rng),
            _ => {
                let quickly = self.quickly(now, rng).map(Verdict::Again);
                quickly.unwrap_or_else(|| Verdict::Later(self.pause(LAST_RETRY, rng)))
            }
        }
    }

    /// A reply is lost. In an outage that goes on, the quick minute comes once an hour, and is over as soon as it is clear
    /// that there is an outage.
    fn lost(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Verdict {
        if self.lost.is_none_or(|since| now.since(since) >= QUICK_AGAIN) {
            (self.lost, self.quick) = (Some(now), 0);
        }
        if self.is_outage() {
            return self.crowded(None, now, rng);
        }
        Verdict::Again(self.quickly(now, rng).unwrap_or_else(|| self.backoff.pause(LOST_RETRY, LAST_RETRY, rng)))
    }

    /// The server is there and cannot answer: many more may be asking, each with a program that waits, so the pauses grow
    /// fast. A pause that outlasts what a grace can be leaves no hurry.
    fn crowded(&mut self, asked_for: Option<Duration>, now: Instant, rng: &mut fastrand::Rng) -> Verdict {
        let short = asked_for.is_none_or(|pause| pause <= SHORT_PAUSE);
        match self.quickly(now, rng).filter(|_| short) {
            Some(pause) => Verdict::Again(pause),
            None => {
                self.pause(LAST_RETRY, rng);
                let longest = CROWDED_PAUSES[(self.crowded as usize).min(CROWDED_PAUSES.len() - 1)];
                self.crowded += 1;
                Verdict::Later(between(AT_ONCE, Duration::from_secs(longest), rng))
            }
        }
    }

    /// The pause in the minute after a lost reply, whatever the failure: servers hold a replaced refresh token good for
    /// some seconds longer (5 at Rauthy, 30 at Okta), and each try in that time may save the grant.
    fn quickly(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Option<Duration> {
        self.is_urgent(now).then_some(())?;
        let (shortest, longest) = QUICK_PAUSES[(self.quick as usize).min(QUICK_PAUSES.len() - 1)];
        self.quick += 1;
        Some(between(Duration::from_millis(shortest), Duration::from_millis(longest), rng))
    }

    /// What is added to a pause while nobody waits for the token, so that a fleet of boxes does not weigh on a server
    /// that is down or just coming back. `lifetime` is the access token's.
    pub fn in_no_hurry(&self, lifetime: Option<Duration>, rng: &mut fastrand::Rng) -> Duration {
        if self.unable == OUTAGE {
            return between(LAST_RETRY / 2, LAST_RETRY * 2, rng);
        }
        let first = (lifetime.unwrap_or(LAST_RETRY) / 15).clamp(FIRST_RETRY, FIRST_UNHURRIED);
        // The failure is counted already.
        self.backoff.clone().pause(first / 2, LAST_RETRY, rng)
    }

    /// Whether so many answers in a row said that the server cannot that this is no accident.
    fn is_outage(&self) -> bool {
        self.unable >= OUTAGE
    }

    fn slowly(&mut self, rng: &mut fastrand::Rng) -> Verdict {
        Verdict::Again(self.pause(LAST_RETRY, rng).max(DOUBTFUL_RETRY))
    }

    /// Hydra answers `invalid_request` to a refresh that should be tried again, Dex to one that is dead: some tries over
    /// at least a minute tell them apart.
    fn doubt(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Verdict {
        let since = *self.since.get_or_insert(now);
        self.doubtful += 1;
        let patient = self.doubtful > DOUBTFUL_TRIES && now.since(since) >= DOUBTFUL_TIME;
        if patient { Verdict::Ended(self.end()) } else { self.slowly(rng) }
    }

    fn end(&self) -> Reason {
        if self.is_reply_lost() { Reason::LostRotation } else { Reason::Revoked }
    }
}

/// The refusals that only a change of the configuration can mend.
pub(super) fn is_operators(error: &ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        error,
        E::InvalidClient | E::UnauthorizedClient | E::UnsupportedGrantType | E::InvalidScope | E::InvalidTarget
    )
}

/// Whose business a failure is.
pub(super) fn fault_of(failure: &Failure) -> Fault {
    match failure {
        Failure::Refused(refusal) if is_operators(&refusal.error) => Fault::Configuration,
        Failure::Refused(_) => Fault::Provider,
        Failure::Unreachable(Unreachable { stage: Stage::ClockUnset, .. }) => Fault::Clock,
        failure if is_endpoint_doubtful(failure) => Fault::Provider,
        Failure::Busy { .. } | Failure::Unreachable(_) | Failure::Garbled { .. } => Fault::Unreachable,
    }
}

/// Whether the answer is what a wrong address would say, or a gateway while the server is being replaced.
pub(super) fn is_endpoint_doubtful(failure: &Failure) -> bool {
    matches!(failure, Failure::Garbled { status: 401 | 403 | 404 | 410, .. })
}

const AT_ONCE: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(600);
const FIRST_UNHURRIED: Duration = Duration::from_secs(240);
const QUICK_TIME: Duration = Duration::from_secs(60);
const QUICK_AGAIN: Duration = Duration::from_secs(3600);
/// In milliseconds, shortest and longest; the last pair goes on. Six tries fit into three seconds, eight into five: where
/// one exchange in six fails, fewer are not enough for servers whose grace is that short.
const QUICK_PAUSES: [(u64, u64); 11] = [
    (100, 200),
    (200, 300),
    (200, 400),
    (300, 400),
    (300, 500),
    (400, 600),
    (500, 800),
    (700, 1000),
    (2000, 3000),
    (6000, 9000),
    (12_000, 16_000),
];
/// In seconds, the longest. Two quick ones for a short trouble; then a fleet that waits as one may not send more than one
/// in a hundred of its boxes in a second.
const CROWDED_PAUSES: [u64; 5] = [4, 16, 150, 300, 600];
/// Where one answer in twenty is such by accident, this many in a row are none in three million.
const OUTAGE: u32 = 5;
const SHORT_PAUSE: Duration = Duration::from_secs(20);
const LOST_RETRY: Duration = Duration::from_secs(300);
const CLOCK_RETRY: Duration = Duration::from_secs(30);
const OPERATOR_RETRY: Duration = Duration::from_secs(3600);
const ENDPOINT_RETRY: Duration = Duration::from_secs(60);
const LAST_ENDPOINT_RETRY: Duration = Duration::from_secs(1800);
const DENIALS: u32 = 2;
const DOUBTFUL_RETRY: Duration = Duration::from_secs(21);
const DOUBTFUL_TRIES: u32 = 3;
const DOUBTFUL_TIME: Duration = Duration::from_secs(60);
/// A server that asks for more is asked again all the same: it cannot take us out for good.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

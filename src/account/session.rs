//! The refresh lifecycle of a grant (RFC 6749 §6).
//!
//! A refresh is: the intent on disk, the request, the reply on disk, and only then the new token for everybody. What
//! may have been lost on the way is remembered, so that a dead grant can be told from one that lost its last reply, and
//! the disk is asked once more before a grant is given up.

mod other;
mod view;

use std::{sync::Arc, time::Duration};

pub(super) use self::other::Brought;
use super::{
    grant::{Asked, Grant},
    ledger::Ledger,
    pace::{self, Pace},
    snapshot::{Fault, Obstacle, Reason, Token, Trouble},
    verdict::{Doubts, Verdict, fault_of, is_endpoint_doubtful},
};
use crate::{
    oauth::{client::Client, error::Failure, exchange::Request, target::Target, token::TokenResponse},
    secret::Secret,
    time::Instant,
};

/// The grant of an account and the refreshing of it. What it seldom has is on the heap: most of its life it rests.
pub(super) struct Session {
    grant: Option<Grant>,
    token: Option<Arc<Token>>,
    reason: Reason,
    step: Step,
    /// When the next refresh is due; `None` where there is nothing to refresh with.
    due: Option<Instant>,
    pace: Pace,
    trouble: Option<Box<Trouble>>,
    doubts: Doubts,
    attempts: u64,
    generation: u64,
}

enum Step {
    Resting,
    /// The intent is on its way to disk, of a refresh for this target or, without one, for the account's own.
    Recording(u64, Option<Box<Target>>),
    /// This refresh token is on its way to the server, for such a target.
    Refreshing(Secret, Option<Box<Target>>),
    /// The reply is on its way to disk.
    Storing(u64, Box<Grant>, Option<Box<Brought>>),
    /// The server has ended the grant of this refresh token; the disk is asked whether there is a newer one.
    Checking(Secret, Reason, Box<Trouble>),
}

/// What a write has set free.
pub(super) enum Wrote {
    /// Nothing yet.
    Nothing,
    /// A grant, or a new token for the account's own target.
    Grant,
    /// What a refresh for another target brought.
    Other(Box<Brought>),
}

/// What the session works with.
pub(super) struct Means<'a> {
    pub client: &'a Client,
    pub margin: Option<Duration>,
    pub ledger: &'a mut Ledger,
    pub rng: &'a mut fastrand::Rng,
    pub now: Instant,
}

impl Session {
    /// A session as it was written down, or none.
    pub fn new(
        grant: Option<Grant>,
        reason: Reason,
        generation: u64,
        interrupted: bool,
        means: &mut Means<'_>,
    ) -> Self {
        let mut session = Self {
            token: grant.as_ref().map(|grant| Arc::new(grant.token())),
            grant,
            reason,
            step: Step::Resting,
            due: None,
            pace: Pace::new(means.now),
            trouble: None,
            doubts: Doubts::restored(interrupted.then_some(means.now)),
            attempts: 0,
            generation,
        };
        session.schedule(means.margin, means.now, means.rng);
        if interrupted && session.refreshable() {
            session.due = Some(means.now);
        } else if session.due.is_some_and(|due| due <= means.now) {
            session.due = Some(means.now + pace::spread(session.lifetime(), means.rng));
        }
        session
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

    /// Somebody wants a token: brings the next refresh forward to the earliest moment that is allowed. After a failure
    /// a caller waits for the pause, `by_hand` does not.
    pub fn hurry(&mut self, by_hand: bool, now: Instant) {
        let earliest = now.max(self.pace.want(by_hand));
        if self.refreshable() && !self.is_refreshing() {
            self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
        }
    }

    /// Begins a refresh when it is due, by asking for the intent to be written down.
    pub fn begin(&mut self, ledger: &mut Ledger, now: Instant) {
        let due = self.due.is_some_and(|due| due <= now);
        if due && self.refreshable() && !self.is_busy() {
            self.step = Step::Recording(ledger.want(), None);
        }
    }

    /// A refresh that has not gone out yet will not.
    pub fn forget_intent(&mut self, ledger: &mut Ledger) {
        if matches!(self.step, Step::Recording(..)) {
            self.step = Step::Resting;
            ledger.want();
        }
    }

    /// The refresh request, once the intent is on disk.
    pub fn request(&mut self, client: &Client, ledger: &Ledger) -> Option<Request> {
        let (version, aim) = match &self.step {
            Step::Recording(version, aim) => (*version, aim.clone()),
            _ => return None,
        };
        let grant = self.grant.as_ref().filter(|_| ledger.is_stored(version))?;
        let token = grant.refresh_token.clone()?;
        let endpoint = &grant.token_endpoint;
        let resource = if self.doubts.is_anywhere() { &[][..] } else { grant.resource(client) };
        let request = match &aim {
            Some(target) => client.refresh_for(target, endpoint, &token, resource),
            None => client.refresh(endpoint, &token, resource),
        };
        self.step = Step::Refreshing(token, aim);
        Some(request)
    }

    /// Takes the reply to a refresh, or how it failed. `lone` is the refresh token of a reply that is of no other use.
    /// Returns the failure of one that was for another target.
    pub fn reply(
        &mut self,
        reply: Result<TokenResponse, Failure>,
        lone: Option<Secret>,
        asked: Asked,
        means: &mut Means<'_>,
    ) -> Option<(Target, Failure)> {
        let (sent, aim, grant) = match (std::mem::replace(&mut self.step, Step::Resting), &mut self.grant) {
            (Step::Refreshing(sent, aim), Some(grant)) => (sent, aim, grant),
            (step, _) => {
                self.step = step;
                return None;
            }
        };
        match (reply, aim) {
            (Ok(got), None) => {
                let fresh = Box::new(grant.renewed(got, means.client, asked));
                self.step = Step::Storing(means.ledger.want(), fresh, None);
            }
            (Ok(got), Some(target)) => {
                let fresh = Box::new(grant.rotated(&got, means.client, asked));
                let token = grant.other_token_for(&target, got, means.client, asked);
                let brought = Box::new(Brought { target: *target, token });
                self.step = Step::Storing(means.ledger.want(), fresh, Some(brought));
            }
            (Err(failure), None) => {
                grant.refresh_token = lone.or(grant.refresh_token.take());
                self.attempts += 1;
                self.fail(&failure, sent, means);
            }
            (Err(failure), Some(target)) => {
                grant.refresh_token = lone.or(grant.refresh_token.take());
                self.leave_no_doubt(&failure, sent, means);
                return Some((*target, failure));
            }
        }
        None
    }

    /// Takes over the grant of a new login; a refresh of the old one that had not gone out yet is forgotten.
    pub fn adopt(&mut self, fresh: Grant, ledger: &mut Ledger) {
        self.doubts = Doubts::default();
        self.step = Step::Storing(ledger.want(), Box::new(fresh), None);
    }

    /// Takes what newer grant the disk has, when it was asked whether this one has really ended. One with another refresh
    /// token than the refused one is used.
    pub fn checked(&mut self, found: Option<Grant>, generation: u64, ledger: &mut Ledger, now: Instant) {
        let (sent, reason, trouble) = match std::mem::replace(&mut self.step, Step::Resting) {
            Step::Checking(sent, reason, trouble) => (sent, reason, trouble),
            step => return self.step = step,
        };
        let newer = |grant: &Grant| grant.refresh_token.is_some() && !grant.refreshes_with(&sent);
        if let Some(grant) = found.filter(newer) {
            (self.token, self.due) = (Some(Arc::new(grant.token())), Some(now));
            self.grant = Some(grant);
            self.generation = generation;
        } else if self.grant.as_ref().is_some_and(newer) {
            self.due = Some(now);
        } else {
            self.trouble = Some(trouble);
            self.end(reason);
        }
        ledger.want();
    }

    /// Goes on after a write: publishes what is on disk. When the disk refused, a new grant is published all the same,
    /// callers come first; an intent is not, for then the refresh token would be spent without a trace, unless the
    /// token has ended and nothing is left to lose. Returns what arrived, if anything did.
    pub fn wrote(&mut self, failed: bool, means: &mut Means<'_>) -> Wrote {
        match std::mem::replace(&mut self.step, Step::Resting) {
            Step::Storing(version, fresh, brought) if failed || means.ledger.is_stored(version) => match brought {
                None => {
                    self.publish(*fresh, means.margin, means.now, means.rng);
                    return Wrote::Grant;
                }
                Some(brought) => {
                    self.grant = Some(*fresh);
                    self.doubts.settle();
                    return Wrote::Other(brought);
                }
            },
            Step::Recording(version, Some(target)) if failed && !means.ledger.is_stored(version) => {
                let token = Err((Obstacle::Fault(Fault::Storage), NO_TRACE.to_owned()));
                return Wrote::Other(Box::new(Brought { target: *target, token }));
            }
            Step::Recording(version, None) if failed && !means.ledger.is_stored(version) => {
                if self.token.as_ref().is_some_and(|token| token.is_valid(means.now)) {
                    self.due = Some(means.now + self.doubts.pause(STORAGE_RETRY, means.rng));
                    self.trouble =
                        Some(Box::new(Trouble { fault: Fault::Storage, text: NO_TRACE.into(), retry_at: self.due }));
                } else {
                    self.step = Step::Recording(0, None);
                }
            }
            step => self.step = step,
        }
        Wrote::Nothing
    }

    /// Ends the grant.
    pub fn end(&mut self, reason: Reason) {
        self.grant = None;
        self.token = None;
        self.reason = reason;
        self.step = Step::Resting;
        self.due = None;
        self.doubts = Doubts::default();
    }

    /// Ends the grant because of what its last refresh brought.
    pub fn stop(&mut self, reason: Reason, text: String) {
        self.attempts += 1;
        self.end(reason);
        self.trouble = Some(Box::new(Trouble { fault: Fault::Provider, text, retry_at: None }));
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
    }

    fn publish(&mut self, fresh: Grant, margin: Option<Duration>, now: Instant, rng: &mut fastrand::Rng) {
        self.attempts += 1;
        self.generation += u64::from(self.is_another(&fresh));
        self.token = Some(Arc::new(fresh.token()));
        self.trouble = None;
        self.doubts.settle();
        self.pace.published(fresh.lifetime, now);
        self.grant = Some(fresh);
        self.schedule(margin, now, rng);
    }

    /// The access token's lifetime, where the server said.
    fn lifetime(&self) -> Option<Duration> {
        self.grant.as_ref().and_then(|grant| grant.lifetime)
    }

    fn schedule(&mut self, margin: Option<Duration>, now: Instant, rng: &mut fastrand::Rng) {
        let due = self.grant.as_ref().and_then(|grant| pace::due(grant, margin, now, rng));
        self.due = due.map(|due| due.max(now).max(self.pace.not_before()));
    }

    fn fail(&mut self, failure: &Failure, sent: Secret, means: &mut Means<'_>) {
        let doubtful = is_endpoint_doubtful(failure);
        let text = format!("{failure}{}", if doubtful { "; is the token endpoint right?" } else { "" });
        let mut trouble = Box::new(Trouble { fault: fault_of(failure), text, retry_at: None });
        let verdict = self.doubts.judge(failure, means.client, means.now, means.rng);
        let unhurried = matches!(verdict, Verdict::Later(_)) && !self.pace.is_wanted();
        match verdict {
            Verdict::Ended(reason) => self.step = Step::Checking(sent, reason, trouble),
            Verdict::Again(pause) | Verdict::Later(pause) => {
                let asked_for = failure.retry_after().unwrap_or_default();
                let unhurried =
                    if unhurried { self.doubts.in_no_hurry(self.lifetime(), means.rng) } else { Duration::ZERO };
                self.due = Some(means.now + pause.max(asked_for.min(pause) + unhurried));
                self.pace.failed(pause, !asked_for.is_zero(), means.now);
                trouble.retry_at = self.due;
                self.trouble = Some(trouble);
                means.ledger.want();
            }
        }
    }
}

const NO_TRACE: &str = "the refresh waits until the disk can be written again, so that the grant cannot be lost";
const STORAGE_RETRY: Duration = Duration::from_secs(50);

//! Tokens for targets other than the account's own, all from the one grant.
//!
//! Only a refresh for the account's own target can end the grant or trouble the account. Whatever a refresh for another one
//! brings is told to those who asked for that target; where it leaves a doubt about the grant itself, an own refresh is
//! brought forward, and decides.
//!
//! These tokens are not written down: each can be had again by one refresh, and what is not on disk cannot be stolen from it.

use std::{sync::Arc, time::Duration};

use super::{
    backoff::{Backoff, between},
    pace::{Pace, before_end},
    snapshot::{Fault, Hindrance, Need, Obstacle, Token},
    verdict::fault_of,
};
use crate::{
    oauth::{
        error::{ErrorCode, Failure},
        target::Target,
    },
    time::Instant,
};

/// The tokens of an account for other targets, at most [`PLACES`] of them.
#[derive(Default)]
pub(super) struct Targets {
    places: Vec<Place>,
}

struct Place {
    target: Target,
    token: Option<Arc<Token>>,
    /// When somebody last asked for it.
    used: Instant,
    /// When its token came.
    came: Option<Instant>,
    /// When the next one is to be had; `None` while nobody wants one.
    due: Option<Instant>,
    pace: Pace,
    hindrance: Option<Arc<Hindrance>>,
    backoff: Backoff,
    /// Requests for it that have ended, well or not.
    attempts: u64,
}

impl Targets {
    /// Somebody wants a token for this target: what is missing or about to end becomes due. Where every place is taken by
    /// one that was asked for just now, there is none for another.
    pub fn want(&mut self, target: &Target, need: &Need, now: Instant) {
        if self.find(target).is_none() && !self.make_room(now) {
            return;
        }
        let at = self.find(target).unwrap_or_else(|| {
            self.places.push(Place::new(target.clone(), now));
            self.places.len() - 1
        });
        self.places[at].want(need, now);
    }

    /// What can be said to a caller who wants this target, as far as this part knows: a token, a hindrance, or nothing yet.
    pub fn answer(&self, target: &Target, need: &Need, now: Instant) -> Result<Option<Arc<Token>>, Arc<Hindrance>> {
        let Some(at) = self.find(target) else { return Err(Arc::new(crowded(now))) };
        self.places[at].answer(need, now)
    }

    /// Requests for this target that have ended, well or not.
    pub fn attempts(&self, target: &Target) -> u64 {
        self.find(target).map_or(0, |at| self.places[at].attempts)
    }

    /// What hinders this target, if anything does.
    pub fn hindrance(&self, target: &Target) -> Option<&Arc<Hindrance>> {
        self.find(target).and_then(|at| self.places[at].hindrance.as_ref())
    }

    /// When the next one is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.places.iter().filter_map(|place| place.due).min()
    }

    /// The next one that is due. One that nobody has used since it came, or waits for any more, is let go instead.
    pub fn next(&mut self, now: Instant) -> Option<Target> {
        for place in &mut self.places {
            if place.due.is_some_and(|due| due <= now) && !place.is_wanted(now) {
                place.due = None;
            }
        }
        let due = self.places.iter().filter_map(|place| Some((place.due.filter(|due| *due <= now)?, place)));
        due.min_by_key(|(due, _)| *due).map(|(_, place)| place.target.clone())
    }

    /// A token has come.
    pub fn arrived(
        &mut self,
        target: &Target,
        token: Arc<Token>,
        margin: Option<Duration>,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) {
        let Some(at) = self.find(target) else { return };
        let place = &mut self.places[at];
        place.attempts += 1;
        place.hindrance = None;
        place.backoff.reset();
        place.pace.published(token.lifetime, now);
        place.came = Some(now);
        let end = token.expires.zip(token.lifetime);
        place.due = end.map(|(end, lifetime)| before_end(end, lifetime, margin, rng).max(place.pace.not_before()));
        place.token = Some(token);
    }

    /// A request for it has failed, or brought what is of no use to those who asked.
    pub fn failed(
        &mut self,
        target: &Target,
        obstacle: Obstacle,
        text: String,
        asked_for: Duration,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) {
        let Some(at) = self.find(target) else { return };
        let place = &mut self.places[at];
        place.attempts += 1;
        let passes = matches!(obstacle, Obstacle::Fault(Fault::Unreachable | Fault::Clock | Fault::Storage));
        let (first, last) = if passes { (FIRST_RETRY, LAST_RETRY) } else { (FIRST_REFUSAL, LAST_REFUSAL) };
        let grown = place.backoff.pause(first, last, rng).max(first / 2);
        let asked_for = asked_for.min(LONGEST_RETRY_AFTER);
        let pause = grown.max(asked_for + between(Duration::ZERO, asked_for / 10, rng));
        let retry_at = now + pause;
        place.pace.failed(pause, !asked_for.is_zero(), now);
        // Who waits is served as soon as the server can; what it refuses is asked for again by the next caller alone.
        place.due = passes.then_some(retry_at);
        place.hindrance = Some(Arc::new(Hindrance { obstacle, text, retry_at }));
    }

    /// The same for a failed exchange.
    pub fn refused(&mut self, target: &Target, failure: &Failure, now: Instant, rng: &mut fastrand::Rng) {
        let asked_for = failure.retry_after().unwrap_or_default();
        self.failed(target, obstacle(failure), failure.to_string(), asked_for, now, rng);
    }

    /// The grant is another, or none: its tokens are forgotten, and those who wait go on waiting.
    pub fn forget(&mut self, now: Instant) {
        self.places.retain(|place| place.due.is_some() && place.is_wanted(now));
        for place in &mut self.places {
            (place.token, place.came, place.hindrance, place.backoff) = (None, None, None, Backoff::default());
        }
    }

    /// What was refused may be asked for again at once: somebody has put it right.
    pub fn forgive(&mut self, now: Instant) {
        for place in self.places.iter_mut().filter(|place| place.hindrance.is_some()) {
            (place.hindrance, place.backoff, place.pace) = (None, Backoff::default(), Pace::new(now));
        }
    }

    /// The tokens that still live, for them to be ended.
    pub fn tokens(&self, now: Instant) -> impl Iterator<Item = &Arc<Token>> {
        self.places.iter().filter_map(|place| place.token.as_ref()).filter(move |token| token.is_valid(now))
    }

    fn find(&self, target: &Target) -> Option<usize> {
        self.places.iter().position(|place| place.target == *target)
    }

    /// Takes the place that was not asked for the longest, if there is none left; returns whether there is one now.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.places.len() < PLACES {
            return true;
        }
        let oldest = self.places.iter().enumerate().min_by_key(|(_, place)| place.used);
        match oldest {
            Some((at, place)) if now.since(place.used) >= HELD => {
                self.places.swap_remove(at);
                true
            }
            _ => false,
        }
    }
}

impl Place {
    fn new(target: Target, now: Instant) -> Self {
        Self {
            target,
            token: None,
            used: now,
            came: None,
            due: None,
            pace: Pace::new(now),
            hindrance: None,
            backoff: Backoff::default(),
            attempts: 0,
        }
    }

    fn want(&mut self, need: &Need, now: Instant) {
        self.used = now;
        let earliest = now.max(self.pace.want(false));
        match self.answer(need, now) {
            // One that is in use is renewed in time, if nobody used it when it should have been.
            Ok(Some(token)) if self.due.is_none() => {
                self.due = token.expires.filter(|_| !self.refuses(now)).map(|_| earliest);
            }
            Ok(None) => self.due = Some(self.due.map_or(earliest, |due| due.min(earliest))),
            Ok(Some(_)) | Err(_) => {}
        }
    }

    fn answer(&self, need: &Need, now: Instant) -> Result<Option<Arc<Token>>, Arc<Hindrance>> {
        let tried = self.attempts > need.attempts;
        let valid = self.token.as_ref().filter(|token| token.is_valid(now));
        if let Some(token) = valid {
            let rejected = need.rejected == Some(token.fingerprint);
            if tried || !rejected && (self.hindrance.is_some() || token.satisfies(need.min_validity, now)) {
                return Ok(Some(token.clone()));
            }
        }
        match &self.hindrance {
            Some(hindrance) if self.refuses(now) => Err(hindrance.clone()),
            _ => Ok(None),
        }
    }

    /// Whether it is known that asking now brings nothing.
    fn refuses(&self, now: Instant) -> bool {
        let passes = |obstacle| matches!(obstacle, Obstacle::Fault(Fault::Unreachable | Fault::Clock | Fault::Storage));
        self.hindrance.as_ref().is_some_and(|hindrance| !passes(hindrance.obstacle) && hindrance.retry_at > now)
    }

    /// Whether a token for it has been asked for since the last one came and, where none is left, not too long ago.
    fn is_wanted(&self, now: Instant) -> bool {
        let used = self.came.is_none_or(|came| self.used > came);
        let lives = self.token.as_ref().is_some_and(|token| token.is_valid(now));
        used && (lives || now.since(self.used) < LONGEST_WAIT)
    }
}

/// What a failed request for another target means to those who asked for it.
fn obstacle(failure: &Failure) -> Obstacle {
    use ErrorCode as E;
    match failure {
        Failure::Refused(refusal) => match refusal.error {
            E::InvalidScope => Obstacle::Scope,
            E::InvalidTarget => Obstacle::Target,
            E::ServerError | E::TemporarilyUnavailable | E::SlowDown | E::UseDpopNonce => {
                Obstacle::Fault(Fault::Unreachable)
            }
            _ => Obstacle::Fault(fault_of(failure)),
        },
        failure => Obstacle::Fault(fault_of(failure)),
    }
}

fn crowded(now: Instant) -> Hindrance {
    let text = format!(
        "{PLACES} other scopes, audiences and resources have been asked for in the last {} s, and no more are kept at a time",
        HELD.as_secs()
    );
    Hindrance { obstacle: Obstacle::Fault(Fault::Unreachable), text, retry_at: now + HELD }
}

/// So many are kept at a time.
const PLACES: usize = 16;
/// A place that was asked for is not taken away sooner, so that callers with many targets cannot make a refresh of every
/// request.
const HELD: Duration = Duration::from_secs(30);
/// Nobody waits longer than that.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(600);
const FIRST_REFUSAL: Duration = Duration::from_secs(60);
const LAST_REFUSAL: Duration = Duration::from_secs(600);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
